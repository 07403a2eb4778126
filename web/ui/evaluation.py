"""The page at `/staff/evaluation`: measure retrieval on labelled questions, compare two runs.

An evaluation runs in the background and lets customers go first; each is kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.confirmed import confirmed_answers
from knowledge.errors import QuestionsRejected
from knowledge.eval_runs import EvalRunStore
from knowledge.evaluate_job import queue_evaluation
from knowledge.evaluation import MAX_FILE_BYTES, MAX_QUESTIONS, Question, read_questions
from knowledge.jobs import EVALUATE
from knowledge.types import JobId
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.retrieval_eval import CONFIRMED, confirmed_questions
from web.security import may
from web.ui import evaluation_view as view
from web.ui.knowledge import NamedFile
from web.ui.markup import notice
from web.ui.splitting import Picked
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_REFRESH_S = 1.0
_N_RUNS = 30
_N_JOBS = 5

View = tuple[Any, ...]


class EvaluationPage:
    """Handles the events of one language's page of evaluations."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self._runs = EvalRunStore(context.services.engine)
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows bar, line, start, picker, running evaluations, runs and the form to compare."""
        try:
            user = self._desk.user(request, "search")
        except EXPECTED as error:
            hidden = gr.update(visible=False)
            return "", self._desk.line(error), "", hidden, "", "", gr.Timer(active=False), ""
        may_start = self._may_start(user)
        start = ""
        if may_start:
            n_confirmed = sum(1 for _ in self._confirmed())
            start = view.start(self.words, n_confirmed=n_confirmed, limit=MAX_QUESTIONS)
        kept = self._runs.list(limit=_N_RUNS)
        newest = (kept[1].id, kept[0].id) if len(kept) > 1 else (0, 0)
        form = view.compare_form(kept, self.words, chosen=newest)
        picker = gr.update(visible=may_start)
        return self._desk.bar(request), "", start, picker, *self._list(user), form

    def tick(self, request: gr.Request) -> View:
        """Shows how far it is and what is kept; stops asking when nothing runs."""
        try:
            user = self._desk.user(request, "search")
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.Timer(active=False), gr.skip()
        listed = self._list(user)
        if listed[-1].active:
            return *listed, gr.skip()
        kept = self._runs.list(limit=_N_RUNS)
        newest = (kept[1].id, kept[0].id) if len(kept) > 1 else (0, 0)
        return *listed, view.compare_form(kept, self.words, chosen=newest)

    def upload(self, files: list[Picked] | None, request: gr.Request) -> View:
        """Starts from a file; returns line, picker, running evaluations, runs and timer."""
        picked = files[0] if files else None
        try:
            user = self._starter(request)
            if picked is None:
                raise HttpProblem("bad_request")
            if picked.path.stat().st_size > MAX_FILE_BYTES:
                raise QuestionsRejected(
                    f"{picked.name} is larger than the limit of {MAX_FILE_BYTES:,} bytes."
                )
            questions = read_questions(picked.path.read_bytes(), picked.name)
            line = self._start(questions, picked.name, user)
        except EXPECTED as error:
            skipped = (gr.skip(), gr.skip(), gr.skip())
            return self._desk.line(error), gr.update(value=None), *skipped
        finally:
            if picked is not None:
                picked.path.unlink(missing_ok=True)
        return line, gr.update(value=None), *self._list(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Starts from conversations or cancels; returns line, running ones, runs and timer."""
        press = sent(event)
        try:
            user = self._starter(request)
            line = self._act(press, user)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip()
        return line, *self._list(user)

    def compare(self, event: gr.EventData, request: gr.Request) -> View:
        """Compares the two runs that the form names; returns line and comparison."""
        form = sent(event)
        try:
            self._desk.user(request, "search")
            before, after = (
                self._runs.get(int(number)) if number.isdecimal() and len(number) < 10 else None
                for number in (form.get("before", ""), form.get("after", ""))
            )
        except EXPECTED as error:
            return self._desk.line(error), gr.skip()
        if before is None or after is None:
            return notice(self.words("compare_gone"), kind="error"), gr.skip()
        return "", view.comparison(before, after, self.words)

    def _act(self, press: Mapping[str, str], user: User) -> str:
        if press.get("act") == "cancel":
            job = self._services.jobs.get(JobId(press.get("job", "")))
            if job.kind != EVALUATE:
                raise HttpProblem("bad_request")
            self._services.jobs.cancel(job.id)
            audit.record(self._services.engine, user.name, action="eval.cancel", target=job.id)
            return ""
        if press.get("act") != "confirmed":
            raise HttpProblem("bad_request")
        questions = list(self._confirmed())
        if not questions:
            return notice(self.words("evaluate_none_confirmed"), kind="error")
        return self._start(questions, CONFIRMED, user)

    def _start(self, questions: Sequence[Question], source: str, user: User) -> str:
        services = self._services
        job_id = queue_evaluation(services.jobs, questions, services.documents, source=source)
        audit.record(services.engine, user.name, action="eval.start", target=job_id)
        return notice(self.words("evaluate_started", n=len(questions)))

    def _confirmed(self) -> Sequence[Question]:
        answers = confirmed_answers(self._services.engine)
        return list(confirmed_questions(answers, self._services.documents))[:MAX_QUESTIONS]

    def _list(self, user: User) -> View:
        newest = self._services.jobs.newest(EVALUATE, limit=_N_JOBS)
        running = view.jobs(newest, self.words, may_write=self._may_start(user))
        kept = view.runs(self._runs.list(limit=_N_RUNS), self.words)
        is_busy = any(job.state in view.OPEN for job in newest)
        return running, kept, gr.Timer(active=is_busy)

    def _starter(self, request: gr.Request) -> User:
        return self._desk.user(request, "documents.write")

    def _may_start(self, user: User) -> bool:
        return may(user, "documents.write")


def build_evaluation(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = EvaluationPage(context, language)
    words = page.words
    title = words.plain("nav_evaluation")
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{title}</h1><p>{words('evaluate_intro')}</p>")
        start = piece("k-start")
        label = words.plain("evaluate_file")
        picker = NamedFile(label=label, file_count="single", height=120, visible=False)
        line = piece("k-line")
        running = piece("k-running")
        kept = piece("k-runs")
        timer = gr.Timer(_REFRESH_S, active=False)
        form = piece("k-compare")
        compared = piece("k-compared")

        opened = [bar, line, start, picker, running, kept, timer, form]
        bar.staff_open(page.open, None, opened, **QUIET)
        timer.tick(page.tick, None, [running, kept, timer, form], **QUIET)
        picker.upload(page.upload, picker, [line, picker, running, kept, timer], **QUIET)
        bar.staff_form(page.compare, None, [line, compared], **QUIET)
        bar.staff_act(page.act, None, [line, running, kept, timer], **QUIET)
    return blocks
