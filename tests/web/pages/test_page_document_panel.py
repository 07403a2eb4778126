"""What the panel of one document on the knowledge page does for whom."""

import gradio as gr
import pytest

from bot.assembly import Services
from knowledge.types import DocumentId, Visibility
from tests.web.kit import settle
from tests.web.test_pages_handlers import event, request
from web.ui.knowledge import KnowledgePage

OLD = "Wrapping costs 3 euros. We <b>like</b> books."
NEW = "Wrapping costs <i>4</i> euros. We <b>like</b> books."
FIELDS = {"visibility": "staff", "language": "en", "tags": "gifts， wrap, gifts",
          "effective_from": "2026-01-01T08:00", "expires_at": ""}  # fmt: skip


@pytest.fixture(scope="module")
def document(services: Services) -> DocumentId:
    for text in (OLD, NEW):
        document_id, _ = services.ingestor.submit("wrap.txt", text.encode(), author="t<i>m")
        settle(services)
    return document_id


def test_properties_are_saved_from_the_form(
    page: KnowledgePage, services: Services, document: DocumentId, manager: gr.Request
) -> None:
    _, line, panel = page.submit(event(form="document", id=document, **FIELDS), manager)
    assert "saved" in line
    assert all(part in panel for part in ('value="gifts, wrap"', 'value="2026-01-01T08:00"'))
    saved = services.documents.get(document)
    assert (saved.visibility, saved.language, saved.expires_at) == (Visibility.STAFF, "en", None)
    assert saved.language_is_set


@pytest.mark.parametrize(
    "wrong",
    [
        {"visibility": "all"},
        {"language": "xx"},
        {"effective_from": "soon"},
        {"expires_at": "2025-01-01T00:00"},
        {"tags": "x" * 41},
        {"id": "none"},
    ],
)
def test_wrong_properties_are_refused_readably(
    page: KnowledgePage, document: DocumentId, manager: gr.Request, wrong: dict[str, str]
) -> None:
    form = {"form": "document", "id": document, **FIELDS, **wrong}
    assert 'role="alert"' in page.submit(event(**form), manager)[1]


def test_the_panel_lists_who_made_versions(
    page: KnowledgePage, document: DocumentId, manager: gr.Request
) -> None:
    panel = page.act(event(act="care", id=document), manager)[3]
    assert "t&lt;i&gt;m" in panel
    assert 'data-version="1"' in panel
    assert 'data-version="2"' not in panel  # the live one


def test_a_difference_is_marked_and_escaped(
    page: KnowledgePage, document: DocumentId, manager: gr.Request
) -> None:
    form = event(form="diff", id=document, old="1", new="2")
    panel = page.submit(form, manager)[2]
    assert "− <del>Wrapping costs 3 euros.</del>" in panel
    assert "+ <ins>Wrapping costs &lt;i&gt;4&lt;/i&gt; euros.</ins>" in panel
    assert "<span>We &lt;b&gt;like&lt;/b&gt; books.</span>" in panel
    same = page.submit(event(form="diff", id=document, old="2", new="2"), manager)[2]
    assert "do not differ" in same


@pytest.mark.parametrize("version", ["9", "x", "²", "1" * 10])
def test_unknown_versions_are_refused_readably(
    page: KnowledgePage, document: DocumentId, manager: gr.Request, version: str
) -> None:
    form = event(form="diff", id=document, old=version, new="2")
    assert 'role="alert"' in page.submit(form, manager)[1]


def test_only_writers_change_documents(page: KnowledgePage, document: DocumentId) -> None:
    nobody = request()
    assert 'role="alert"' in page.act(event(act="care", id=document), nobody)[0]
    assert 'role="alert"' in page.submit(event(form="diff", id=document), nobody)[1]


def test_going_back_makes_a_new_version(
    page: KnowledgePage, services: Services, document: DocumentId, manager: gr.Request
) -> None:
    line = page.act(event(act="rollback", id=document, version="1"), manager)[0]
    assert "being restored" in line
    settle(services)
    assert services.documents.version(document, None).text.startswith("Wrapping costs 3")
