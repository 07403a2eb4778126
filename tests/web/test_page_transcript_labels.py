"""The transcripts page: what was understood, put right by agents, with a suggested resolution."""

from collections.abc import Iterator
from dataclasses import replace

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from bot.classifiers.labels import LABELS, Task
from bot.settings import Settings
from bot.types import Conversation, ConversationId
from tests.fakes import FakeAnalyzer, FakeChatModel
from tests.web.kit import RETURNS, build_services, settle
from tests.web.test_pages_handlers import event, request, staff
from web.app import create_app
from web.dependencies import WebContext
from web.ui.analysis_view import label_name
from web.ui.chat import ChatPage
from web.ui.transcripts import TranscriptsPage

COMPLAINT = "ANGRY about gift wrapping per book"


@pytest.fixture(scope="module")
def context(settings: Settings) -> Iterator[WebContext]:
    services = build_services(settings, FakeChatModel(), analyzer=FakeAnalyzer())
    app = create_app(services, pages=False)
    with TestClient(app):
        services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
        settle(services)
        yield app.state.context


@pytest.fixture(scope="module")
def agent(context: WebContext) -> gr.Request:
    return staff(context, "agent")


@pytest.fixture
def page(context: WebContext) -> TranscriptsPage:
    return TranscriptsPage(context, "en")


def talk(context: WebContext, *texts: str) -> Conversation:
    chat, conversations = context.services.chat, context.services.conversations
    conversation, _ = conversations.create(language="en")
    for text in texts:
        list(chat.stream(chat.begin(conversation.id, text)))
    return conversation


def asked(context: WebContext, conversation_id: ConversationId) -> str:
    return str(context.services.conversations.messages(conversation_id)[0].id)


def shown(page: TranscriptsPage, conversation: Conversation, agent: gr.Request) -> str:
    return str(page.act({}, event(act="show", id=conversation.id), agent)[2])


def test_transcript_shows_what_was_understood(
    context: WebContext, page: TranscriptsPage, agent: gr.Request
) -> None:
    detail = shown(page, talk(context, COMPLAINT), agent)
    for mark in ("refund", "very negative", "3 serious", "Angry", "medium", "high", "Due"):
        assert mark in detail


def test_trend_of_the_mood_is_told_in_words(
    context: WebContext, page: TranscriptsPage, agent: gr.Request
) -> None:
    conversation = talk(context, COMPLAINT, COMPLAINT)
    second = context.services.conversations.messages(conversation.id)[2]
    form = event(form="labels", id=second.id, sentiment="positive")
    line, detail = page.label(form, agent)
    assert "1" in line
    assert "very negative → positive" in detail
    assert "better" in detail


def test_only_changed_labels_are_corrected(
    context: WebContext, page: TranscriptsPage, agent: gr.Request
) -> None:
    message = asked(context, talk(context, COMPLAINT).id)
    same = {"language": "en", "intent": "refund", "severity": "3"}
    line, _ = page.label(event(id=message, **same), agent)
    assert page.words("labels_unchanged") in line
    line, detail = page.label(event(id=message, **same | {"intent": "coupon"}), agent)
    assert page.words("labels_saved", n=1) in line
    assert "<s>refund</s> → <strong>coupon</strong>" in detail
    assert "agent" in detail


@pytest.mark.parametrize("form", [{"id": "nope"}, {"intent": "<b>"}])
def test_wrong_forms_are_refused(
    context: WebContext, page: TranscriptsPage, agent: gr.Request, form: dict[str, str]
) -> None:
    sent = {"id": asked(context, talk(context, COMPLAINT).id), "intent": "coupon"} | form
    assert 'role="alert"' in page.label(event(**sent), agent)[0]


def test_labels_are_for_agents(context: WebContext, page: TranscriptsPage) -> None:
    message = asked(context, talk(context, COMPLAINT).id)
    for who in (request(), staff(context, "knowledge")):
        assert 'role="alert"' in page.label(event(id=message, intent="coupon"), who)[0]
        assert page.act({}, event(act="resolution", id=message), who)[2] == ""


def test_resolution_comes_from_the_documents(
    context: WebContext, page: TranscriptsPage, agent: gr.Request
) -> None:
    conversation = talk(context, COMPLAINT)
    assert "returns.md" not in shown(page, conversation, agent).split("k-bot")[0]
    press = event(act="resolution", id=asked(context, conversation.id))
    detail = page.act({}, press, agent)[2]
    assert "returns.md" in detail.split("k-bot")[0]
    assert "3.20 euros" in detail.split("k-bot")[0]


def test_list_is_filtered_by_what_counts(
    context: WebContext, page: TranscriptsPage, agent: gr.Request
) -> None:
    angry, calm = talk(context, COMPLAINT), talk(context, "How much is wrapping?")

    def found(**form: str) -> str:
        return str(page.find(event(**form), agent)[1])

    for form in ({"intent": "refund"}, {"sentiment": "very_negative"}, {"severity": "2"}):
        assert angry.id in found(**form)
        assert calm.id not in found(**form)
    assert angry.id not in found(severity="4")
    page.label(event(id=asked(context, angry.id), intent="coupon"), agent)
    assert angry.id in found(intent="coupon")
    assert angry.id not in found(intent="refund")
    listed = found(order="due")
    assert listed.index(angry.id) < listed.index(calm.id)


@pytest.mark.parametrize("role", ["agent", ""])
def test_chat_shows_staff_what_was_understood(context: WebContext, role: str) -> None:
    chat = ChatPage(context, "en")
    who = staff(context, role) if role else request()
    *_, last = chat.send(event(text=COMPLAINT), who)
    assert ("very negative" in last[0]) is bool(role)
    conversation_id = last[0].split('data-id="')[1].split('"')[0]
    token = last[0].split('data-token="')[1].split('"')[0]
    assert ("Severity" in chat.open(event(id=conversation_id, token=token), who)[1]) is bool(role)


def test_customers_see_language_and_intent_where_set(context: WebContext) -> None:
    settings = context.services.settings
    shown = settings.model_copy(
        update={"chat": settings.chat.model_copy(update={"show_analysis": True})}
    )
    services = replace(context.services, settings=shown)
    chat = ChatPage(replace(context, services=services), "en")
    *_, last = chat.send(event(text=COMPLAINT), request())
    assert "<strong>refund</strong>" in last[0]
    assert "Severity" not in last[0]


def test_every_label_has_a_name(page: TranscriptsPage) -> None:
    for task in Task:
        names = [label_name(task, label, page.words) for label in LABELS[task]]
        assert len(set(names)) == len(names)
    assert label_name(Task.INTENT, "gift_<b>", page.words) == "gift &lt;b&gt;"
