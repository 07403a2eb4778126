"""The reply flow: a customer's message in, events out, everything kept.

normalize → analyze → policy → contextualize → retrieve → policy with the evidence → prompt →
generate, streamed and saved as it grows → ground → policy on the grounding → persist → final.

`begin` stores the message and may refuse it; `stream` does the work and always ends with one
`Final` or `Failure`. Closing the stream early, a stop, a failure and `kill -9` all leave the
turn stored with what was written so far.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.catalogue import Catalogue
from bot.company import CompanyTexts
from bot.conversations import ConversationStore
from bot.dialogue.intent import detect_intent
from bot.dialogue.language import detect_language, reply_language
from bot.dialogue.policy import (
    Decision,
    decide,
    decide_on_grounding,
    decide_with_evidence,
    state_after,
)
from bot.dialogue.query import contextualize, is_follow_up
from bot.errors import MessageNotFound, QueueFull
from bot.events import Citations, Event, Failure, Final, Status, Token
from bot.grounding import Checked, Grounder
from bot.llm.base import ChatModel, Delta, Finished, GenerationParams, Queued
from bot.prompting import Prompt, PromptBuilder, PromptRequest
from bot.rows import evidence_from
from bot.settings import ChatSettings
from bot.suggestions import Retriever, Suggester
from bot.text import clean_message
from bot.turns import Turn, TurnResult, TurnStore
from bot.types import (
    Action,
    CitedPassage,
    ConversationId,
    ConversationState,
    Message,
    MessageAnalysis,
    MessageId,
    MessageStatus,
    Reason,
    Reply,
)
from knowledge.errors import DocumentNotFound
from knowledge.types import DocumentId, DocumentVersion, Retrieval

__all__ = ["ChatParts", "ChatService", "Turn", "VersionSource"]

_log = logging.getLogger(__name__)

_AROUND_CHARS = 400  # shown on each side of a cited quote
_VARIATION_TEMPERATURE = 0.7
_UNSTARTED_S = 10.0  # a turn that was begun and never streamed gives way after this
_STOP_S = 1.0  # what a stopped answer may take to be stored


class VersionSource(Protocol):
    """Gives the stored text of a document's version."""

    def version(self, document_id: DocumentId, version: int | None = None) -> DocumentVersion:
        """Returns the version's text; raises DocumentNotFound after the document's removal."""
        ...


@dataclass(frozen=True, slots=True)
class ChatParts:
    """What the reply flow is made of."""

    model: ChatModel
    retriever: Retriever
    documents: VersionSource
    conversations: ConversationStore
    turns: TurnStore
    company: CompanyTexts
    catalogue: Catalogue
    prompts: PromptBuilder
    grounder: Grounder
    suggester: Suggester


@dataclass(slots=True)
class _Draft:
    """A reply in the making; what is known of it is stored however the turn ends."""

    analysis: MessageAnalysis
    language: str
    started: float = field(default_factory=time.perf_counter)
    text: str = ""
    query: str = ""
    retrieval: Retrieval | None = None
    prompt: Prompt | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    reply: Reply | None = None

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time spent inside to a stage."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - before) * 1000)

    def add(self, stage: str, duration_ms: float) -> None:
        """Adds a duration to a stage."""
        self.timings_ms[stage] = round(self.timings_ms.get(stage, 0.0) + duration_ms, 2)


@dataclass(slots=True)
class _Running:
    """A turn this process has begun."""

    stop: threading.Event = field(default_factory=threading.Event)
    begun_at: float = field(default_factory=time.monotonic)
    is_streaming: bool = False


