"""What the pages' handlers do, over the real services: tokens, roles, files, answers."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from gradio.data_classes import FileData
from starlette.requests import Request

from bot.accounts import StaffRole
from bot.assembly import Services
from bot.company import CompanyProfile
from bot.llm.base import ChatMessage
from bot.settings import Settings
from bot.transcripts import ConversationFilter
from bot.types import Conversation, ConversationId, MessageStatus, Role
from knowledge.document_edits import DocumentChange
from knowledge.types import DocumentId, Visibility
from tests.fakes import FakeChatModel, echo_passage
from tests.web.kit import RETURNS, build_services, make_settings, settle
from web.app import create_app
from web.dependencies import WebContext
from web.limits import RateLimiter
from web.security import COOKIE
from web.ui.chat import ChatPage
from web.ui.company import CompanyPage
from web.ui.knowledge import KnowledgePage, NamedFile
from web.ui.splitting import Picked
from web.ui.transcripts import TranscriptsPage

QUESTION = "How much does gift wrapping cost?"


LONG = "Tell me at length how much gift wrapping costs?"


def write(messages: Sequence[ChatMessage]) -> str:
    """The passage's first sentence, many times over when asked at length."""
    return " ".join([echo_passage(messages)] * (30 if "at length" in messages[-1].content else 1))


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(tmp_path_factory.mktemp("kefu"))


@pytest.fixture(scope="module")
def model() -> FakeChatModel:
    return FakeChatModel(answer=write, token_delay_s=0.01)


@pytest.fixture(scope="module")
def context(settings: Settings, model: FakeChatModel) -> Iterator[WebContext]:
    services = build_services(settings, model)
    app = create_app(services, pages=False)
    with TestClient(app):
        services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
        settle(services)
        yield app.state.context


@pytest.fixture(scope="module")
def services(context: WebContext) -> Services:
    return context.services


@pytest.fixture
def chat(context: WebContext) -> ChatPage:
    return ChatPage(context, "en")


def event(**sent: object) -> gr.EventData:
    return gr.EventData(None, sent)


def request(cookie: str = "") -> gr.Request:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    scope = {"type": "http", "headers": headers, "client": ("127.0.0.1", 1), "path": "/"}
    return gr.Request(request=Request(scope))


def staff(context: WebContext, role: str) -> gr.Request:
    """A request of a new account of that role that has chosen its password."""
    accounts = context.services.accounts
    name = f"{role}{len(accounts.list())}"
    password = accounts.add(name, StaffRole(role))
    accounts.change_password(name, password, f"{name}-password-1")
    token = accounts.login(name, f"{name}-password-1", address="127.0.0.1")
    return request(context.gate.sign(token))


def talk(chat: ChatPage, services: Services, text: str = QUESTION) -> tuple[Conversation, str]:
    """A conversation with one answer, and its token."""
    *_, last = chat.send(event(text=text), request())
    found, _ = services.conversations.find(ConversationFilter(page_size=1))
    token = last[0].split('data-token="')[1].split('"')[0]
    return services.conversations.authorize(ConversationId(found[0].id), token), token


def test_an_answer_streams_and_ends_in_the_log(chat: ChatPage) -> None:
    views = list(chat.send(event(text=QUESTION), request()))
    assert QUESTION in views[0][0]
    assert "k-bot" not in views[0][0].rsplit(QUESTION, 1)[1]  # the answer is shown below the log
    live = [view[1] for view in views[1:-1]]
    assert len(live) >= 2
    assert all('aria-busy="true"' in shown for shown in live)
    log, after = views[-1]
    assert "3.20 euros" in log
    assert 'data-act="cite"' in log
    assert after == ""


def test_a_passage_opens_for_its_customer_only(chat: ChatPage, services: Services) -> None:
    conversation, token = talk(chat, services)
    answer = services.conversations.messages(conversation.id)[-1]
    sent = {"id": conversation.id, "token": token, "message": answer.id, "n": "1"}
    assert "<mark>Gift wrapping costs 3.20 euros per book." in chat.cite(event(**sent))
    for wrong in ({"token": "no"}, {"n": "7"}, {"n": "x"}, {"message": "no"}, {"id": "no"}):
        shown = chat.cite(event(**sent | wrong))
        assert "<mark>" not in shown
        assert chat.words("source_gone") in shown


