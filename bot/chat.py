"""Conversations with customers: a message in, events out, everything kept.

normalize → store the message → the reply flow (`bot.reply`) → store the finished turn → final.

`begin` stores the message and may refuse it; `stream` does the work and always ends with one
`Final` or `Failure`. Closing the stream early, a stop, a failure and `kill -9` all leave the
turn stored with what was written so far.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bot.dialogue.asking import asking
from bot.dialogue.policy import Decision, decide, state_after
from bot.errors import MessageNotFound, QueueFull
from bot.events import Citations, Event, Failure, Final
from bot.llm.base import GenerationParams
from bot.open_citations import open_reply
from bot.recorded import SearchRecord
from bot.reply import ChatParts, Draft, ReplyFlow, VersionSource
from bot.rows import evidence_from
from bot.settings import ChatSettings
from bot.text import clean_message
from bot.turns import Incoming, Turn, TurnResult
from bot.types import (
    Action,
    CitedPassage,
    ConversationId,
    ConversationState,
    Message,
    MessageId,
    MessageStatus,
    Reply,
)
from knowledge.errors import DocumentNotFound
from knowledge.types import Audience, DocumentId

__all__ = ["ChatParts", "ChatService", "Turn", "VersionSource"]

_log = logging.getLogger(__name__)

_AROUND_CHARS = 400  # shown on each side of a cited quote
_UNSTARTED_S = 10.0  # a turn that was begun and never streamed gives way after this
_STOP_S = 1.0  # what a stopped answer may take to be stored


@dataclass(slots=True)
class _Running:
    """A turn this process has begun."""

    stop: threading.Event = field(default_factory=threading.Event)
    begun_at: float = field(default_factory=time.monotonic)
    is_streaming: bool = False

    @property
    def is_forgotten(self) -> bool:
        """True where nobody came for the stream, as when the client went away."""
        return not self.is_streaming and time.monotonic() - self.begun_at > _UNSTARTED_S


class ChatService:
    """Answers customers; safe to call from several threads, one answer a conversation."""

    def __init__(
        self, parts: ChatParts, *, settings: ChatSettings, generation: GenerationParams
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._flow = ReplyFlow(parts, settings=settings, generation=generation)
        self._running: dict[ConversationId, _Running] = {}
        self._changed = threading.Condition()
        self._is_draining = False

    @property
    def is_busy(self) -> bool:
        """True while somebody in this process waits for an answer."""
        with self._changed:
            return any(not running.is_forgotten for running in self._running.values())

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

        incoming = self._understand(conversation_id, text, client_id)

        def answers(state: ConversationState) -> bool:
            decision = decide(incoming.analysis, state, asking=asking(text))
            if decision.needs_evidence and self._parts.model.is_full:
                raise QueueFull("Too many answers are waiting; try again.", retry_after_s=5)
            return decision.action is not Action.NONE

        turn = self._parts.turns.open(conversation_id, incoming, answers=answers)
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
        answered = self._parts.conversations.message(message_id)
        self._release_unstarted(answered.conversation_id)
        turn = self._parts.turns.reopen(message_id)
        self._register(turn)
        return turn

    def stream(self, turn: Turn) -> Iterator[Event]:
        """Yields the events of a turn, the last one `Final` or `Failure`."""
        if turn.reply_id is None or turn.replay is not None:
            yield from self._replayed(turn)
            return
        draft = self._flow.draft(turn)
        end: Event | None = None
        running = self._started(turn)
        try:
            yield from self._flow.answer(turn, draft, running.stop)
        except Exception as error:  # noqa: BLE001  # logged, and told to the customer
            end = self._failed(turn, draft, error)
        finally:
            end = self._persist(turn, draft) or end
            self._unregister(turn, running)
        yield end or Final(_reply_of(draft))

    def stop(self, conversation_id: ConversationId) -> bool:
        """Ends the answer being written, also one of another process; False if there is none."""
        with self._changed:
            running = self._running.get(conversation_id)
            if running is not None and not running.is_streaming:
                del self._running[conversation_id]
        if running is not None:
            running.stop.set()
            if running.is_streaming:
                return True
        return self._parts.turns.interrupt(conversation_id) > 0

    def handoff(self, conversation_id: ConversationId) -> Message:
        """Records that the customer wants a person; returns the message that tells so.

        Raises:
            ConversationNotFound: no such conversation.
        """
        conversation = self._parts.conversations.get(conversation_id)
        is_new = conversation.state not in (ConversationState.QUEUED, ConversationState.PERSON)
        note = self._flow.handoff_text(conversation.language, is_new=is_new)
        return self._parts.conversations.message(
            self._parts.turns.request_person(conversation_id, note)
        )

    def suggestions(self, language: str) -> tuple[str, ...]:
        """Returns the company's suggested questions that the documents answer."""
        return self._parts.suggester.starters(self._parts.company.get(language).suggestions)

    def passage(
        self, message_id: MessageId, n: int, *, audience: Audience = Audience.CUSTOMER
    ) -> CitedPassage:
        """Returns a citation's quote with its surroundings in the version that was cited.

        Raises:
            MessageNotFound: no such message, or it has no citation `n` that this audience may
                read: the document may have become staff-only since.
        """
        reply = self._parts.conversations.message(message_id).reply
        cited = next((item for item in reply.citations if item.n == n), None) if reply else None
        if cited is None:
            raise MessageNotFound(f"Message {message_id!r} has no citation {n}.")
        document_id = DocumentId(cited.document_id)
        if audience is not Audience.STAFF and not self._parts.documents.is_public(document_id):
            raise MessageNotFound(f"Citation {n} of message {message_id!r} is not for customers.")
        before = after = ""
        if cited.start is not None and cited.end is not None:
            with contextlib.suppress(DocumentNotFound):  # removed since: the quote alone
                text = self._parts.documents.version(document_id, cited.version).text
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

    def _understand(
        self, conversation_id: ConversationId, text: str, client_id: str | None
    ) -> Incoming:
        """Analyses a message before it is stored, so that also a silent bot keeps it analysed."""
        language = self._parts.conversations.get(conversation_id).language
        started = time.perf_counter()
        analysis = self._flow.analyze(text, language)
        return Incoming(text, analysis, client_id, (time.perf_counter() - started) * 1000)

    def _failed(self, turn: Turn, draft: Draft, error: Exception) -> Failure:
        """Logs the error under a reference and words it for the customer."""
        failure = self._failure(draft, error)
        _log.error("reply %s failed, reference %s", turn.reply_id, failure.reference,
                   exc_info=error)  # fmt: skip
        draft.reply = replace(
            self._flow.reply(turn, draft, Decision(Action.NONE)), status=MessageStatus.FAILED
        )
        return failure

    def _failure(self, draft: Draft, error: Exception) -> Failure:
        kind = "busy" if isinstance(error, QueueFull) else "failure"
        title, detail = (
            self._parts.catalogue.text(f"chat.{kind}_{part}", draft.language)
            for part in ("title", "detail")
        )
        return Failure(title, detail, secrets.token_hex(4))

    def _persist(self, turn: Turn, draft: Draft) -> Failure | None:
        """Writes the turn however it ended; a draft without a reply was cut off."""
        reply = draft.reply
        if reply is None:
            reply = self._flow.reply(turn, draft, Decision(Action.ANSWER))
            reply = replace(reply, status=MessageStatus.INTERRUPTED)
        is_handoff = reply.action is Action.HANDOFF
        is_new = is_handoff and turn.dialogue.state is not ConversationState.QUEUED
        note = self._parts.catalogue.text("chat.handoff_note", draft.language)
        result = TurnResult(
            reply=reply,
            state=state_after(reply.action, turn.dialogue.state),
            evidence=evidence_from(draft.retrieval) if draft.retrieval else None,
            search=self._search_record(turn, draft),
            prompt=draft.prompt.text if draft.prompt else None,
            prompt_sha256=draft.prompt.sha256 if draft.prompt else None,
            notes=(note,) if is_new else (),
        )
        try:
            self._parts.turns.finish(turn, result)
        except Exception as error:  # noqa: BLE001  # logged, and told to the customer
            failure = self._failed(turn, draft, error)
            self._close_row(turn)
            return failure
        return None

    def _search_record(self, turn: Turn, draft: Draft) -> SearchRecord | None:
        if draft.retrieval is None:
            return None
        return SearchRecord(
            question=turn.text,
            language=draft.language,
            retrieval=draft.retrieval,
            threshold=draft.retrieval.threshold,
            n_kept=self._settings.recorded_searches,
        )

    def _close_row(self, turn: Turn) -> None:
        """Tries once more to end a turn whose result could not be written."""
        try:
            self._parts.turns.interrupt(turn.conversation_id)
        except Exception:  # noqa: BLE001  # the first error is the one that is told
            _log.exception("turn %s stays open until the next start", turn.reply_id)

    def _replayed(self, turn: Turn) -> Iterator[Event]:
        """Events of a turn that needs no work: answered before, or a person answers."""
        if turn.replay is not None:
            replay = open_reply(turn.replay, self._parts.documents)
            if replay.citations:
                yield Citations(replay.citations)
            yield Final(replay)
            return
        draft = self._flow.draft(turn)
        yield Final(self._flow.reply(turn, draft, Decision(Action.NONE)))

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
            if running is None or not running.is_forgotten:
                return
            del self._running[conversation_id]
        self._parts.turns.interrupt(conversation_id)


def _reply_of(draft: Draft) -> Reply:
    if draft.reply is None:
        raise RuntimeError("The reply flow ended without a reply.")
    return draft.reply
