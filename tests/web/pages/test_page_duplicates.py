"""Duplicates on the knowledge page: the rule of the upload, the mark, and its buttons."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from bot.assembly import Services
from bot.catalogue import load_catalogue
from knowledge.types import DocumentId
from tests.knowledge_kit import long_text
from tests.web.kit import settle
from tests.web.test_pages_handlers import event, request
from web.reasons import reason
from web.ui.knowledge import KnowledgePage
from web.ui.splitting import Picked

TEXT = long_text(4, topic="lamp")


@pytest.fixture
def first(services: Services) -> Iterator[DocumentId]:
    document_id, _ = services.ingestor.submit("la<m>p.txt", TEXT.encode(), author="t")
    settle(services)
    yield document_id
    for document in services.documents.list():
        services.documents.remove(document.id, actor="tests")


def send(page: KnowledgePage, manager: gr.Request, folder: Path, rule: str) -> str:
    """Uploads a copy; returns the list when it is taken in."""
    file = folder / "copy.txt"
    file.write_text(TEXT)
    list(page.upload([Picked(file, "copy.txt")], manager, rule))
    settle(page._services)
    shown: str = page.tick(manager)[0]
    return shown


def test_a_duplicate_is_marked_with_its_buttons(
    page: KnowledgePage, manager: gr.Request, first: DocumentId, tmp_path: Path
) -> None:
    shown = send(page, manager, tmp_path, "keep")
    assert "Same text as la&lt;m&gt;p.txt" in shown
    assert all(f'data-act="{act}"' in shown for act in ("like_keep", "like_replace", "delete"))


def test_skipped_files_show_the_reason(
    page: KnowledgePage, manager: gr.Request, first: DocumentId, tmp_path: Path
) -> None:
    shown = send(page, manager, tmp_path, "skip")
    assert "100 % like &#x27;la&lt;m&gt;p.txt&#x27;" in shown
    assert "skipped</span>" in shown
    assert "k-reason" not in shown


def test_the_reason_reads_chinese() -> None:
    message = "Skipped: the text is 93 % like 'a.txt'; to have both, upload it again"
    shown = reason(message, load_catalogue(), "zh")
    assert "“a.txt”有 93% 相同" in shown


def test_keeping_both_takes_the_mark_away(
    page: KnowledgePage, services: Services, manager: gr.Request, first: DocumentId,
    tmp_path: Path,
) -> None:  # fmt: skip
    send(page, manager, tmp_path, "keep")
    (copy,) = services.duplicates.all()
    line, shown, *_ = page.act(event(act="like_keep", id=copy), manager)
    assert "Both documents stay" in line
    assert "like_keep" not in shown


def test_the_other_is_replaced_by_a_button(
    page: KnowledgePage, services: Services, manager: gr.Request, first: DocumentId,
    tmp_path: Path,
) -> None:  # fmt: skip
    send(page, manager, tmp_path, "keep")
    (copy,) = services.duplicates.all()
    line = page.act(event(act="like_replace", id=copy), manager)[0]
    assert "new version of the other" in line
    settle(services)
    (document,) = services.documents.list()
    assert (document.id, document.name, document.version) == (first, "copy.txt", 2)


def test_only_writers_settle_duplicates(page: KnowledgePage, first: DocumentId) -> None:
    for act in ("like_keep", "like_replace"):
        assert 'role="alert"' in page.act(event(act=act, id=first), request())[0]
