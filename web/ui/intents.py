"""The page of intents at `/staff/intents`: add own ones, train, try, compare, go back.

Training runs in the background and lets customers go first; the page shows how far it is.
"""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from bot import audit
from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.classifiers.intents import IntentDraft
from bot.classifiers.labels import Task
from bot.classifiers.renewal_job import queue_intents
from knowledge.jobs import CHECK_INTENTS, TRAIN_INTENTS
from knowledge.types import Job, JobId
from web.dependencies import WebContext
from web.errors import HttpProblem
from web.security import may
from web.ui import heads_view, intents_view
from web.ui.heads_view import Heads
from web.ui.intents_view import OwnIntents
from web.ui.markup import escape, notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

_REFRESH_S = 1.0
_KINDS = (TRAIN_INTENTS, CHECK_INTENTS)
_MAX_TRIED = 2000

View = tuple[Any, ...]


class IntentsPage:
    """Handles the events of one language's page of intents."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self._intents = context.services.intents
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows bar, line, the form and everything there is."""
        try:
            user = self._desk.user(request, "labels")
        except EXPECTED as error:
            return "", self._desk.line(error), "", "", "", "", gr.Timer(active=False)
        new = intents_view.new_form(self.words) if may(user, "intents") else ""
        return self._desk.bar(request), "", new, *self._all(user)

    def tick(self, request: gr.Request) -> View:
        """Shows how far it is; returns training, own, known, timer."""
        try:
            user = self._desk.user(request, "labels")
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.Timer(active=False)
        training, timer = self._training(user)
        if timer.active:
            return training, gr.skip(), gr.skip(), timer
        return self._all(user)

    def act(self, event: gr.EventData, request: gr.Request) -> View:
        """Does what a button says; returns line, training, own, known, timer."""
        press = sent(event)
        try:
            user = self._desk.user(request, "intents")
            line = self._act(press, user)
        except EXPECTED as error:
            return self._desk.line(error), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return line, *self._all(user)

    def submit(self, event: gr.EventData, request: gr.Request) -> View:
        """Tries a message, saves an intent or forces a version; also returns what was tried."""
        form = sent(event)
        unchanged = (gr.skip(), gr.skip(), gr.skip(), gr.skip())
        try:
            if form.get("form") == "try":
                self._desk.user(request, "labels")
                return self._try(form.get("text", "")), "", *unchanged
            user = self._desk.user(request, "intents")
            if form.get("form") == "force":
                line = self._promote(form.get("head", ""), user, reason=form.get("reason", ""))
                return gr.skip(), line, *self._all(user)
            if form.get("form") != "intent":
                raise HttpProblem("bad_request")
            key = self._save(form, user)
        except EXPECTED as error:
            return gr.skip(), self._desk.line(error), *unchanged
        line = notice(self.words("intent_saved"))
        if not form.get("old"):
            line = f'<div class="k-added">{line}</div>'  # the script then empties the form
        return gr.skip(), line, *self._all(user, changed=key)

    def _act(self, press: Mapping[str, str], user: User) -> str:
        act, engine = press.get("act", ""), self._services.engine
        if act in ("intents-train", "intents-check"):
            train = act == "intents-train"
            job_id = queue_intents(self._services.jobs, by=user.name, train=train)
            if train:
                audit.record(engine, user.name, action="intents.train", target=job_id)
            return ""
        if act == "intents-cancel":
            job = self._services.jobs.get(JobId(press.get("job", "")))
            if job.kind not in _KINDS:
                raise HttpProblem("bad_request")
            self._services.jobs.cancel(job.id)
            audit.record(engine, user.name, action="intents.cancel", target=job.id)
            return ""
        if act == "intent-delete":
            key = press.get("key", "")
            self._intents.store.delete(key)
            audit.record(engine, user.name, action="intent.delete", target=key)
            return notice(self.words("intent_deleted"))
        return self._change_head(act, press.get("head", ""), user)

    def _change_head(self, act: str, head: str, user: User) -> str:
        if act == "head-promote":
            return self._promote(head, user, reason="")
        if act == "head-discard":
            self._intents.registry.discard(Task.INTENT, head, by=user.name)
            return notice(self.words("head_discarded"))
        if act != "head-rollback":
            raise HttpProblem("bad_request")
        name = self._intents.registry.rollback(Task.INTENT, by=user.name)
        self._services.heads.refresh()
        said = escape(name) if name else self.words("head_shipped")
        return notice(self.words("head_rolled_back", head="{}").replace("{}", said))

    def _promote(self, head: str, user: User, *, reason: str) -> str:
        self._intents.registry.promote(Task.INTENT, head, by=user.name, reason=reason)
        self._services.heads.refresh()
        return notice(self.words("head_promoted"))

    def _save(self, form: Mapping[str, str], user: User) -> str:
        draft = IntentDraft(
            key=form.get("key", "").strip(),
            name_zh=form.get("name_zh", ""),
            name_en=form.get("name_en", ""),
            description_zh=form.get("description_zh", ""),
            description_en=form.get("description_en", ""),
            examples_zh=tuple(form.get("examples_zh", "").splitlines()),
            examples_en=tuple(form.get("examples_en", "").splitlines()),
            enabled=form.get("enabled") == "on",
        )
        store = self._intents.store
        if form.get("old"):
            saved, action = store.update(draft.key, draft, author=user.name), "intent.update"
        else:
            saved, action = store.create(draft, author=user.name), "intent.create"
        audit.record(self._services.engine, user.name, action=action, target=saved.key)
        return saved.key

    def _try(self, text: str) -> str:
        text = text[:_MAX_TRIED].strip()
        if not text:
            return ""
        found = self._services.analyzer.analyze(text, default_language=self.words.language)
        names = intents_view.names_of(self._intents.store.list(), self.words.language)
        return intents_view.tried(found, self.words, names)

    def _training(self, user: User) -> tuple[str, gr.Timer]:
        newest = self._newest()
        shown = intents_view.training(newest, self.words, may_write=may(user, "intents"))
        return shown, gr.Timer(active=newest is not None and newest.state in intents_view.OPEN)

    def _newest(self) -> Job | None:
        """Returns a job that has not ended, else the newest training."""
        found = [job for kind in _KINDS for job in self._services.jobs.newest(kind, limit=1)]
        running = [job for job in found if job.state in intents_view.OPEN]
        trained = [job for job in found if job.kind == TRAIN_INTENTS]
        return next(iter([*running, *trained]), None)

    def _all(self, user: User, *, changed: str | None = None) -> View:
        """Returns training, own intents, what is known beside them, and the timer."""
        writes = may(user, "intents")
        training, timer = self._training(user)
        intents, clashes = self._intents.store.list(), self._intents.clashes()
        registry = self._intents.registry
        own = OwnIntents(
            intents,
            clashes.clashes,
            clashes.is_complete,
            self._intents.live_labels(),
            self._intents.last_f1(),
            changed,
        )
        heads = Heads(
            registry.list(Task.INTENT),
            registry.serving_name(Task.INTENT),
            registry.can_roll_back(Task.INTENT),
            intents_view.names_of(intents, self.words.language),
        )
        known = heads_view.heads(heads, self.words, may_write=writes)
        known += intents_view.default(self._intents.default_intents(), self.words)
        return training, intents_view.own(own, self.words, may_write=writes), known, timer


def build_intents(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = IntentsPage(context, language)
    words = page.words
    title = words.plain("nav_intents")
    link = f'<a class="k-back" href="labelling">{words("intents_to_label")} →</a>'
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{title}</h1><p>{words('intents_intro')} {link}</p>")
        piece("k-try", intents_view.try_form(words))
        tried = piece("k-tried")
        line = piece("k-line")
        training = piece("k-running")
        new = piece("k-form")
        own = piece("k-own")
        known = piece("k-known")
        timer = gr.Timer(_REFRESH_S, active=False)
        shown = [training, own, known, timer]
        bar.staff_open(page.open, None, [bar, line, new, *shown], **QUIET)
        timer.tick(page.tick, None, shown, **QUIET)
        acted = bar.staff_act(page.act, None, [line, *shown], **QUIET)
        acted.then(None, js="() => window.kefuTop()", api_visibility="private")
        saved = bar.staff_form(page.submit, None, [tried, line, *shown], **QUIET)
        saved.then(None, js="() => window.kefuAdded()", api_visibility="private")
    return blocks
