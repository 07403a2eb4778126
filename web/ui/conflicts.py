"""The page of contradictions at `/staff/conflicts`: see them side by side, judge, correct.

A search runs in the background and lets customers go first; the page shows how far it is.
"""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from knowledge.conflict_job import queue_conflicts
from knowledge.conflict_store import ConflictStore, Verdict
from knowledge.jobs import CONFLICTS
from knowledge.types import DocumentId, JobId
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import chunks, conflicts_view
from web.ui.chunks import ChunkPanel
from web.ui.markup import notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_REFRESH_S = 1.0

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
        """Shows the bar, how far a search is and what the last one found."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            return "", self._desk.line(error), "", gr.Timer(active=False), ""
        return self._desk.bar(request), "", *self._search(user), self._list(user)

    def tick(self, request: gr.Request) -> View:
        """Shows how far it is; returns line, search, timer and, at its end, the list."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.Timer(active=False), gr.skip()
        search, timer = self._search(user)
        if timer.active:
            return gr.skip(), search, timer, gr.skip()
        line = notice(self.words("conflicts_searched", n=len(self._store.list())))
        return line, search, timer, self._list(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Searches, judges or opens passages; returns line, search, timer, list, panel."""
        press = sent(event)
        act = press.get("act", "")
        try:
            user = self._desk.user(
                request, "documents.read" if act == "chunks" else "documents.write"
            )
            if act == "chunks":
                panel = self._chunks.show(DocumentId(press.get("id", "")), user)
                return "", gr.skip(), gr.skip(), gr.skip(), panel
            if act in chunks.ACTS:
                line, panel = self._chunks.act(act, press, user)
                return line, gr.skip(), gr.skip(), self._list(user), panel
            line = self._change(act, press, user)
            return line, *self._search(user), self._list(user), ""
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip(), gr.skip()

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

    def _change(self, act: str, press: Mapping[str, str], user: User) -> str:
        engine, jobs = self._services.engine, self._services.jobs
        if act == "conflicts-search":
            job_id = queue_conflicts(jobs)
            audit.record(engine, user.name, action="conflicts.search", target=job_id)
            return ""
        if act == "conflicts-cancel":
            job = jobs.get(JobId(press.get("job", "")))
            if job.kind != CONFLICTS:
                raise HttpProblem("bad_request")
            jobs.cancel(job.id)
            audit.record(engine, user.name, action="conflicts.cancel", target=job.id)
            return ""
        verdicts = {f"conflict-{verdict.value}": verdict for verdict in Verdict}
        if act not in verdicts:
            raise HttpProblem("bad_request")
        conflict_id = press.get("id", "")
        self._store.judge(conflict_id, verdicts[act], author=user.name)
        audit.record(engine, user.name, action="conflict.judge", target=conflict_id,
                     detail={"verdict": verdicts[act].value})  # fmt: skip
        return notice(self.words("saved"))

    def _search(self, user: User) -> View:
        """Returns the button or the progress, and the timer that asks again while it runs."""
        newest = next(iter(self._services.jobs.newest(CONFLICTS, limit=1)), None)
        writes = may(user, "documents.write")
        shown = conflicts_view.search(newest, self.words, may_write=writes)
        return shown, gr.Timer(active=newest is not None and newest.state in conflicts_view.OPEN)

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
        search = piece("k-running")
        timer = gr.Timer(_REFRESH_S, active=False)
        listed = piece("k-conflicts")
        panel = piece("k-panel")
        bar.staff_open(page.open, None, [bar, line, search, timer, listed], **QUIET)
        timer.tick(page.tick, None, [line, search, timer, listed], **QUIET)
        acted = bar.staff_act(page.act, None, [line, search, timer, listed, panel], **QUIET)
        acted.then(
            None, js="() => { window.kefuPanel(); window.kefuTop(); }", api_visibility="private"
        )
        saved = bar.staff_form(page.submit, None, [line, listed, panel], **QUIET)
        saved.then(None, js="() => window.kefuPanel()", api_visibility="private")
    return blocks
