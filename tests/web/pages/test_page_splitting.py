"""Trying splitting rules on the knowledge page before anything is saved."""

from pathlib import Path

import gradio as gr
import pytest

from bot.assembly import Services
from knowledge.types import SplitKind
from tests.web.kit import settle
from tests.web.test_pages_handlers import event, request
from web.dependencies import WebContext
from web.ui.knowledge import KnowledgePage
from web.ui.splitting import Picked, SplitTrial

TEXT = "# Shop <b>\n\nFirst short one.\n\nSecond short one.\n\nThird short one.\n"
PASSAGE = '<li><p class="k-where">'


@pytest.fixture(scope="module")
def trial(context: WebContext) -> SplitTrial:
    return KnowledgePage(context, "en").splitting


@pytest.fixture
def picked(tmp_path: Path) -> list[Picked]:
    path = tmp_path / "sent"
    path.write_text(TEXT, encoding="utf-8")
    return [Picked(path, "shop（新）.md")]


def test_passages_follow_the_rule_live(
    trial: SplitTrial, services: Services, picked: list[Picked], manager: gr.Request
) -> None:
    _, form, first, _ = trial.choose(picked, manager)
    assert "shop（新）.md" in form
    assert first.count(PASSAGE) == 1
    assert "Shop &lt;b&gt;" in first
    wanted = event(form="split", id="", split="paragraphs", max_tokens="")
    line, form, passages, _ = trial.change(picked, wanted, manager)
    assert line == ""
    assert passages.count(PASSAGE) == 3
    assert services.documents.find_by_name("shop（新）.md") is None


def test_saving_takes_the_file_in(
    trial: SplitTrial, services: Services, picked: list[Picked], manager: gr.Request
) -> None:
    rule = {"form": "split", "split": "paragraphs", "max_tokens": "64", "go": "save"}
    assert "Saved" in trial.change(picked, event(id="", **rule), manager)[0]
    settle(services)
    document = services.documents.find_by_name("shop（新）.md")
    assert document is not None
    assert document.n_chunks == 3
    kept = services.versions.split_rule(document.id)
    assert (kept.kind, kept.max_tokens) == (SplitKind.PARAGRAPHS, 64)


def test_a_document_is_split_anew(
    trial: SplitTrial, services: Services, manager: gr.Request
) -> None:
    document_id, _ = services.ingestor.submit("again.md", TEXT.encode(), author="test")
    settle(services)
    _, form, passages, _ = trial.change(None, event(act="split", id=document_id), manager)
    assert f'value="{document_id}"' in form
    assert passages.count(PASSAGE) == 1
    rule = {"form": "split", "split": "paragraphs", "max_tokens": "", "go": "save"}
    trial.change(None, event(id=document_id, **rule), manager)
    settle(services)
    assert services.documents.get(document_id).n_chunks == 3


@pytest.mark.parametrize(
    "wrong",
    [{"split": "letters"}, {"max_tokens": "3"}, {"max_tokens": "x"}, {"id": "none"}, {}],
)
def test_wrong_rules_are_refused_readably(
    trial: SplitTrial, manager: gr.Request, wrong: dict[str, str]
) -> None:
    form = {"form": "split", "id": "", "split": "rows", "max_tokens": "", "go": "save"}
    assert 'role="alert"' in trial.change(None, event(**form | wrong), manager)[0]


def test_only_writers_try_splitting(trial: SplitTrial, picked: list[Picked]) -> None:
    assert 'role="alert"' in trial.choose(picked, request())[0]
    assert 'role="alert"' in trial.change(picked, event(act="split"), request())[0]
