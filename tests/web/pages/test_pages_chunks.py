"""What the passage panel and the page of curated answers do for whom."""

import re

import gradio as gr
import pytest

from bot.assembly import Services
from knowledge.types import Chunk, DocumentId
from tests.fakes import FakeChatModel
from tests.web.kit import settle
from tests.web.test_pages_handlers import event, request, staff
from web.dependencies import WebContext
from web.ui.curated import CuratedPage
from web.ui.knowledge import KnowledgePage

TEXT = "# Returns\n\nGift wrapping costs 3.20 euros per book.\n"


@pytest.fixture
def document(services: Services) -> DocumentId:
    document_id, _ = services.ingestor.submit("returns.md", TEXT.encode(), author="t")
    settle(services)
    return document_id


def last_chunk(services: Services, document: DocumentId) -> Chunk:
    return services.documents.chunks(document)[-1]


def test_a_passage_is_edited_and_restored_in_place(
    page: KnowledgePage, services: Services, document: DocumentId, manager: gr.Request
) -> None:
    chunk = last_chunk(services, document)
    form = event(form="chunk", id=str(chunk.id), text="Wrapping costs nothing.")
    _, line, panel = page.submit(form, manager)
    assert "Saved" in line
    assert all(text in panel for text in ("Edited", "What the file says", "data-focus"))
    assert last_chunk(services, document).text == "Wrapping costs nothing."
    page.act(event(act="chunk-revert", id=str(chunk.id)), manager)
    assert last_chunk(services, document).text == chunk.text


def test_passages_are_added_pinned_disabled_and_deleted(
    page: KnowledgePage, services: Services, document: DocumentId, manager: gr.Request
) -> None:
    page.submit(event(form="chunk-add", id=document, text="Quokkas ride free."), manager)
    added = last_chunk(services, document)
    assert added.text == "Quokkas ride free."
    for act, badge in (("pin", "Pinned"), ("disable", "Disabled")):
        assert badge in page.act(event(act=f"chunk-{act}", id=str(added.id)), manager)[3]
    for act in ("enable", "unpin"):
        page.act(event(act=f"chunk-{act}", id=str(added.id)), manager)
    again = last_chunk(services, document)
    assert (again.enabled, again.pinned) == (True, False)
    page.act(event(act="chunk-remove", id=str(added.id)), manager)
    assert last_chunk(services, document).id != added.id


def test_questions_are_proposed_and_approved_in_the_panel(
    page: KnowledgePage,
    services: Services,
    model: FakeChatModel,
    document: DocumentId,
    manager: gr.Request,
) -> None:
    chunk = str(last_chunk(services, document).id)
    model.answer_next("Is wrapping gratis?")
    panel = page.act(event(act="questions-propose", id=chunk), manager)[3]
    assert "Proposed" in panel
    question = re.findall(r'data-act="question-approve" data-id="(\d+)"', panel)[0]
    approve = event(act="question-approve", id=question, chunk=chunk)
    assert "Proposed" not in page.act(approve, manager)[3]
    panel = page.submit(event(form="question", id=chunk, text="Cost of paper?"), manager)[2]
    assert "Attached questions (2)" in panel
    remove = event(act="question-remove", id=question, chunk=chunk)
    assert "Attached questions (1)" in page.act(remove, manager)[3]
    model.answer_next("No idea.")
    assert "no new question" in page.act(event(act="questions-propose", id=chunk), manager)[0]


def test_the_panel_is_for_readers_its_forms_for_writers(
    page: KnowledgePage, services: Services, context: WebContext, document: DocumentId
) -> None:
    agent = staff(context, "agent")
    chunk = last_chunk(services, document)
    panel = page.act(event(act="chunks", id=document), agent)[3]
    assert "<form" not in panel
    assert 'data-act="chunk-' not in panel
    assert "Not allowed" in page.act(event(act="chunk-disable", id=str(chunk.id)), agent)[0]
    form = event(form="chunk", id=str(chunk.id), text="x")
    assert "Not allowed" in page.submit(form, agent)[1]
    assert "Credentials" in page.submit(form, request())[1]
    assert last_chunk(services, document) == chunk


@pytest.mark.parametrize("chunk", ["", "x", "9" * 30, "123456"])
def test_strange_ids_change_nothing(page: KnowledgePage, manager: gr.Request, chunk: str) -> None:
    assert "k-error" in page.act(event(act="chunk-pin", id=chunk), manager)[0]
    assert "k-error" in page.submit(event(form="chunk", id=chunk, text="x"), manager)[1]


def test_curated_answers_are_written_and_deleted(
    context: WebContext, services: Services, manager: gr.Request
) -> None:
    page = CuratedPage(context, "en")
    form = {"form": "curated", "language": "en", "text": "Yes.", "questions": "A?\nB?"}
    line, listed = page.save(event(**form, enabled="on"), manager)
    assert "Saved" in line
    assert "In use" in listed
    answer = services.curated.list()[0]
    assert answer.questions == ("A?", "B?")
    page.save(event(**form, id=answer.id), manager)
    assert services.curated.get(answer.id).enabled is False
    assert "not been given" in page.act(event(act="history", id=answer.id), manager)[2]
    assert "Deleted" in page.act(event(act="curated-delete", id=answer.id), manager)[0]
    assert "k-error" in page.act(event(act="curated-delete", id=answer.id), manager)[0]
    assert "k-error" in page.act(event(act="other", id=answer.id), manager)[0]
    assert "k-error" in page.save(event(**(form | {"questions": ""})), manager)[0]


def test_curated_answers_are_read_by_all_staff(context: WebContext) -> None:
    page = CuratedPage(context, "zh")
    agent = staff(context, "agent")
    bar, line, listed = page.open(agent)
    assert "标准答复" in bar
    assert line == ""
    assert "<form" not in listed
    assert "k-error" in page.open(request())[1]
    assert "k-error" in page.save(event(form="curated"), agent)[0]
