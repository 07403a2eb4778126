"""The knowledge page at `/staff/knowledge`: upload, look after and search the documents."""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ListFiles

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from knowledge.bundles import is_bundle
from knowledge.types import DocumentId, Job, JobId, JobState, OnDuplicate
from web.dependencies import WebContext
from web.errors import HttpProblem, describe
from web.security import may
from web.ui import chunks, document_list, document_panel, knowledge_view, likeness_view
from web.ui.chunks import ChunkPanel
from web.ui.document_list import Form
from web.ui.document_panel import DocumentPanel
from web.ui.documents_view import CHANGES, Care
from web.ui.markup import escape, notice
from web.ui.splitting import Picked, SplitTrial
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_log = logging.getLogger(__name__)
_REFRESH_S = 1.5
_MAX_TOP_K = 50
_SHOWN_REFUSALS = 20  # of one ZIP
#: States of a job that the list has something to say about.
_TOLD = (JobState.QUEUED, JobState.RUNNING, JobState.FAILED, JobState.CANCELLED)
_RECORDED = {
    "delete": "document.remove",
    "cancel": "job.cancel",
    "retry": "job.retry",
    **dict.fromkeys(CHANGES, "document.change"),
}

View = tuple[Any, ...]


class NamedFile(gr.File):  # type: ignore[misc]  # Gradio is not typed
    """A file picker that hands over the files' own names; Gradio drops marks such as （）."""

    is_template = True  # the browser shows it as the picker it is made from

    def preprocess(self, payload: Any) -> list[Picked] | None:
        """Returns what was picked; Gradio has checked that it lies in its upload folder."""
        if payload is None:
            return None
        files = payload if isinstance(payload, ListFiles) else [payload]
        return [Picked(Path(file.path), file.orig_name or Path(file.path).name) for file in files]