def test_another_conversations_answer_is_out_of_reach(chat: ChatPage, services: Services) -> None:
    theirs, _ = talk(chat, services)
    mine, token = talk(chat, services)
    answer = services.conversations.messages(theirs.id)[-1]
    sent = {"id": mine.id, "token": token, "message": answer.id, "n": "1", "value": "up"}
    assert "<mark>" not in chat.cite(event(**sent))
    assert chat.words("problem_message_gone") in chat.rate(event(**sent))[1]
    assert services.conversations.message(answer.id).feedback is None
    *_, last = chat.regenerate(event(**sent), request())
    assert chat.words("problem_message_gone") in last[1]


def test_a_reload_brings_the_conversation_back(chat: ChatPage, services: Services) -> None:
    conversation, token = talk(chat, services)
    _, log, line = chat.open(event(id=conversation.id, token=token))
    assert QUESTION in log
    assert 'data-act="cite"' in log
    assert line == ""


def test_a_closed_document_leaves_no_source_behind(chat: ChatPage, services: Services) -> None:
    conversation, token = talk(chat, services)
    cited = chat.open(event(id=conversation.id, token=token))[1]
    assert 'data-act="cite"' in cited
    messages = services.conversations.messages(conversation.id)
    found = {c.document_id for m in messages if m.reply for c in m.reply.citations}
    for document_id in map(DocumentId, found):
        services.document_editor.change(document_id, DocumentChange(visibility=Visibility.STAFF))
    try:
        closed = chat.open(event(id=conversation.id, token=token))[1]
    finally:
        for document_id in map(DocumentId, found):
            public = DocumentChange(visibility=Visibility.PUBLIC)
            services.document_editor.change(document_id, public)
    assert QUESTION in closed
    assert 'data-act="cite"' not in closed


def test_a_wrong_token_opens_a_fresh_page(chat: ChatPage, services: Services) -> None:
    conversation, _ = talk(chat, services)
    _, log, line = chat.open(event(id=conversation.id, token="guess"))
    assert QUESTION not in log
    assert chat.words("conversation_gone") in line


def test_the_welcome_shows_name_greeting_and_answered_questions(
    chat: ChatPage, services: Services
) -> None:
    profile = CompanyProfile("Lantern", "Welcome!", "call", "sorry", (QUESTION,))
    services.company.save("en", profile)
    name, log, _ = chat.open(event())
    assert "Lantern" in name
    assert "Welcome!" in log
    assert QUESTION in log


@pytest.mark.parametrize("text", ["", "  \n ", "x" * 5000, None, 7])
def test_a_message_that_cannot_be_taken_says_why(chat: ChatPage, text: object) -> None:
    (view,) = chat.send(event(text=text), request())
    assert chat.words("problem_message", limit=4000) in view[1]


def test_too_many_messages_are_refused(context: WebContext, services: Services) -> None:
    chat = ChatPage(replace(context, new_messages=RateLimiter(1)), "en")
    assert len(list(chat.send(event(text=QUESTION), request()))) > 1
    (view,) = chat.send(event(text=QUESTION), request())
    assert chat.words("problem_rate") in view[1]


def test_a_stream_that_is_left_is_kept_as_interrupted(chat: ChatPage, services: Services) -> None:
    stream = chat.send(event(text=LONG), request())
    for _, live in stream:
        if "k-caret" in str(live):
            break
    stream.close()
    found, _ = services.conversations.find(ConversationFilter(page_size=1))
    answer = services.conversations.messages(found[0].id)[-1]
    assert (answer.role, answer.status) == (Role.BOT, MessageStatus.INTERRUPTED)


def test_stop_ends_the_answer(chat: ChatPage, services: Services) -> None:
    stream = chat.send(event(text=LONG), request())
    log = next(stream)[0]
    conversation_id = log.split('data-id="')[1].split('"')[0]
    token = log.split('data-token="')[1].split('"')[0]
    for _, live in stream:
        if "k-caret" in str(live):
            chat.stop(event(id=conversation_id, token=token))
            break
    *_, last = stream
    assert chat.words("interrupted") in last[0]


