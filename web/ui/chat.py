"""The customer chat at `/`: four pieces of HTML and the events between them.

A browser keeps the ids and tokens of its conversations in its own storage and sends them with
every event; each handler checks the token first. Nothing about a visitor is kept on the server
between events, so a restart or a second server changes nothing.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, cast

import gradio as gr

from bot.catalogue import UiLanguage
from bot.chat import Turn
from bot.company import CompanyProfile
from bot.conversations import FEEDBACK_REASONS
from bot.errors import BotError, MessageNotFound
from bot.events import Event, Failure, Status, Token
from bot.open_citations import open_messages
from bot.types import Conversation, ConversationId, MessageId, Role
from web.dependencies import WebContext
from web.errors import HttpProblem, kind_of
from web.security import may
from web.ui import chat_view
from web.ui.chat_view import OpenConversation, Shows
from web.ui.markup import Words, asset, button, language_switch, notice

#: Streamed text is sent to the browser at most this often: 12 times a second reads as fluent.
_REPAINT_S = 0.08
_MAX_COMMENT_CHARS = 1000
_SCORES = tuple("12345")

View = tuple[Any, ...]
#: What a customer reads for each kind of error; the API's own lines speak to programs.
_PROBLEMS = {
    "message_rejected": "problem_message",
    "busy": "problem_busy",
    "answer_in_progress": "problem_in_progress",
    "too_many_requests": "problem_rate",
    "stopping": "problem_stopping",
    "conversation_not_found": "conversation_gone",
    "forbidden": "conversation_gone",
    "message_not_found": "problem_message_gone",
    "unavailable": "problem_model",
}
_EXPECTED = (BotError, HttpProblem)


@dataclass(frozen=True, slots=True)
class Press:
    """What the browser sent with an event; all of it is text, none of it is trusted."""

    id: str = ""
    token: str = ""
    text: str = ""
    client_id: str = ""
    message: str = ""
    n: str = ""
    value: str = ""
    reason: str = ""
    comment: str = ""

    @classmethod
    def of(cls, event: gr.EventData) -> "Press":
        """Reads the fields we know; anything else, and anything but text, is left out."""
        sent = event._data if isinstance(event._data, dict) else {}
        return cls(**{k: v for k, v in sent.items() if k in cls.__slots__ and isinstance(v, str)})


class ChatPage:
    """Handles the events of one language's chat page."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._context = context
        self._services = context.services
        self._language = language
        self.words = Words(context.services.catalogue, language)

    def open(self, event: gr.EventData, request: gr.Request | None = None) -> View:
        """Shows the conversation asked for; without one, or with a wrong token, a fresh page."""
        press = Press.of(event)
        line = ""
        opened = None
        if press.id:
            try:
                opened = self._opened(self._authorized(press), press.token, request)
            except _EXPECTED:
                line = f'<div class="k-gone">{notice(self.words("conversation_gone"))}</div>'
        return self._header(), self._log(opened), line

    def send(self, event: gr.EventData, request: gr.Request) -> Iterator[View]:
        """Stores the customer's message and streams the answer."""
        press = Press.of(event)
        try:
            self._check_intake(request, is_new=not press.id)
            conversation, token = self._conversation(press)
            turn = self._services.chat.begin(
                conversation.id, press.text, client_id=press.client_id or None
            )
        except _EXPECTED as error:
            yield gr.skip(), self._problem(error)
            return
        yield from self._stream(turn, (conversation.id, token), request)

    def regenerate(self, event: gr.EventData, request: gr.Request) -> Iterator[View]:
        """Writes the answer to the same question again."""
        press = Press.of(event)
        try:
            self._check_intake(request, is_new=False)
            conversation = self._authorized(press)
            message_id = self._own_message(conversation, press)
            turn = self._services.chat.regenerate(message_id)
        except _EXPECTED as error:
            yield gr.skip(), self._problem(error)
            return
        yield from self._stream(turn, (conversation.id, press.token), request)

    def stop(self, event: gr.EventData) -> None:
        """Stops the answer being written; its stream then ends by itself."""
        try:
            conversation = self._authorized(Press.of(event))
        except _EXPECTED:
            return  # pressed before the first message has a conversation
        self._services.chat.stop(conversation.id)

    def person(self, event: gr.EventData, request: gr.Request) -> View:
        """Records that the customer wants a person and shows what they are told."""
        press = Press.of(event)
        try:
            self._check_intake(request, is_new=not press.id)
            conversation, token = self._conversation(press)
            self._services.chat.handoff(conversation.id)
        except _EXPECTED as error:
            return gr.skip(), self._problem(error)
        return self._log(self._opened_by_id(conversation.id, token, request)), ""

    def rate(self, event: gr.EventData, request: gr.Request | None = None) -> View:
        """Stores a thumb with its reason and comment."""
        press = Press.of(event)
        try:
            conversation = self._authorized(press)
            message_id = self._own_message(conversation, press)
            self._services.conversations.add_feedback(
                message_id,
                "up" if press.value == "up" else "down",
                reason=press.reason if press.reason in FEEDBACK_REASONS else None,
                comment=press.comment[:_MAX_COMMENT_CHARS].strip() or None,
            )
        except _EXPECTED as error:
            return gr.skip(), self._problem(error)
        return self._log(self._opened_by_id(conversation.id, press.token, request)), ""

    def score(self, event: gr.EventData, request: gr.Request | None = None) -> View:
        """Stores how the customer liked the conversation, 1 to 5."""
        press = Press.of(event)
        try:
            conversation = self._authorized(press)
            if press.value in _SCORES:
                self._services.conversations.rate(conversation.id, int(press.value))
        except _EXPECTED as error:
            return gr.skip(), self._problem(error)
        return self._log(self._opened_by_id(conversation.id, press.token, request)), ""

    def cite(self, event: gr.EventData) -> str:
        """Opens the cited passage, highlighted in its surroundings."""
        press = Press.of(event)
        try:
            conversation = self._authorized(press)
            n = int(press.n) if press.n.isdecimal() and len(press.n) < 6 else 0
            passage = self._services.chat.passage(self._own_message(conversation, press), n)
        except _EXPECTED:
            return notice(self.words("source_gone"), kind="error")
        return chat_view.panel(passage, n, self.words)

    def _stream(
        self, turn: Turn, own: tuple[ConversationId, str], request: gr.Request
    ) -> Iterator[View]:
        words = self.words
        opened = self._opened_by_id(*own, request)
        said = tuple(each for each in opened.messages if each.id != turn.reply_id)
        yield self._log(replace(opened, messages=said)), self._live("", None)
        text, painted, status, ended = "", 0.0, None, ""
        stream = cast(Generator[Event, None, None], self._services.chat.stream(turn))
        with closing(stream) as events:
            for event in events:
                if isinstance(event, Failure):
                    ended = chat_view.failure(event.title, event.detail, event.reference, words)
                    continue
                if isinstance(event, Status):
                    status = event
                elif isinstance(event, Token):
                    text += event.text
                now = time.monotonic()
                if isinstance(event, Status) or now - painted >= _REPAINT_S:
                    painted = now
                    yield gr.skip(), self._live(text, status)
        yield self._log(self._opened_by_id(*own, request)), ended

    def _live(self, text: str, status: Status | None) -> str:
        if status is None or status.stage == "searching":
            line = self.words("searching")
        elif status.stage == "queued":
            line = self.words("queued", position=status.position or 1)
        else:
            line = self.words("writing")
        return chat_view.live(text, line, self.words)

    def _conversation(self, press: Press) -> tuple[Conversation, str]:
        if press.id:
            return self._authorized(press), press.token
        created: tuple[Conversation, str] = self._services.conversations.create(
            language=self._language
        )
        return created

    def _authorized(self, press: Press) -> Conversation:
        return self._services.conversations.authorize(ConversationId(press.id), press.token)

    def _own_message(self, conversation: Conversation, press: Press) -> MessageId:
        for message in self._services.conversations.messages(conversation.id):
            if message.id == press.message and message.role == Role.BOT:
                return message.id
        raise MessageNotFound(f"No answer {press.message!r} in this conversation.")

    def _opened_by_id(
        self, conversation_id: ConversationId, token: str, request: gr.Request | None
    ) -> OpenConversation:
        return self._opened(self._services.conversations.get(conversation_id), token, request)

    def _opened(
        self, conversation: Conversation, token: str, request: gr.Request | None
    ) -> OpenConversation:
        messages = self._services.conversations.messages(conversation.id)
        readable = open_messages(messages, self._services.documents)
        return OpenConversation(conversation, token, tuple(readable), self._shows(request))

    def _shows(self, request: gr.Request | None) -> Shows:
        """Staff who try the page see all; customers what the setting lets them."""
        user = self._context.gate.user(request.request) if request else None
        if user is not None and not user.must_change_password and may(user, "transcripts"):
            return "all"
        return "own" if self._services.settings.chat.show_analysis else "none"

    def _log(self, opened: OpenConversation | None) -> str:
        return chat_view.log(opened, self._profile(), self.words)

    def _header(self) -> str:
        return chat_view.header_name(self._profile(), self.words)

    def _profile(self) -> CompanyProfile:
        answered = self._services.chat.suggestions(self._language)
        return replace(self._services.company.get(self._language), suggestions=answered)

    def _check_intake(self, request: gr.Request, *, is_new: bool) -> None:
        context = self._context
        if context.lifecycle.is_stopping:
            raise HttpProblem("stopping")
        address = context.gate.address(request.request)
        limits = [context.new_messages] + ([context.new_conversations] if is_new else [])
        if any(limit.wait_s(address) for limit in limits):
            raise HttpProblem("too_many_requests")

    def _problem(self, error: Exception) -> str:
        kind = kind_of(error)
        name = _PROBLEMS.get(kind, "problem_other")
        limit = self._services.settings.chat.max_message_chars
        return notice(self.words(name, limit=limit), kind="error")


