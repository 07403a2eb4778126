"""The page at `/staff/workbench`: compare search settings, apply them, terms, evaluations.

What is tried here runs through the retriever that answers customers, so what is seen is what
they get once it is applied.
"""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.recorded import recent_retrievals, recorded_retrieval
from knowledge.eval_runs import EvalRunStore
from knowledge.search_settings import RetrievalOptions
from knowledge.terms import parse_terms
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import workbench_view as view
from web.ui.markup import notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script
from web.workbench import apply_settings, save_terms

_N_RUNS = 20
_MAX_QUERY_CHARS = 4000

View = tuple[Any, ...]


class WorkbenchPage:
    """Handles the events of one language's workbench."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows bar, line, form, results, terms, searches and evaluations."""
        try:
            user = self._desk.user(request, "search")
        except EXPECTED as error:
            return "", self._desk.line(error), "", "", "", "", ""
        engine, words = self._services.engine, self.words
        terms = self._services.retriever.terms.groups()
        searches = view.recent(recent_retrievals(engine), words) if may(user, "transcripts") else ""
        return (
            self._desk.bar(request),
            "",
            self._form("", self._live(), user),
            "",
            view.terms_form(terms, words, may_save=may(user, "documents.write")),
            searches,
            view.runs(EvalRunStore(engine).list(limit=_N_RUNS), words),
        )

    def submit(self, event: gr.EventData, request: gr.Request) -> View:
        """Compares, applies or saves terms; returns line, form and results."""
        form = sent(event)
        try:
            if form.get("form") == "terms":
                return self._save_terms(form, request), gr.skip(), gr.skip()
            user = self._desk.user(request, "search")
            tried = self._tried(form)
            if tried is None:
                return notice(self.words("workbench_invalid"), kind="error"), gr.skip(), gr.skip()
            line = ""
            if form.get("go") == "apply":
                user = self._desk.user(request, "documents.write")
                apply_settings(self._services, tried, actor=user.name)
                line = view.applied(self.words)
            return line, self._form(_query(form), tried, user), self._compare(_query(form), tried)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Returns to the defaults, or opens a recorded search; returns line, form and results."""
        press = sent(event)
        try:
            if press.get("act") == "open":
                user = self._desk.user(request, "transcripts")
                return self._open_recorded(press.get("id", ""), user)
            user = self._desk.user(request, "documents.write")
            if press.get("act") != "reset":
                raise HttpProblem("bad_request")
            live = apply_settings(self._services, None, actor=user.name)
            return view.applied(self.words), self._form("", live, user), ""
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip()

    def _open_recorded(self, message_id: str, user: User) -> View:
        recorded = recorded_retrieval(self._services.engine, message_id)
        if recorded is None:
            return notice(self.words("workbench_gone"), kind="error"), gr.skip(), gr.skip()
        found = {
            "relevance": recorded.relevance,
            "timings_ms": recorded.timings_ms,
            "hits": recorded.hits,
        }
        then = view.side(self.words("workbench_recorded"), found, self.words)
        now = self._side("workbench_live", recorded.query, self._live())
        return "", self._form(recorded.query, self._live(), user), view.columns(then, now)

    def _compare(self, query: str, tried: RetrievalOptions) -> str:
        if not query:
            return ""
        live = self._side("workbench_live", query, self._live())
        return view.columns(live, self._side("workbench_tried", query, tried))

    def _side(self, title: str, query: str, options: RetrievalOptions) -> str:
        found = self._services.retriever.search(query, options=options)
        hits = [
            {
                "rank": hit.rank,
                "score": hit.score,
                "dense_rank": hit.dense_rank,
                "dense_score": hit.dense_score,
                "lexical_rank": hit.lexical_rank,
                "lexical_score": hit.lexical_score,
                "document": hit.document,
                "text": hit.chunk.text,
            }
            for hit in found.hits
        ]
        shown = {"relevance": found.relevance, "timings_ms": found.timings_ms, "hits": hits}
        return view.side(self.words(title), shown, self.words)

    def _save_terms(self, form: Mapping[str, str], request: gr.Request) -> str:
        user = self._desk.user(request, "documents.write")
        try:
            save_terms(self._services, parse_terms(form.get("terms", "")), actor=user.name)
        except ValueError:
            return notice(self.words("terms_invalid"), kind="error")
        return notice(self.words("saved"))

    def _tried(self, form: Mapping[str, str]) -> RetrievalOptions | None:
        try:
            return RetrievalOptions(
                top_k=int(form["top_k"]),
                candidates=int(form["candidates"]),
                fusion="rank" if form["fusion"] == "rank" else "learned",
                word_weight=float(form["word_weight"]),
                per_document=int(form["per_document"]),
            )
        except (KeyError, ValueError):
            return None

    def _live(self) -> RetrievalOptions:
        return self._services.retriever.settings.current()

    def _form(self, query: str, tried: RetrievalOptions, user: User) -> str:
        may_apply = may(user, "documents.write")
        return view.settings_form(query, tried, self.words, may_apply=may_apply)


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
        terms = piece("k-terms")
        searches = piece("k-searches")
        runs = piece("k-runs")

        opened = [bar, line, form, results, terms, searches, runs]
        bar.staff_open(page.open, None, opened, **QUIET)
        submitted = bar.staff_form(page.submit, None, [line, form, results], **QUIET)
        acted = bar.staff_act(page.act, None, [line, form, results], **QUIET)
        for event in (submitted, acted):
            event.then(None, js="() => window.kefuTop()", api_visibility="private")
    return blocks


def _query(form: Mapping[str, str]) -> str:
    return form.get("q", "").strip()[:_MAX_QUERY_CHARS]
