"""The transcripts page at `/staff/transcripts`: find a conversation and see why it went as it did.

The filters in force travel with the page, not with the server: the form is sent whole each time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import gradio as gr

from bot.assembly import Services
from bot.catalogue import UiLanguage
from bot.classifiers.labels import LABELS, Task
from bot.labels import label_of
from bot.resolutions import suggest_resolution
from bot.transcripts import ConversationFilter
from bot.types import ConversationId, ConversationState, Message, MessageId
from knowledge.types import ScoredChunk
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.ui import transcripts_view
from web.ui.analysis_view import Reading
from web.ui.markup import notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_PAGE_SIZE = 20
_FLAGS = {"1": True, "0": False}

View = tuple[Any, ...]


class TranscriptsPage:
    """Handles the events of one language's transcripts page."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar and the newest conversations."""
        try:
            self._desk.user(request, "transcripts")
        except EXPECTED as error:
            return "", self._desk.line(error), ""
        return self._desk.bar(request), "", self._page({}, 1)

    def find(self, event: gr.EventData, request: gr.Request) -> View:
        """Shows the first page of what the form asks for and remembers the form."""
        form = dict(sent(event))
        try:
            self._desk.user(request, "transcripts")
            return "", self._page(form, 1), form
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()

    def act(self, form: dict[str, str] | None, event: gr.EventData, request: gr.Request) -> View:
        """Opens a conversation, or turns the list's page; returns line, list, detail."""
        press = sent(event)
        try:
            self._desk.user(request, "transcripts")
            if press.get("act") == "resolution":
                return "", gr.skip(), self._resolved(MessageId(press.get("id", "")))
            if press.get("act") == "show":
                return "", gr.skip(), self._conversation(ConversationId(press.get("id", "")))
            page = press.get("page", "")
            if press.get("act") != "page" or not page.isdecimal():
                raise HttpProblem("bad_request")
            return "", self._page(form or {}, max(1, int(page))), gr.skip()
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), ""

    def label(self, event: gr.EventData, request: gr.Request) -> View:
        """Puts the labels of the form in force that differ; returns line and detail."""
        form = sent(event)
        try:
            user = self._desk.user(request, "transcripts")
            message = self._services.conversations.message(MessageId(form.get("id", "")))
            n_changed = correct_labels(self._services, message, form, author=user.name)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip()
        name = "labels_saved" if n_changed else "labels_unchanged"
        said = notice(self.words(name, n=n_changed))
        return said, self._conversation(message.conversation_id)

    def _resolved(self, message_id: MessageId) -> str:
        """Shows a conversation with a suggested resolution under one of its messages."""
        message = self._services.conversations.message(message_id)
        hit = suggest_resolution(self._services.retriever, message.text)
        return self._conversation(message.conversation_id, resolution=(message_id, hit))

    def _page(self, form: Mapping[str, str], page: int) -> str:
        wanted = _filter(form, page)
        found, total = self._services.conversations.find(wanted)
        return transcripts_view.conversations(
            found, total, self.words, page=page, page_size=_PAGE_SIZE
        )

    def _conversation(
        self,
        conversation_id: ConversationId,
        *,
        resolution: tuple[MessageId, ScoredChunk | None] | None = None,
    ) -> str:
        opened = self._services.conversations.get(conversation_id)
        messages = self._services.conversations.messages(conversation_id, with_superseded=True)
        labels = self._services.labels
        reading = Reading(
            corrections=labels.of_conversation(conversation_id),
            options={task: labels.options(task) for task in Task},
            resolution=resolution,
        )
        return transcripts_view.conversation(opened, messages, self.words, reading=reading)


def correct_labels(
    services: Services, message: Message, form: Mapping[str, str], *, author: str
) -> int:
    """Corrects what the form says otherwise than what is in force; returns how many labels."""
    reading = Reading(services.labels.of_conversation(message.conversation_id))
    analysis = reading.in_force(message)
    n_changed = 0
    for task in Task:
        label = form.get(task.value, "")
        if not label or (analysis and label == label_of(analysis, task)):
            continue
        services.labels.correct(message.id, task, label, author=author)
        n_changed += 1
    return n_changed


def _filter(form: Mapping[str, str], page: int) -> ConversationFilter:
    until = _day(form.get("date_to", ""))
    state = form.get("state", "")
    rating = form.get("rating", "")
    severity = form.get("severity", "")
    return ConversationFilter(
        q=form.get("q", ""),
        date_from=_day(form.get("date_from", "")),
        date_to=until + timedelta(days=1) if until else None,
        language=form.get("language") or None,
        rating=int(rating) if rating.isdecimal() else None,
        state=ConversationState(state) if state in set(ConversationState) else None,
        handed_off=_FLAGS.get(form.get("handed_off", "")),
        unanswered=_FLAGS.get(form.get("unanswered", "")),
        intent=form.get("intent") or None,
        sentiment=form.get("sentiment") or None,
        severity=int(severity) if severity in LABELS[Task.SEVERITY] else None,
        is_due_first=form.get("order") == "due",
        page=page,
        page_size=_PAGE_SIZE,
    )


def _day(text: str) -> datetime | None:
    """Reads a date field; a day begins at midnight UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def build_transcripts(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = TranscriptsPage(context, language)
    words = page.words
    title = words.plain("nav_transcripts")
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_transcripts')}</h1>")
        line = piece("k-line")
        piece("k-filters", transcripts_view.filters(words, context.services.labels.options))
        listed = piece("k-list")
        detail = piece("k-transcript")
        form = gr.State({})

        bar.staff_open(page.open, None, [bar, line, listed], **QUIET)
        bar.staff_form(page.find, None, [line, listed, form], **QUIET)
        bar.staff_act(page.act, form, [line, listed, detail], **QUIET)
        bar.staff_label(page.label, None, [line, detail], **QUIET)
    return blocks