def build_chat(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = ChatPage(context, language)
    words = page.words
    with gr.Blocks(title=words.plain("chat_title"), analytics_enabled=False) as blocks:
        _piece("k-top", _top_bar(words))
        name = _piece("k-company")
        log = _piece("k-log")
        live = _piece("k-live")
        composer = _piece(
            "k-composer",
            _composer(words, context.services.settings.chat.max_message_chars),
            script=asset("chat.js"),
        )
        panel = _piece("k-panel")
        _wire(page, composer, [name, log, live], panel)
    return blocks


def _piece(elem_id: str, html: str = "", *, script: str | None = None) -> gr.HTML:
    return gr.HTML(html, elem_id=elem_id, js_on_load=script, apply_default_css=False)


def _wire(page: ChatPage, composer: gr.HTML, shown: list[gr.HTML], panel: gr.HTML) -> None:
    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
    answer = shown[1:]
    composer.chat_open(page.open, None, shown, **quiet)
    for trigger, handler in (
        (composer.chat_send, page.send),
        (composer.chat_again, page.regenerate),
    ):
        written = trigger(handler, None, answer, **quiet)
        written.then(None, js="() => window.kefuDone()", api_visibility="private")
    composer.chat_stop(page.stop, None, None, **quiet)
    composer.chat_person(page.person, None, answer, **quiet)
    composer.chat_rate(page.rate, None, answer, **quiet)
    composer.chat_score(page.score, None, answer, **quiet)
    opened = composer.chat_cite(page.cite, None, panel, **quiet)
    opened.then(None, js="() => window.kefuPanel()", api_visibility="private")


def _top_bar(words: Words) -> str:
    return (
        f'<header class="k-bar"><details id="k-past"><summary>{words("past")}</summary>'
        f'<nav aria-label="{words("past")}"><p id="k-no-history">{words("no_past")}</p>'
        f'<ul id="k-history" data-untitled="{words("untitled")}"></ul></nav></details>'
        f"{button('fresh', words('fresh'), kind='k-quiet')}"
        f'<span class="k-space"></span>{language_switch(words)}'
        f"{button('person', words('person'), kind='k-person')}</header>"
    )


def _composer(words: Words, max_chars: int) -> str:
    return (
        f'<form id="k-form" class="k-compose"><label class="k-hidden" for="k-text">'
        f'{words("your_message")}</label><textarea id="k-text" rows="1" maxlength="{max_chars}" '
        f'placeholder="{words("placeholder")}" aria-describedby="k-hint"></textarea>'
        f'<button id="k-send" type="submit" class="k-button k-primary">{words("send")}</button>'
        f'<button id="k-stop" type="button" class="k-button k-stop" data-act="halt" hidden>'
        f"{words('stop')}</button></form>"
        f'<p id="k-hint" class="k-hint">{words("ai_line")} <span>{words("enter_hint")}</span></p>'
    )
