"""The page of contradictions at `/staff/conflicts`: see them side by side, judge, correct."""

from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from knowledge.conflict_store import ConflictStore, Verdict
from knowledge.conflicts import ConflictFinder
from knowledge.types import DocumentId
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import chunks, conflicts_view
from web.ui.chunks import ChunkPanel
from web.ui.markup import notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

View = tuple[Any, ...]


class ConflictsPage:
    """Handles the events of one language's page of contradictions."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self._store = ConflictStore(context.services.engine)
        self._chunks = ChunkPanel(self._desk)
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar and what the last search found."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            return "", self._desk.line(error), ""
        return self._desk.bar(request), "", self._list(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Searches, judges or opens passages; returns line, list, panel."""
        press = sent(event)
        act = press.get("act", "")
        try:
            user = self._desk.user(
                request, "documents.read" if act == "chunks" else "documents.write"
            )
            if act == "chunks":
                return "", gr.skip(), self._chunks.show(DocumentId(press.get("id", "")), user)
            if act in chunks.ACTS:
                line, panel = self._chunks.act(act, press, user)
                return line, self._list(user), panel
            return self._change(act, press.get("id", ""), user), self._list(user), ""
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()

    def submit(self, event: gr.EventData, request: gr.Request) -> View:
        """Saves a form of the passage panel; returns line, list, panel."""
        form = sent(event)
        try:
            user = self._desk.user(request, "documents.write")
            if form.get("form") not in chunks.FORMS:
                raise HttpProblem("bad_request")
            line, panel = self._chunks.submit(form, user)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()
        return line, self._list(user), panel

    def _change(self, act: str, conflict_id: str, user: User) -> str:
        services = self._services
        if act == "conflicts-search":
            self._store.save(ConflictFinder(services.engine, embedder=services.embedder).find())
            return notice(self.words("conflicts_searched", n=len(self._store.list())))
        verdicts = {f"conflict-{verdict.value}": verdict for verdict in Verdict}
        if act not in verdicts:
            raise HttpProblem("bad_request")
        self._store.judge(conflict_id, verdicts[act], author=user.name)
        audit.record(services.engine, user.name, action="conflict.judge", target=conflict_id,
                     detail={"verdict": verdicts[act].value})  # fmt: skip
        return notice(self.words("saved"))

    def _list(self, user: User) -> str:
        writes = may(user, "documents.write")
        return conflicts_view.pairs(self._store.list(), self.words, may_write=writes)


def build_conflicts(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = ConflictsPage(context, language)
    words = page.words
    title = words.plain("nav_conflicts")
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_conflicts')}</h1><p>{words('conflicts_intro')}</p>")
        line = piece("k-line")
        listed = piece("k-conflicts")
        panel = piece("k-panel")
        bar.staff_open(page.open, None, [bar, line, listed], **QUIET)
        acted = bar.staff_act(page.act, None, [line, listed, panel], **QUIET)
        acted.then(
            None, js="() => { window.kefuPanel(); window.kefuTop(); }", api_visibility="private"
        )
        saved = bar.staff_form(page.submit, None, [line, listed, panel], **QUIET)
        saved.then(None, js="() => window.kefuPanel()", api_visibility="private")
    return blocks