class ChatService:
    """Answers customers; safe to call from several threads, one answer a conversation."""

    def __init__(
        self, parts: ChatParts, *, settings: ChatSettings, generation: GenerationParams
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._generation = generation
        self._running: dict[ConversationId, _Running] = {}
        self._changed = threading.Condition()
        self._is_draining = False

    @property
    def is_busy(self) -> bool:
        """True while somebody in this process waits for an answer."""
        return bool(self._running)

    def begin(
        self, conversation_id: ConversationId, text: str, *, client_id: str | None = None
    ) -> Turn:
        """Stores the customer's message and reserves its answer.

        Raises:
            MessageRejected: empty or too long.
            QueueFull: too many answers wait, or the server is stopping; nothing was stored.
            AnswerInProgress: the previous answer is still being written.
            ConversationNotFound: no such conversation.
        """
        text = clean_message(text, max_chars=self._settings.max_message_chars)
        self._check_intake()
        self._release_unstarted(conversation_id)

        def answers(state: ConversationState) -> bool:
            decision = decide(self._analyze(text, "zh"), state)
            if decision.needs_evidence and self._parts.model.is_full:
                raise QueueFull("Too many answers are waiting; try again.", retry_after_s=5)
            return decision.action is not Action.NONE

        turn = self._parts.turns.open(conversation_id, text, client_id=client_id, answers=answers)
        self._register(turn)
        return turn

    def regenerate(self, message_id: MessageId) -> Turn:
        """Reserves another answer to the same question; it replaces the old one when written.

        Raises:
            MessageNotFound: no such answer.
            QueueFull: too many answers wait.
            AnswerInProgress: an answer is being written.
        """
        self._check_intake()
        if self._parts.model.is_full:
            raise QueueFull("Too many answers are waiting; try again.", retry_after_s=5)
        turn = self._parts.turns.reopen(message_id)
        self._register(turn)
        return turn

    def stream(self, turn: Turn) -> Iterator[Event]:
        """Yields the events of a turn, the last one `Final` or `Failure`."""
        if turn.reply_id is None or turn.replay is not None:
            yield from self._replayed(turn)
            return
        draft = self._draft(turn)
        end: Event | None = None
        running = self._started(turn)
        try:
            yield from self._answer(turn, draft, running.stop)
        except Exception as error:  # noqa: BLE001  # logged, and told to the customer
            end = self._failed(turn, draft, error)
        finally:
            end = self._persist(turn, draft) or end
            self._unregister(turn, running)
        yield end or Final(_reply_of(draft))

    def stop(self, conversation_id: ConversationId) -> bool:
        """Ends the answer being written, also one of another process; False if there is none."""
        running = self._running.get(conversation_id)
        if running is not None and running.is_streaming:
            running.stop.set()
            return True
        return self._parts.turns.interrupt(conversation_id) > 0

    def handoff(self, conversation_id: ConversationId) -> Message:
        """Records that the customer wants a person; returns the message that tells so.

        Raises:
            ConversationNotFound: no such conversation.
        """
        conversation = self._parts.conversations.get(conversation_id)
        is_new = conversation.state not in (ConversationState.QUEUED, ConversationState.PERSON)
        note = self._handoff_text(conversation.language, is_new=is_new)
        return self._parts.conversations.message(
            self._parts.turns.request_person(conversation_id, note)
        )

    def suggestions(self, language: str) -> tuple[str, ...]:
        """Returns the company's suggested questions that the documents answer."""
        return self._parts.suggester.starters(self._parts.company.get(language).suggestions)

    def passage(self, message_id: MessageId, n: int) -> CitedPassage:
        """Returns a citation's quote with its surroundings in the version that was cited.

        Raises:
            MessageNotFound: no such message, or it has no citation `n`.
        """
        reply = self._parts.conversations.message(message_id).reply
        cited = next((item for item in reply.citations if item.n == n), None) if reply else None
        if cited is None:
            raise MessageNotFound(f"Message {message_id!r} has no citation {n}.")
        before = after = ""
        if cited.start is not None and cited.end is not None:
            with contextlib.suppress(DocumentNotFound):  # removed since: the quote alone
                text = self._parts.documents.version(
                    DocumentId(cited.document_id), cited.version
                ).text
                before = text[max(0, cited.start - _AROUND_CHARS) : cited.start]
                after = text[cited.end : cited.end + _AROUND_CHARS]
        return CitedPassage(
            cited.document, cited.title, cited.page, before, cited.quote, after,
            cited.start, cited.end, cited.version,
        )  # fmt: skip

    def drain(self, timeout_s: float) -> None:
        """Refuses new turns, lets the running ones end, and stops those that take too long."""
        self._is_draining = True
        with self._changed:
            self._changed.wait_for(lambda: not self._running, max(0.0, timeout_s - _STOP_S))
            for running in self._running.values():
                running.stop.set()
            self._changed.wait_for(lambda: not self._running, min(timeout_s, _STOP_S))
            left = list(self._running)
        for conversation_id in left:
            self._parts.turns.interrupt(conversation_id)

    def _answer(self, turn: Turn, draft: _Draft, stop: threading.Event) -> Iterator[Event]:
        """The reply flow; leaves the finished reply in the draft."""
        decision = decide(draft.analysis, turn.dialogue.state)
        if not decision.needs_evidence:
            yield from self._say(turn, draft, decision)
            return
        yield Status("searching")
        retrieval = self._search(turn, draft)
        threshold = self._settings.relevance_threshold
        decision = decide_with_evidence(retrieval.relevance, threshold=threshold)
        if decision.action is not Action.ANSWER:
            yield from self._say(turn, draft, decision)
            return
        prompt = self._build_prompt(turn, draft, retrieval)
        yield from self._write(turn, draft, stop)
        if stop.is_set():
            draft.reply = self._reply(turn, draft, Decision(Action.ANSWER))
            draft.reply = replace(draft.reply, status=MessageStatus.INTERRUPTED)
            return
        with draft.timed("ground"):
            checked, decision = self._ground(draft, retrieval, prompt)
        if decision.action is not Action.ANSWER:
            yield from self._say(turn, draft, decision)
            return
        yield from self._cite(turn, draft, (checked, decision))

    def _search(self, turn: Turn, draft: _Draft) -> Retrieval:
        """Searches for the stand-alone question; a follow-up that fails is tried as written."""
        history = turn.dialogue.history
        draft.query = contextualize(turn.text, history)
        with draft.timed("retrieve"):
            found = self._parts.retriever.search(draft.query)
            if draft.query != turn.text and found.relevance < self._settings.relevance_threshold:
                alone = self._parts.retriever.search(turn.text)
                if alone.relevance > found.relevance:
                    found, draft.query = alone, turn.text
        draft.retrieval = found
        for stage, duration_ms in found.timings_ms.items():
            draft.add(f"retrieve_{stage}", duration_ms)
        return found

    def _build_prompt(self, turn: Turn, draft: _Draft, retrieval: Retrieval) -> Prompt:
        """History goes in only where the question needs it."""
        n_turns = self._settings.history_turns
        history = turn.dialogue.history[-n_turns:] if n_turns else ()
        request = PromptRequest(
            draft.language,
            draft.query,
            retrieval.hits[: self._settings.passages],
            history if is_follow_up(turn.text) else (),
        )
        with draft.timed("prompt"):
            draft.prompt = self._parts.prompts.build(request)
        return draft.prompt

    def _write(self, turn: Turn, draft: _Draft, stop: threading.Event) -> Iterator[Event]:
        """Streams the model's text and saves it while it grows."""
        assert draft.prompt is not None and turn.reply_id is not None  # noqa: S101
        params = self._generation
        if turn.is_variation:
            params = replace(params, temperature=_VARIATION_TEMPERATURE, seed=secrets.randbits(31))
        saved_at = time.monotonic()
        events = self._parts.model.generate(draft.prompt.messages, params, stop=stop)
        with contextlib.closing(events):  # type: ignore[type-var]  # generators have close
            for event in events:
                if isinstance(event, Delta):
                    if not draft.text:
                        draft.add("first_token", (time.perf_counter() - draft.started) * 1000)
                        yield Status("writing")
                    draft.text += event.text
                    yield Token(event.text)
                elif isinstance(event, Queued):
                    yield Status("queued", event.position)
                elif isinstance(event, Finished):
                    _note(draft, event)
                if time.monotonic() - saved_at >= self._settings.checkpoint_s:
                    with draft.timed("persist"):
                        if not self._parts.turns.checkpoint(turn.reply_id, draft.text):
                            stop.set()  # ended by another process
                    saved_at = time.monotonic()

    def _ground(
        self, draft: _Draft, retrieval: Retrieval, prompt: Prompt
    ) -> tuple[Checked, Decision]:
        """Checks the model's text; where nothing carries it, a strong passage is quoted."""
        hits = retrieval.hits[: prompt.n_passages]
        checked = self._parts.grounder.check(draft.text, draft.query, hits)
        if checked.is_carried:
            return checked, decide_on_grounding(True, has_quote=False)
        strong = (1 + self._settings.relevance_threshold) / 2
        quoted = None
        if retrieval.relevance >= strong:
            quoted = self._parts.grounder.quote(draft.query, hits)
        decision = decide_on_grounding(False, has_quote=quoted is not None)
        if quoted is None:
            return checked, decision
        lead = self._parts.catalogue.text("chat.extract", draft.language)
        return replace(quoted, text=f"{lead}\n{quoted.text}"), decision

    def _cite(
        self, turn: Turn, draft: _Draft, outcome: tuple[Checked, Decision]
    ) -> Iterator[Event]:
        checked, decision = outcome
        yield Citations(checked.citations)
        text = checked.text
        if turn.dialogue.state is ConversationState.QUEUED:
            contact = self._parts.company.get(draft.language).contact
            pending = self._parts.catalogue.text(
                "chat.handoff_pending", draft.language, contact=contact
            )
            text = f"{text}\n\n{pending}"
        draft.text = text
        with draft.timed("suggest"):
            asked = [exchange.question for exchange in turn.dialogue.history]
            own = self._parts.company.get(draft.language).suggestions
            hits = draft.retrieval.hits if draft.retrieval else ()
            suggestions = self._parts.suggester.follow_ups(hits, own, [*asked, turn.text])
        draft.reply = replace(
            self._reply(turn, draft, decision),
            citations=checked.citations,
            grounding=checked.grounding,
            suggestions=suggestions,
        )

    def _say(self, turn: Turn, draft: _Draft, decision: Decision) -> Iterator[Event]:
        """Answers with a fixed text, without the model."""
        text = self._fixed_text(turn, draft, decision)
        if not draft.text:
            yield Token(text)
        draft.text = text
        draft.reply = self._reply(turn, draft, decision)

    def _fixed_text(self, turn: Turn, draft: _Draft, decision: Decision) -> str:
        language, state = draft.language, turn.dialogue.state
        if decision.action is Action.HANDOFF:
            is_new = state is not ConversationState.QUEUED
            return self._handoff_text(language, is_new=is_new)
        if decision.action is Action.SMALLTALK:
            return self._parts.catalogue.text(f"chat.{draft.analysis.intent.label}", language)
        if decision.reason is Reason.UNSUPPORTED_LANGUAGE:
            return self._parts.catalogue.text("chat.unsupported_language", language)
        company = self._parts.company.get(language)
        if state is ConversationState.QUEUED:
            key, values = "chat.handoff_pending", {"contact": company.contact}
        else:
            key, values = "chat.offer_person", {}
        separator = "" if language == "zh" else " "
        return company.fallback + separator + self._parts.catalogue.text(key, language, **values)

    def _handoff_text(self, language: str, *, is_new: bool) -> str:
        key = "chat.handoff_recorded" if is_new else "chat.handoff_repeated"
        contact = self._parts.company.get(language).contact
        return self._parts.catalogue.text(key, language, contact=contact)

    def _reply(self, turn: Turn, draft: _Draft, decision: Decision) -> Reply:
        draft.timings_ms["total"] = round((time.perf_counter() - draft.started) * 1000, 2)
        used_model = draft.prompt is not None
        return Reply(
            message_id=turn.reply_id or turn.customer_message_id,
            action=decision.action,
            text=draft.text,
            analysis=draft.analysis,
            query=draft.query,
            adapter=self._parts.model.adapter if used_model else None,
            model=self._parts.model.name if used_model else "",
            timings_ms=draft.timings_ms,
            reason=decision.reason,
            handoff_offered=decision.offers_person,
        )

    def _failed(self, turn: Turn, draft: _Draft, error: Exception) -> Failure:
        """Logs the error under a reference and words it for the customer."""
        failure = self._failure(draft, error)
        _log.error("reply %s failed, reference %s", turn.reply_id, failure.reference,
                   exc_info=error)  # fmt: skip
        draft.reply = replace(
            self._reply(turn, draft, Decision(Action.NONE)), status=MessageStatus.FAILED
        )
        return failure

    def _failure(self, draft: _Draft, error: Exception) -> Failure:
        kind = "busy" if isinstance(error, QueueFull) else "failure"
        text: Callable[[str], str] = lambda part: self._parts.catalogue.text(  # noqa: E731
            f"chat.{kind}_{part}", draft.language
        )
        return Failure(text("title"), text("detail"), secrets.token_hex(4))

    def _persist(self, turn: Turn, draft: _Draft) -> Failure | None:
        """Writes the turn however it ended; a draft without a reply was cut off."""
        reply = draft.reply
        if reply is None:
            reply = self._reply(turn, draft, Decision(Action.ANSWER))
            reply = replace(reply, status=MessageStatus.INTERRUPTED)
        is_handoff = reply.action is Action.HANDOFF
        is_new = is_handoff and turn.dialogue.state is not ConversationState.QUEUED
        note = self._parts.catalogue.text("chat.handoff_note", draft.language)
        result = TurnResult(
            reply=reply,
            state=state_after(reply.action, turn.dialogue.state),
            evidence=evidence_from(draft.retrieval) if draft.retrieval else None,
            prompt=draft.prompt.text if draft.prompt else None,
            prompt_sha256=draft.prompt.sha256 if draft.prompt else None,
            notes=(note,) if is_new else (),
        )
        try:
            self._parts.turns.finish(turn, result)
        except Exception as error:  # noqa: BLE001  # logged, and told to the customer
            return self._failed(turn, draft, error)
        return None

    def _replayed(self, turn: Turn) -> Iterator[Event]:
        """Events of a turn that needs no work: answered before, or a person answers."""
        if turn.replay is not None:
            if turn.replay.citations:
                yield Citations(turn.replay.citations)
            yield Final(turn.replay)
            return
        draft = self._draft(turn)
        yield Final(self._reply(turn, draft, Decision(Action.NONE)))

    def _draft(self, turn: Turn) -> _Draft:
        started = time.perf_counter()
        default = turn.dialogue.language
        analysis = self._analyze(turn.text, default)
        language = reply_language(analysis.language, turn.text, default)
        draft = _Draft(analysis, language, started)
        draft.add("analyze", (time.perf_counter() - started) * 1000)
        return draft

    def _analyze(self, text: str, default: str) -> MessageAnalysis:
        return MessageAnalysis(detect_language(text, default), detect_intent(text))

    def _check_intake(self) -> None:
        if self._is_draining:
            raise QueueFull("The server is stopping; try again in a moment.", retry_after_s=5)

    def _register(self, turn: Turn) -> None:
        if turn.reply_id is not None and turn.replay is None:
            with self._changed:
                self._running[turn.conversation_id] = _Running()

    def _started(self, turn: Turn) -> _Running:
        with self._changed:
            running = self._running.setdefault(turn.conversation_id, _Running())
            running.is_streaming = True
        return running

    def _unregister(self, turn: Turn, running: _Running) -> None:
        with self._changed:
            if self._running.get(turn.conversation_id) is running:
                del self._running[turn.conversation_id]
            self._changed.notify_all()

    def _release_unstarted(self, conversation_id: ConversationId) -> None:
        """Ends a turn that was begun but never streamed, as when the client went away."""
        with self._changed:
            running = self._running.get(conversation_id)
            if running is None or running.is_streaming:
                return
            if time.monotonic() - running.begun_at < _UNSTARTED_S:
                return
            del self._running[conversation_id]
        self._parts.turns.interrupt(conversation_id)


def _reply_of(draft: _Draft) -> Reply:
    if draft.reply is None:
        raise RuntimeError("The reply flow ended without a reply.")
    return draft.reply


def _note(draft: _Draft, finished: Finished) -> None:
    draft.add("queue", finished.queue_ms)
    draft.add("prefill", finished.prefill_ms)
    draft.add("decode", finished.decode_ms)