def test_a_failing_model_gives_a_line_with_a_reference(
    chat: ChatPage, model: FakeChatModel
) -> None:
    model.error = RuntimeError("out of order")
    *_, last = chat.send(event(text=QUESTION), request())
    model.error = None
    assert 'role="alert"' in last[1]
    assert "Reference " in last[1]
    assert "out of order" not in last[1]


def test_votes_and_the_wish_for_a_person_are_kept(chat: ChatPage, services: Services) -> None:
    conversation, token = talk(chat, services)
    answer = services.conversations.messages(conversation.id)[-1]
    sent = {"id": conversation.id, "token": token, "message": answer.id}
    log, _ = chat.rate(event(**sent, value="down", reason="tone", comment=" rude "))
    assert chat.words("feedback_thanks") in log
    assert services.conversations.message(answer.id).feedback == ("down", "tone", "rude")
    log, _ = chat.score(event(**sent, value="4"))
    assert log.count("data-lit") == 4
    chat.score(event(**sent, value="9"))
    assert services.conversations.get(conversation.id).rating == 4
    log, _ = chat.person(event(**sent), request())
    assert "k-system" in log
    assert services.conversations.get(conversation.id).handoff_at is not None


def test_writing_again_replaces_the_answer(chat: ChatPage, services: Services) -> None:
    conversation, token = talk(chat, services)
    before = services.conversations.messages(conversation.id)[-1]
    sent = {"id": conversation.id, "token": token, "message": before.id}
    *_, last = chat.regenerate(event(**sent), request())
    after = services.conversations.messages(conversation.id)
    assert len(after) == 2
    assert after[-1].id != before.id
    assert after[-1].id in last[0]


def picked(folder: Path, name: str, data: bytes) -> Picked:
    path = folder / f"gradio-{len(list(folder.iterdir()))}"
    path.write_bytes(data)
    return Picked(path, name)


def test_one_bad_file_stops_no_other(
    context: WebContext, services: Services, tmp_path: Path
) -> None:
    page = KnowledgePage(context, "zh")
    files = [
        picked(tmp_path, "好（一）.md", "# 一\n\n内容。".encode()),
        picked(tmp_path, "bad.pdf", b"no pdf"),
        picked(tmp_path, "good.txt", b"Some text."),
    ]
    *_, last = page.upload(files, staff(context, "knowledge"))
    assert last[0].count("k-error") == 1
    assert {"好（一）.md", "good.txt"} <= {d.name for d in services.documents.list()}
    assert list(tmp_path.iterdir()) == []


