"""The page at `/staff/sources`: web pages and sitemaps that are kept as documents."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from knowledge.errors import JobNotFound
from knowledge.types import Job, JobId, Schedule, SourceId, SourceKind
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import sources_view
from web.ui.knowledge import NamedFile
from web.ui.markup import notice
from web.ui.splitting import Picked
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_REFRESH_S = 1.5

View = tuple[Any, ...]


class SourcesPage:
    """Handles the events of one language's page of web sources."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar, the sources and, to those who may, the form."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            hidden = gr.update(visible=False)
            line = self._desk.line(error)
            return "", line, "", "", gr.Timer(active=False), "", hidden, hidden
        may_write = may(user, "documents.write")
        form = sources_view.add_form(self.words) if may_write else ""
        archive = sources_view.archive(self.words) if may_write else ""
        shown = gr.update(visible=may_write)
        return self._desk.bar(request), "", form, *self._list(user), archive, shown, shown

    def tick(self, request: gr.Request) -> View:
        """Shows how far the running syncs are; stops asking when none is left."""
        try:
            return self._list(self._desk.user(request, "documents.read"))
        except EXPECTED as error:
            return self._desk.line(error), gr.Timer(active=False)

    def send(self, event: gr.EventData, request: gr.Request) -> View:
        """Adds an address or changes a schedule; returns line, list, timer."""
        form = sent(event)
        try:
            user = self._desk.user(request, "documents.write")
            is_new = form.get("form") == "add"
            line = self._add(form, user) if is_new else self._reschedule(form, user)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()
        return line, *self._list(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Does what a source's button says; returns line, list, timer, panel."""
        press = sent(event)
        try:
            return self._act(press.get("act", ""), press, request)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip()

    def restore(self, files: list[Picked] | None, replace: bool, request: gr.Request) -> View:
        """Restores an exported knowledge base; returns line, picker, list, timer."""
        picked = files[0] if files else None
        try:
            user = self._desk.user(request, "documents.write")
            if picked is None:
                raise HttpProblem("bad_request")
            manifest = self._services.archive.restore(picked.path, replace=bool(replace))
        except EXPECTED as error:
            return self._desk.line(error), gr.update(value=None), gr.skip(), gr.skip()
        finally:
            if picked is not None:
                picked.path.unlink(missing_ok=True)
        audit.record(self._services.engine, user.name, action="knowledge.import")
        line = notice(self.words("archive_done", n=manifest.n_documents))
        return line, gr.update(value=None), *self._list(user)

    def _add(self, form: Mapping[str, str], user: User) -> str:
        source = self._services.sources.add(
            form.get("url", ""),
            kind=_member(SourceKind, form.get("kind", "")),
            schedule=_member(Schedule, form.get("schedule", "")),
            author=user.name,
        )
        audit.record(self._services.engine, user.name, action="source.add", target=source.id)
        return f'<div class="k-added">{notice(self.words("source_added", url=source.url))}</div>'

    def _reschedule(self, form: Mapping[str, str], user: User) -> str:
        source_id = SourceId(form.get("id", ""))
        schedule = _member(Schedule, form.get("schedule", ""))
        self._services.sources.reschedule(source_id, schedule)
        audit.record(self._services.engine, user.name, action="source.schedule", target=source_id)
        return notice(self.words("saved"))

    def _act(self, act: str, press: Mapping[str, str], request: gr.Request) -> View:
        user = self._desk.user(request, "documents.read" if act == "pages" else "documents.write")
        source_id, store = SourceId(press.get("id", "")), self._services.sources
        line, panel = "", gr.skip()
        if act == "pages":
            panel = sources_view.pages(store.get(source_id), store.pages(source_id), self.words)
            return line, *self._list(user), panel
        if act == "sync":
            store.sync(source_id)
        elif act == "cancel":
            self._services.jobs.cancel(JobId(press.get("job", "")))
        elif act == "remove":
            url = store.get(source_id).url
            store.remove(source_id)
            line = notice(self.words("source_dropped", url=url))
        else:
            raise HttpProblem("bad_request")
        target = source_id or press.get("job", "")
        audit.record(self._services.engine, user.name, action=f"source.{act}", target=target)
        return line, *self._list(user), panel

    def _list(self, user: User) -> View:
        shown = self._services.sources.list()
        jobs = self._jobs([source.job_id for source in shown if source.job_id])
        may_write = may(user, "documents.write")
        listed = sources_view.sources(shown, jobs, self.words, may_write=may_write)
        is_busy = any(sources_view.is_open(job) for job in jobs.values())
        return listed, gr.Timer(active=is_busy)

    def _jobs(self, wanted: list[JobId]) -> dict[JobId, Job]:
        found = {}
        for job_id in wanted:
            try:
                found[job_id] = self._services.jobs.get(job_id)
            except JobNotFound:  # tidied away; the source itself says how it went
                continue
        return found


def build_sources(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = SourcesPage(context, language)
    words = page.words
    title = words.plain("nav_sources")
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_sources')}</h1><p>{words('sources_intro')}</p>")
        form = piece("k-form")
        line = piece("k-line")
        listed = piece("k-sources")
        timer = gr.Timer(_REFRESH_S, active=False)
        archive = piece("k-archive")
        replace = gr.Checkbox(label=words.plain("archive_replace"), value=False, visible=False)
        picker = NamedFile(
            label=words.plain("archive_import"), file_count="single", height=120, visible=False
        )
        panel = piece("k-panel")

        opened = [bar, line, form, listed, timer, archive, replace, picker]
        bar.staff_open(page.open, None, opened, **QUIET)
        picker.upload(page.restore, [picker, replace], [line, picker, listed, timer], **QUIET)
        timer.tick(page.tick, None, [listed, timer], **QUIET)
        added = bar.staff_form(page.send, None, [line, listed, timer], **QUIET)
        added.then(None, js="() => window.kefuAdded()", api_visibility="private")
        acted = bar.staff_act(page.act, None, [line, listed, timer, panel], **QUIET)
        acted.then(
            None, js="() => { window.kefuPanel(); window.kefuTop(); }", api_visibility="private"
        )
    return blocks


def _member(kind: Any, value: str) -> Any:
    """Returns the member of a closed set; raises `HttpProblem` for anything else."""
    try:
        return kind(value)
    except ValueError:
        raise HttpProblem("invalid") from None
