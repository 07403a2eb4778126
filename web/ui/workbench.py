"""The page at `/staff/workbench`: compare search settings, apply them, terms, live searches.

What is tried here runs through the retriever that answers customers, so what is seen is what
they get once it is applied. A search that answered a customer opens beside what it gives now.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import gradio as gr

from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.recorded import RecordedRetrieval, recorded_retrieval
from knowledge.search_settings import RetrievalOptions
from knowledge.terms import parse_terms
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import search_filter, searches_view
from web.ui import workbench_view as view
from web.ui.markup import notice
from web.ui.searches import SearchList
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script
from web.workbench import apply_settings, save_terms

_MAX_QUERY_CHARS = 4000

View = tuple[Any, ...]
_SAME = gr.skip()


class WorkbenchPage:
    """Handles the events of one language's workbench."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words
        self._searches = SearchList(context.services.engine, self.words)

    def open(self, request: gr.Request) -> View:
        """Shows bar, line, form, searches and terms."""
        try:
            user = self._desk.user(request, "search")
        except EXPECTED as error:
            return "", self._desk.line(error), "", "", ""
        terms = self._services.retriever.terms.groups()
        return (
            self._desk.bar(request),
            "",
            self._form(view.Asked(), self._live(), user),
            self._searches.show({}, 1) if may(user, "transcripts") else "",
            view.terms_form(terms, self.words, may_save=may(user, "documents.write")),
        )

    def submit(self, event: gr.EventData, request: gr.Request) -> View:
        """Compares, applies, saves terms or finds searches.

        Returns line, form, results, searches and what the searches were found by.
        """
        form = dict(sent(event))
        try:
            if form.get("form") == "terms":
                return self._save_terms(form, request), _SAME, _SAME, _SAME, _SAME
            if form.get("form") == "searches":
                self._desk.user(request, "transcripts")
                return "", _SAME, _SAME, self._searches.show(form, 1), form
            return *self._try(form, request), _SAME, _SAME
        except EXPECTED as error:
            return self._desk.line(error), _SAME, _SAME, _SAME, _SAME

    def act(
        self, found_by: dict[str, str] | None, event: gr.EventData, request: gr.Request
    ) -> View:
        """Returns to the defaults, opens a recorded search or turns the list's page.

        Returns line, form, results and searches.
        """
        press = sent(event)
        try:
            if press.get("act") == "show":
                user = self._desk.user(request, "transcripts")
                return *self._open_recorded(press.get("id", ""), user), _SAME
            page = press.get("page", "")
            if press.get("act") == "page" and page.isdecimal():
                self._desk.user(request, "transcripts")
                return "", _SAME, _SAME, self._searches.show(found_by or {}, max(1, int(page)))
            user = self._desk.user(request, "documents.write")
            if press.get("act") != "reset":
                raise HttpProblem("bad_request")
            live = apply_settings(self._services, None, actor=user.name)
            return view.applied(self.words), self._form(view.Asked(), live, user), "", _SAME
        except EXPECTED as error:
            return self._desk.line(error), _SAME, _SAME, _SAME

    def _try(self, form: Mapping[str, str], request: gr.Request) -> tuple[Any, Any, Any]:
        user = self._desk.user(request, "search")
        tried = self._tried(form)
        if tried is None:
            return notice(self.words("workbench_invalid"), kind="error"), _SAME, _SAME
        asked = self._asked(form)
        line = ""
        if form.get("go") == "apply":
            user = self._desk.user(request, "documents.write")
            apply_settings(self._services, tried, actor=user.name)
            line = view.applied(self.words)
        recorded = self._recorded(asked, user)
        return line, self._form(asked, tried, user), self._compare(asked, tried, recorded)

    def _open_recorded(self, message_id: str, user: User) -> tuple[Any, Any, Any]:
        recorded = recorded_retrieval(self._services.engine, message_id)
        if recorded is None:
            return notice(self.words("workbench_gone"), kind="error"), _SAME, _SAME
        live = self._live()
        asked = view.Asked(recorded.query, message_id)
        return "", self._form(asked, live, user), self._compare(asked, live, recorded)

    def _asked(self, form: Mapping[str, str]) -> view.Asked:
        query = form.get("q", "").strip()[:_MAX_QUERY_CHARS]
        chosen = {name: form[name] for name in search_filter.FIELDS if form.get(name)}
        only = search_filter.read(chosen, self._services.documents)
        return view.Asked(query, form.get("record", ""), chosen, only)

    def _recorded(self, asked: view.Asked, user: User) -> RecordedRetrieval | None:
        """The search that the form was opened with, while its question still stands there."""
        if not asked.record or not may(user, "transcripts"):
            return None
        recorded = recorded_retrieval(self._services.engine, asked.record)
        return recorded if recorded and recorded.query == asked.query else None

    def _compare(
        self, asked: view.Asked, tried: RetrievalOptions, recorded: RecordedRetrieval | None
    ) -> str:
        """Shows a search as it was, by the settings in force and by those tried."""
        if not asked.query:
            return ""
        live = self._live()
        above, sides = "", []
        if recorded is not None:
            above = searches_view.opened(recorded, self.words)
            found = {
                "relevance": recorded.relevance,
                "threshold": recorded.threshold,
                "timings_ms": recorded.timings_ms or {},
                "hits": recorded.hits,
                "candidates": recorded.candidates,
            }
            sides.append(view.side(self.words("workbench_recorded"), found, self.words))
        sides.append(self._side("workbench_live", asked, live))
        if recorded is None or tried != live:
            sides.append(self._side("workbench_tried", asked, tried))
        note = f'<p class="k-label">{self.words("only_note")}</p>' if asked.only else ""
        return above + note + view.columns(*sides)

    def _side(self, title: str, asked: view.Asked, options: RetrievalOptions) -> str:
        search = self._services.retriever.search
        found = search(asked.query, options=options, only=asked.only)
        shown = {
            "relevance": found.relevance,
            "threshold": found.threshold,
            "timings_ms": found.timings_ms,
            "hits": [asdict(hit) | {"text": hit.chunk.text} for hit in found.hits],
            "candidates": found.candidates,
        }
        return view.side(self.words(title), shown, self.words)

    def _save_terms(self, form: Mapping[str, str], request: gr.Request) -> str:
        user = self._desk.user(request, "documents.write")
        try:
            save_terms(self._services, parse_terms(form.get("terms", "")), actor=user.name)
        except ValueError:
            return notice(self.words("terms_invalid"), kind="error")
        return notice(self.words("saved"))

    def _tried(self, form: Mapping[str, str]) -> RetrievalOptions | None:
        live = self._live()
        try:
            return RetrievalOptions(
                top_k=int(form["top_k"]),
                candidates=int(form["candidates"]),
                fusion="rank" if form["fusion"] == "rank" else "learned",
                word_weight=float(form["word_weight"]),
                per_document=int(form["per_document"]),
                handoffs_per_wrong_answer=float(form["handoffs_per_wrong_answer"]),
                relevance_threshold=_optional(form["relevance_threshold"]),
                rerank_candidates=int(form.get("rerank_candidates", live.rerank_candidates)),
            )
        except (KeyError, ValueError):
            return None

    def _live(self) -> RetrievalOptions:
        return self._services.retriever.settings.current()

    def _form(self, asked: view.Asked, tried: RetrievalOptions, user: User) -> str:
        may_apply = may(user, "documents.write")
        only = search_filter.fields(asked.fields, self._services.documents.list(), self.words)
        has_reranker = self._services.retriever.reranker is not None
        offered = view.Offered(may_apply=may_apply, has_reranker=has_reranker)
        return view.settings_form(asked, tried, self.words, offered=offered, only=only)


def build_workbench(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = WorkbenchPage(context, language)
    words = page.words
    with gr.Blocks(title=words.plain("nav_workbench"), analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_workbench')}</h1>")
        line = piece("k-line")
        form = piece("k-workbench")
        results = piece("k-results")
        searches = piece("k-searches")
        terms = piece("k-terms")
        found_by = gr.State({})

        bar.staff_open(page.open, None, [bar, line, form, searches, terms], **QUIET)
        changed = [line, form, results, searches]
        submitted = bar.staff_form(page.submit, None, [*changed, found_by], **QUIET)
        acted = bar.staff_act(page.act, found_by, changed, **QUIET)
        for event in (submitted, acted):
            event.then(None, js="() => window.kefuTop()", api_visibility="private")
    return blocks


def _optional(value: str) -> float | None:
    return float(value) if value.strip() else None