class KnowledgePage:
    """Handles the events of one language's knowledge page."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self._chunks = ChunkPanel(self._desk)
        self._document = DocumentPanel(self._desk)
        self.splitting = SplitTrial(self._desk)
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar, the documents and, to those who may, the upload."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            return "", self._desk.line(error), "", gr.Timer(active=False), gr.skip(), gr.skip()
        shown = gr.update(visible=may(user, "documents.write"))
        return self._desk.bar(request), "", *self._list(user, {}), shown, shown

    def tick(self, request: gr.Request, form: Form | None = None) -> View:
        """Shows how far the running jobs are; stops asking when none is left."""
        try:
            return self._list(self._desk.user(request, "documents.read"), form)
        except EXPECTED as error:
            return self._desk.line(error), gr.Timer(active=False)

    def find(self, event: gr.EventData, request: gr.Request, form: Form | None = None) -> View:
        """Filters, sorts or turns the list; returns line, list, timer, form in force."""
        try:
            user = self._desk.user(request, "documents.read")
            now = document_list.turned(form or {}, sent(event))
            return "", *self._list(user, now), now
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip()

    def act(self, event: gr.EventData, request: gr.Request, form: Form | None = None) -> View:
        """Does what a document's button says; returns line, list, timer, panel, replace."""
        press = sent(event)
        try:
            return self._act(press, request, form)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()

    def upload(
        self,
        files: list[Picked] | None,
        request: gr.Request,
        on_duplicate: str = OnDuplicate.KEEP,
        form: Form | None = None,
    ) -> Iterator[View]:
        """Takes files in one by one; a bad one is named with its reason, the rest go on."""
        rule = OnDuplicate(on_duplicate)  # Gradio has checked that it is one of the choices
        yield from self._take(files or [], request, form, on_duplicate=rule)

    def replace(
        self,
        files: list[Picked] | None,
        target: str,
        request: gr.Request,
        form: Form | None = None,
    ) -> Iterator[View]:
        """Takes a new version of one document."""
        yield from self._take(files or [], request, form, replace=DocumentId(target))

    def submit(self, event: gr.EventData, request: gr.Request) -> View:
        """Searches, or saves a form of the passage panel; returns hits, line, panel."""
        form = sent(event)
        name = form.get("form")
        if name not in chunks.FORMS | document_panel.FORMS:
            return self._search(form, request), gr.skip(), gr.skip()
        try:
            user = self._desk.user(request, "documents.write")
            panel = self._chunks if name in chunks.FORMS else self._document
            return gr.skip(), *panel.submit(form, user)
        except EXPECTED as error:
            return gr.skip(), self._desk.line(error), gr.skip()

    def _search(self, form: Mapping[str, str], request: gr.Request) -> str:
        """Searches with the retriever that answers customers."""
        try:
            self._desk.user(request, "search")
            top_k = form.get("top_k", "")[:5]
            wanted = min(_MAX_TOP_K, max(1, int(top_k))) if top_k.isdecimal() else None
            retrieval = self._services.retriever.search(form.get("q", "").strip(), top_k=wanted)
        except EXPECTED as error:
            return self._desk.line(error)
        return knowledge_view.found(retrieval, self.words)

    def _act(self, press: Mapping[str, str], request: gr.Request, form: Form | None) -> View:
        act = press.get("act", "")
        user = self._desk.user(request, "documents.read" if act == "chunks" else "documents.write")
        document_id = DocumentId(press.get("id", ""))
        job_id = JobId(press.get("job", ""))
        line, panel, picker, target = "", gr.skip(), gr.skip(), gr.skip()
        if act in chunks.ACTS:
            line, panel = self._chunks.act(act, press, user)
        elif act in document_panel.ACTS:
            line, panel = self._document.act(act, press, user)
        elif act == "chunks":
            panel = self._chunks.show(document_id, user)
        elif act == "replace":
            name = self._services.documents.get(document_id).name
            label = self.words.plain("replace_with", document=name)
            picker, target = gr.update(visible=True, label=label, value=None), document_id
        elif act in CHANGES:
            self._services.change_document(document_id, CHANGES[act])
        elif act == "delete":
            name = self._services.documents.get(document_id).name
            self._services.documents.remove(document_id, actor=user.name)
            line = notice(self.words("deleted", document=name))
        elif act == "cancel":
            self._services.jobs.cancel(job_id)
        elif act == "retry":
            self._services.jobs.retry(job_id)
        else:
            raise HttpProblem("bad_request")
        if act in _RECORDED:
            audit.record(self._services.engine, user.name, action=_RECORDED[act],
                         target=job_id or document_id)  # fmt: skip
        return line, *self._list(user, form), panel, picker, target

    def _take(
        self,
        files: list[Picked],
        request: gr.Request,
        form: Form | None,
        *,
        replace: DocumentId | None = None,
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> Iterator[View]:
        """Yields line, list, timer, picker: once a file, so that each is seen at once."""
        try:
            user = self._desk.user(request, "documents.write")
        except EXPECTED as error:
            _discard(files)
            yield self._desk.line(error), gr.skip(), gr.skip(), None
            return
        lines = ""
        for picked in files:
            lines += self._submit(picked, user, replace, on_duplicate)
            yield lines, *self._list(user, form), gr.skip()
        done = gr.update(value=None) if replace is None else gr.update(value=None, visible=False)
        yield lines, *self._list(user, form), done

    def _submit(
        self, picked: Picked, user: User, replace: DocumentId | None, on_duplicate: OnDuplicate
    ) -> str:
        try:
            data = picked.read()
            found = self._services.ingestor.submit_all(
                picked.name, data, author=user.name, replace=replace, on_duplicate=on_duplicate
            )
        except EXPECTED as error:
            return self._refused(picked.name, error)
        finally:
            picked.path.unlink(missing_ok=True)
        for one in found:
            if one.document_id:
                audit.record(self._services.engine, user.name, action="document.upload",
                             target=one.document_id)  # fmt: skip
        errors = [(one.name, one.error) for one in found if one.error is not None]
        lines = [self._refused(name, error) for name, error in errors[:_SHOWN_REFUSALS]]
        if len(errors) > len(lines):
            rest = self.words("more_refused", n=len(errors) - len(lines))
            lines.append(notice(rest, kind="error"))
        accepted = self.words("accepted")
        if is_bundle(picked.name):
            accepted = self.words("bundle_accepted", n=len(found) - len(errors))
        return notice(f"<strong>{escape(picked.name)}</strong> {accepted}") + "".join(lines)

    def _refused(self, name: str, error: Exception) -> str:
        title, detail = describe(error, self._services.catalogue, self._desk.language)
        line = f"<strong>{escape(name)}</strong> {escape(title)}: {escape(detail)}"
        return notice(line, kind="error")

    def _list(self, user: User, form: Form | None) -> View:
        documents = self._services.documents.list()
        shown, total, page = document_list.chosen(documents, form or {}, self._services)
        jobs = self._jobs({document.job_id for document in documents if document.job_id})
        by_document = {d.id: jobs[d.job_id] for d in documents if d.job_id in jobs}
        table = knowledge_view.documents(
            shown,
            by_document,
            self.words,
            may_write=may(user, "documents.write"),
            facts=Care(
                datetime.now(UTC),
                self._services.settings.knowledge.stale_after_days,
                self._services.document_uses.counts(),
                self._services.duplicates.all(),
                n_fitting=total,
            ),
        )
        if documents:
            table = document_list.framed(table, total, page, self.words)
        is_busy = any(knowledge_view.is_open(job) for job in by_document.values())
        return table, gr.Timer(active=is_busy)

    def _jobs(self, wanted: set[JobId]) -> dict[JobId, Job]:
        found = [job for state in _TOLD for job in self._services.jobs.list(state=state)]
        return {job.id: job for job in found if job.id in wanted}


def build_knowledge(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = KnowledgePage(context, language)
    words = page.words
    title = words.plain("nav_knowledge")
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_knowledge')}</h1>")
        with gr.Column(visible=False, elem_id="k-intake") as intake:
            on_duplicate = gr.Dropdown(
                likeness_view.choices(words), value=OnDuplicate.KEEP.value, filterable=False,
                label=words.plain("on_duplicate"), elem_id="k-on-duplicate",
            )  # fmt: skip
            picker = NamedFile(
                label=words.plain("upload"), file_count="multiple", height=150, elem_id="k-upload"
            )
        line = piece("k-line")
        target = gr.State("")
        new_version = NamedFile(file_count="single", height=150, visible=False, elem_id="k-replace")
        piece("k-documents-filter", document_list.filter_form(words))
        form = gr.State({})
        listed = piece("k-documents")
        timer = gr.Timer(_REFRESH_S, active=False)
        trial = NamedFile(
            label=words.plain("split_pick"), file_count="single", height=110, visible=False,
            elem_id="k-trial",
        )  # fmt: skip
        rule, passages = piece("k-split-form"), piece("k-split")
        piece("k-search", knowledge_view.search_form(words))
        hits = piece("k-hits")
        panel = piece("k-panel")

        bar.staff_open(page.open, None, [bar, line, listed, timer, intake, trial], **QUIET)
        timer.tick(page.tick, form, [listed, timer], **QUIET)
        bar.staff_filter(page.find, form, [line, listed, timer, form], **QUIET)
        acted = bar.staff_act(
            page.act, form, [line, listed, timer, panel, new_version, target], **QUIET
        )
        acted.then(
            None, js="() => { window.kefuPanel(); window.kefuTop(); }", api_visibility="private"
        )
        picker.upload(
            page.upload, [picker, on_duplicate, form], [line, listed, timer, picker], **QUIET
        )
        new_version.upload(
            page.replace, [new_version, target, form], [line, listed, timer, new_version], **QUIET
        )
        tried = [line, rule, passages, trial]
        trial.upload(page.splitting.choose, trial, tried, **QUIET)
        changed = bar.staff_split(page.splitting.change, trial, tried, **QUIET)
        changed.then(None, js="() => window.kefuSplit()", api_visibility="private")
        changed.then(page.tick, form, [listed, timer], **QUIET)  # what was saved is being taken in
        sent_in = bar.staff_form(page.submit, None, [hits, line, panel], **QUIET)
        sent_in.then(None, js="() => window.kefuPanel()", api_visibility="private")
        sent_in.then(page.tick, form, [listed, timer], **QUIET)  # a form may change a document
    return blocks


def _discard(files: list[Picked]) -> None:
    for picked in files:
        picked.path.unlink(missing_ok=True)
