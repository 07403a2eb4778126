"""The page at `/staff/faq`: download a template, see a filled one checked, then import it."""

from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from knowledge.faq_import import FaqImporter
from knowledge.faq_template import FaqCheck, check_template, without_known
from knowledge.ingestion import clean_file_name
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import faq_view
from web.ui.knowledge import NamedFile
from web.ui.markup import notice
from web.ui.splitting import Picked
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

View = tuple[Any, ...]


class FaqPage:
    """Handles the events of one language's page.

    Between check and import the file stays with the picker; it is read again when imported, so
    that what is imported passed the check.
    """

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self._limits = context.services.previewer.limits
        self._importer = FaqImporter(
            context.services.documents, context.services.ingestor, context.services.change_document
        )
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar, the templates and, to those who may, the picker."""
        try:
            user = self._desk.user(request, "documents.read")
        except EXPECTED as error:
            return "", self._desk.line(error), "", gr.update(visible=False)
        shown = gr.update(visible=may(user, "documents.write"))
        return self._desk.bar(request), "", faq_view.links(self.words), shown

    def check(self, files: list[Picked] | None, request: gr.Request) -> View:
        """Shows what a filled template holds; returns line, check, picker."""
        try:
            self._desk.user(request, "documents.write")
            name, found = self._read(files)
        except EXPECTED as error:
            _discard(files)
            return self._desk.line(error), "", gr.update(value=None)
        return "", faq_view.checked(name, found, self.words), gr.skip()

    def act(self, files: list[Picked] | None, event: gr.EventData, request: gr.Request) -> View:
        """Imports what was checked, or discards it; returns line, check, picker."""
        act = sent(event).get("act", "")
        try:
            user = self._desk.user(request, "documents.write")
            if act not in ("faq-import", "faq-discard"):
                raise HttpProblem("bad_request")
            line = self._import(files, user) if act == "faq-import" else ""
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()
        _discard(files)
        return line, "", gr.update(value=None)

    def _read(self, files: list[Picked] | None) -> tuple[str, FaqCheck]:
        if not files:
            raise HttpProblem("bad_request")
        name = clean_file_name(files[0].name)
        found = check_template(name, files[0].read(), self._limits)
        return name, without_known(found, self._importer.known(name))

    def _import(self, files: list[Picked] | None, user: User) -> str:
        name, found = self._read(files)
        done = self._importer.take_in(name, found.entries, author=user.name)
        for document_id in done.taken:
            audit.record(self._services.engine, user.name, action="document.upload",
                         target=document_id)  # fmt: skip
        n_rows, n_documents = len(found.entries), len(done.taken)
        detail = {"rows": n_rows, "archived": len(done.archived)}
        audit.record(self._services.engine, user.name, action="faq.import", target=name,
                     detail=detail)  # fmt: skip
        line = notice(self.words("faq_done", n=n_rows, documents=n_documents))
        if done.archived:
            line += notice(self.words("faq_archived", names=", ".join(done.archived)))
        return line


def build_faq(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = FaqPage(context, language)
    words = page.words
    title = words.plain("nav_faq")
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_faq')}</h1><p>{words('faq_intro')}</p>")
        links = piece("k-form")
        label = words.plain("faq_pick")
        picker = NamedFile(label=label, file_count="single", height=150, visible=False)
        line = piece("k-line")
        checked = piece("k-checked")
        shown = [line, checked, picker]
        bar.staff_open(page.open, None, [bar, line, links, picker], **QUIET)
        picker.upload(page.check, picker, shown, **QUIET)
        picker.clear(lambda: "", None, checked, **QUIET)
        acted = bar.staff_act(page.act, picker, shown, **QUIET)
        acted.then(None, js="() => window.kefuTop()", api_visibility="private")
    return blocks


def _discard(files: list[Picked] | None) -> None:
    for picked in files or ():
        picked.path.unlink(missing_ok=True)