def test_a_zip_is_summed_up_and_its_bad_files_named(
    context: WebContext, services: Services, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("册/好.md", "# 一\n\n内容。")
        for i in range(25):
            archive.writestr(f"<b>{i}.exe", b"MZ")
    page = KnowledgePage(context, "zh")
    files = [picked(tmp_path, "all.zip", packed.getvalue())]
    *_, last = page.upload(files, staff(context, "knowledge"))
    assert "其中 1 个文件已接收" in last[0]
    assert last[0].count("k-error") == 21
    assert "另有 5 个文件未接收" in last[0]
    assert "<b>" not in last[0]
    assert "册/好.md" in {d.name for d in services.documents.list()}


def test_agents_read_documents_and_change_none(
    context: WebContext, services: Services, tmp_path: Path
) -> None:
    page = KnowledgePage(context, "en")
    agent = staff(context, "agent")
    settle(services)

    def known() -> set[tuple[str, str]]:
        return {(found.id, found.name) for found in services.documents.list()}

    before = known()
    bar, _, listed, _, picker, trial = page.open(agent)
    assert "transcripts" in bar
    assert "company" not in bar
    assert 'data-act="delete"' not in listed
    assert picker["visible"] is trial["visible"] is False
    target = min(before)[0]
    for act in ("delete", "replace", "cancel", "retry"):
        assert "Not allowed" in page.act(event(act=act, id=target), agent)[0]
    *_, last = page.upload([picked(tmp_path, "a.md", b"# a")], agent)
    assert "Not allowed" in last[0]
    assert list(tmp_path.iterdir()) == []
    assert known() == before
    assert "k-chunks" in page.act(event(act="chunks", id=target), agent)[3]


def test_documents_are_replaced_and_deleted(
    context: WebContext, services: Services, tmp_path: Path
) -> None:
    page = KnowledgePage(context, "en")
    manager = staff(context, "knowledge")
    document_id, _ = services.ingestor.submit("old.md", b"# Old\n\nOld text.", author="t")
    settle(services)
    line, _, _, _, picker, target = page.act(event(act="replace", id=document_id), manager)
    assert line == ""
    assert picker["visible"] is True
    assert target == document_id
    list(page.replace([picked(tmp_path, "new.md", b"# New\n\nNew text.")], target, manager))
    settle(services)
    assert [c.text for c in services.documents.chunks(document_id)][-1].endswith("New text.")
    line, listed, *_ = page.act(event(act="delete", id=document_id), manager)
    assert "was deleted" in line
    assert document_id not in listed
    assert "No such document" in page.act(event(act="delete", id=document_id), manager)[0]


def test_the_search_test_shows_what_the_assistant_finds(context: WebContext) -> None:
    page = KnowledgePage(context, "en")
    shown = page.submit(event(q=QUESTION, top_k="1"), staff(context, "agent"))[0]
    assert shown.count("<li>") == 1
    assert "3.20 euros" in shown
    assert " ms</dd>" in shown
    assert "Credentials" in page.submit(event(q=QUESTION), request())[0]


def test_transcripts_are_filtered_and_explained(
    context: WebContext, chat: ChatPage, services: Services
) -> None:
    conversation, _ = talk(chat, services, "Is gift wrapping for teapots possible?")
    page = TranscriptsPage(context, "en")
    agent = staff(context, "agent")
    line, listed, form = page.find(event(q="teapots", language="en", handed_off="0"), agent)
    assert line == ""
    assert conversation.id in listed
    assert conversation.id not in page.find(event(q="teapots", language="zh"), agent)[1]
    assert conversation.id not in page.find(event(date_to="2020-01-01"), agent)[1]
    assert conversation.id in page.act(form, event(act="page", page="1"), agent)[1]
    detail = page.act({}, event(act="show", id=conversation.id), agent)[2]
    for shown in ("Rewritten question", "fake-model", "Dense", "Prompt", " ms"):
        assert shown in detail


@pytest.mark.parametrize("role", ["knowledge", ""])
def test_transcripts_are_for_agents_and_admins(context: WebContext, role: str) -> None:
    page = TranscriptsPage(context, "en")
    who = staff(context, role) if role else request()
    assert 'role="alert"' in page.open(who)[1]
    assert page.open(who)[2] == ""
    assert 'role="alert"' in page.find(event(), who)[0]
    assert page.act({}, event(act="show", id="x"), who)[2] == ""


def company_form(**changes: str) -> gr.EventData:
    fields = ("name", "greeting", "suggestions", "contact", "fallback")
    form = {f"{name}.{language}": "" for name in fields for language in ("zh", "en")}
    return event(form="company", **form | changes)


def test_only_answered_questions_are_suggested(context: WebContext, services: Services) -> None:
    admin = staff(context, "admin")
    form = company_form(**{"name.en": "Lantern Books", "suggestions.en": f"{QUESTION}\n\nMars?"})
    CompanyPage(context, "en").save(form, admin)
    assert services.company.get("en").suggestions == (QUESTION, "Mars?")
    search = services.retriever.settings
    search.apply(search.changed({"relevance_threshold": 1.0}), author="test")
    lines, shown = CompanyPage(context, "en").save(form, admin)
    search.apply(None, author="test")
    assert "Mars?" in lines
    assert "Lantern Books" in shown
    assert services.company.get("en").suggestions == ()


def test_company_texts_have_limits_and_an_owner(context: WebContext, services: Services) -> None:
    page = CompanyPage(context, "en")
    before = services.company.get("zh")
    long = company_form(**{"greeting.zh": "长" * 2001})
    assert 'role="alert"' in page.save(long, staff(context, "admin"))[0]
    for role in ("agent", "knowledge"):
        answer = page.save(company_form(**{"name.zh": "冒名"}), staff(context, role))
        assert "Not allowed" in answer[0]
    assert services.company.get("zh") == before


def test_picked_files_keep_their_own_names() -> None:
    picker: Any = NamedFile(file_count="multiple")
    file = FileData(path="/tmp/x/a1.pdf", orig_name="a（1）.pdf")
    assert picker.preprocess(file) == [Picked(Path("/tmp/x/a1.pdf"), "a（1）.pdf")]
    assert picker.preprocess(None) is None
