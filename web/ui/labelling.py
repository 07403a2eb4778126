"""The page of messages to label at `/staff/labelling`: what teaches most, a press each."""

from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.classifiers.labels import NO, YES, Task
from bot.types import MessageId
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import intents_view, labelling_view
from web.ui.markup import notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_SHOWN = 20

View = tuple[Any, ...]


class LabellingPage:
    """Handles the events of one language's page of messages to label."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows bar, line and messages."""
        try:
            user = self._desk.user(request, "labels")
        except EXPECTED as error:
            return "", self._desk.line(error), ""
        return self._desk.bar(request), "", self._list(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Keeps the label of a button or form; returns line and messages."""
        press = sent(event)
        try:
            user = self._desk.user(request, "labels")
            act = press.get("act") or press.get("form", "")
            message_id, label = MessageId(press.get("id", "")), press.get("choice", "")
            if act == "label-right":
                self._confirm(message_id, user)
            elif act in ("label-intent", "label"):
                self._correct(message_id, Task.INTENT, label, user)
            elif act == "label-complaint":
                self._correct(message_id, Task.COMPLAINT, label, user)
            else:
                raise HttpProblem("bad_request")
        except EXPECTED as error:
            return self._desk.line(error), gr.skip()
        return notice(self.words("labelling_saved")), self._list(user)

    def _confirm(self, message_id: MessageId, user: User) -> None:
        """Keeps that what was understood is right, of the intent and, where asked, complaint."""
        analysis = self._services.intents.uncertain.analysis(message_id)
        self._correct(message_id, Task.INTENT, analysis.intent.label, user)
        if analysis.complaint.confidence:
            label = YES if analysis.complaint.is_complaint else NO
            self._correct(message_id, Task.COMPLAINT, label, user)

    def _correct(self, message_id: MessageId, task: Task, label: str, user: User) -> None:
        made = self._services.labels.correct(message_id, task, label, author=user.name)
        detail = {"task": made.task.value, "old": made.old_label, "new": made.new_label}
        audit.record(
            self._services.engine,
            user.name,
            action="label.correct",
            target=message_id,
            detail=detail,
        )

    def _list(self, user: User) -> str:
        intents = self._services.intents
        return labelling_view.queue(
            intents.uncertain.find(limit=_SHOWN),
            self.words,
            labels=intents.labels(),
            names=intents_view.names_of(intents.store.list(), self.words.language),
            may_open=may(user, "transcripts"),
        )


def build_labelling(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = LabellingPage(context, language)
    words = page.words
    title = words.plain("nav_labelling")
    link = f'<a class="k-back" href="intents">← {words("intents_back")}</a>'
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{title}</h1><p>{words('labelling_intro')} {link}</p>")
        line = piece("k-line")
        listed = piece("k-list")
        bar.staff_open(page.open, None, [bar, line, listed], **QUIET)
        bar.staff_act(page.act, None, [line, listed], **QUIET)
        bar.staff_form(page.act, None, [line, listed], **QUIET)
    return blocks
