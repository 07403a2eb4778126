"""The page of curated answers at `/staff/curated`: write them, see when they were given."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.curated import CuratedDraft
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import curated_view
from web.ui.markup import notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

View = tuple[Any, ...]
_SHOWN_HITS = 100


class CuratedPage:
    """Handles the events of one language's page of curated answers."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar and the answers."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            return "", self._desk.line(error), ""
        return self._desk.bar(request), "", self._list(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Does what an answer's button says; returns line, list, panel."""
        press = sent(event)
        try:
            user = self._desk.user(request, "documents.write")
            answer_id = press.get("id", "")
            if press.get("act") == "history":
                hits, total = self._services.curated.history(answer_id, limit=_SHOWN_HITS)
                answer = self._services.curated.get(answer_id)
                return "", gr.skip(), curated_view.history(answer, hits, total, self.words)
            if press.get("act") != "curated-delete":
                raise HttpProblem("bad_request")
            self._services.curated.delete(answer_id)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()
        audit.record(self._services.engine, user.name, action="curated.delete", target=answer_id)
        return notice(self.words("curated_deleted")), self._list(user), ""

    def save(self, event: gr.EventData, request: gr.Request) -> View:
        """Saves a new or changed answer; returns line and list."""
        form = sent(event)
        try:
            user = self._desk.user(request, "documents.write")
            saved_id = self._save(form, user)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip()
        return notice(self.words("saved")), self._list(user, changed=saved_id)

    def _save(self, form: Mapping[str, str], user: User) -> str:
        draft = CuratedDraft(
            language=form.get("language", ""),
            text=form.get("text", ""),
            questions=tuple(form.get("questions", "").splitlines()),
            enabled=form.get("enabled") == "on",
        )
        store, answer_id = self._services.curated, form.get("id", "")
        if answer_id:
            saved, action = store.update(answer_id, draft, author=user.name), "curated.update"
        else:
            saved, action = store.create(draft, author=user.name), "curated.create"
        audit.record(self._services.engine, user.name, action=action, target=saved.id)
        return saved.id

    def _list(self, user: User, *, changed: str | None = None) -> str:
        writes = may(user, "documents.write")
        return curated_view.answers(
            self._services.curated.list(), self.words, may_write=writes, changed=changed
        )


def build_curated(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = CuratedPage(context, language)
    words = page.words
    title = words.plain("nav_curated")
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_curated')}</h1><p>{words('curated_intro')}</p>")
        line = piece("k-line")
        listed = piece("k-curated")
        panel = piece("k-panel")
        bar.staff_open(page.open, None, [bar, line, listed], **QUIET)
        acted = bar.staff_act(page.act, None, [line, listed, panel], **QUIET)
        acted.then(
            None, js="() => { window.kefuPanel(); window.kefuTop(); }", api_visibility="private"
        )
        saved = bar.staff_form(page.save, None, [line, listed], **QUIET)
        saved.then(None, js="() => window.kefuTop()", api_visibility="private")
    return blocks
