"""Writes a turn in three steps, so that nothing said is lost by a crash at any moment.

1. `open`: the customer's message and an empty bot message with status `streaming`, which also
   is the lock that keeps a conversation to one answer at a time across processes;
2. `checkpoint`: the text so far, while it is written;
3. `finish`: everything about the answer, in one transaction.
"""

import contextlib
import dataclasses
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from bot.dialogue.state import DialogueState, Exchange
from bot.document_uses import record_uses
from bot.errors import AnswerInProgress, ConversationNotFound, MessageNotFound
from bot.priority import ORDINARY, SlaMinutes
from bot.priority_rows import raise_priority
from bot.recorded import SearchRecord, record_search
from bot.rows import analysis_columns, analysis_from, reply_columns, reply_from
from bot.tables import ConversationRow, MessageRow
from bot.types import (
    Action,
    ConversationId,
    ConversationState,
    MessageAnalysis,
    MessageId,
    MessageStatus,
    Reply,
    Role,
)

_TITLE_CHARS = 80
#: A `streaming` message that nobody has touched for so long belongs to a dead process.
_ABANDONED_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn whose customer message is stored; `reply_id` is None where the bot stays silent."""

    conversation_id: ConversationId
    customer_message_id: MessageId
    text: str
    dialogue: DialogueState
    analysis: MessageAnalysis | None = None  # None for what was stored before there were any
    analyzed_ms: float = 0.0  # what that took
    reply_id: MessageId | None = None
    supersedes: MessageId | None = None
    is_variation: bool = False  # asked for another answer to the same question
    replay: Reply | None = None  # the stored answer to a repeated client_id


@dataclass(frozen=True, slots=True)
class Incoming:
    """A customer's message as it arrives, in normal form, with what was understood of it."""

    text: str
    analysis: MessageAnalysis
    client_id: str | None = None
    analyzed_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What `finish` writes: the reply, and what only staff see of how it came about."""

    reply: Reply
    state: ConversationState
    evidence: Mapping[str, object] | None = None
    prompt: str | None = None
    prompt_sha256: str | None = None
    notes: tuple[str, ...] = field(default=())  # system messages that follow the reply
    search: SearchRecord | None = None


class TurnStore:
    """Rows of turns; each method is one transaction."""

    def __init__(self, engine: Engine, *, history_turns: int, sla_minutes: SlaMinutes) -> None:
        self._engine = engine
        self._sla_minutes = sla_minutes
        self._history_turns = history_turns
        # SQLite has one writer; threads that wait here are woken at once, while its own wait
        # sleeps ever longer. Other processes still meet in SQLite.
        self._writing: contextlib.AbstractContextManager[object] = (
            threading.Lock() if engine.dialect.name == "sqlite" else contextlib.nullcontext()
        )

    def open(
        self,
        conversation_id: ConversationId,
        incoming: Incoming,
        *,
        answers: Callable[[ConversationState], bool],
    ) -> Turn:
        """Stores the customer's message and reserves the answer.

        Args:
            conversation_id: whose turn it is.
            incoming: the message; repeating a `client_id` returns the stored answer as `replay`.
            answers: says whether the bot answers in a state; may raise to refuse the message.

        Raises:
            ConversationNotFound: no such conversation.
            AnswerInProgress: its previous answer is still being written.
        """
        client_id = incoming.client_id
        with self._writing, self._engine.begin() as connection:
            conversation = _lock(connection, conversation_id, title=incoming.text[:_TITLE_CHARS])
            rows = self._recent(connection, conversation_id, client_id)
            repeated = next((row for row in rows if client_id and row.client_id == client_id), None)
            _close_abandoned(connection, rows)
            if repeated is not None:
                earlier = [row for row in rows if row.ordinal < repeated.ordinal]
                dialogue = _dialogue(conversation, earlier)
                return _repeat(connection, conversation_id, repeated, dialogue)
            state = ConversationState(conversation.state)
            is_answered = answers(state)
            ids = _insert_turn(connection, conversation_id, rows, (incoming, is_answered))
            severity = analysis_columns(incoming.analysis)["severity"]
            raise_priority(connection, conversation, severity, self._sla_minutes)
        dialogue = _dialogue(conversation, rows)
        return Turn(
            conversation_id,
            ids[0],
            incoming.text,
            dialogue,
            incoming.analysis,
            incoming.analyzed_ms,
            ids[1],
        )

    def reopen(self, message_id: MessageId) -> Turn:
        """Reserves another answer to the question that `message_id` answered, in its place.

        Raises:
            MessageNotFound: no current bot message of that id, or a person answers now.
            AnswerInProgress: an answer is being written.
        """
        with self._writing, self._engine.begin() as connection:
            old = _bot_message(connection, message_id)
            conversation = _lock(connection, ConversationId(old.conversation_id))
            if conversation.state == ConversationState.PERSON:  # the bot is silent: no empty text
                raise MessageNotFound("A person answers this conversation now; ask them instead.")
            columns: list[Any] = [
                MessageRow.id, MessageRow.text, MessageRow.ordinal, MessageRow.analysis
            ]  # fmt: skip
            asked = connection.execute(
                select(*columns).where(MessageRow.id == old.replies_to)
            ).one()
            rows = self._recent(connection, old.conversation_id, None, up_to=asked.ordinal)
            _close_abandoned(connection, rows)
            reply_id = _new_id()
            values = _bot_values(old.conversation_id, asked.id, old.ordinal)
            connection.execute(insert(MessageRow), {**values, "id": reply_id})
        earlier = [row for row in rows if row.ordinal < asked.ordinal]
        return Turn(
            ConversationId(old.conversation_id),
            MessageId(asked.id),
            asked.text,
            _dialogue(conversation, earlier),
            _stored_analysis(asked),
            reply_id=MessageId(reply_id),
            supersedes=message_id,
            is_variation=True,
        )

    def checkpoint(self, message_id: MessageId, text: str) -> bool:
        """Stores the text so far; False where somebody ended the turn from outside."""
        with self._writing, self._engine.begin() as connection:
            done = connection.execute(
                update(MessageRow)
                .where(MessageRow.id == message_id, MessageRow.status == MessageStatus.STREAMING)
                .values(text=text, updated_at=_now())
            )
        return done.rowcount == 1

    def finish(self, turn: Turn, result: TurnResult) -> None:
        """Writes the finished turn; a regeneration that was not completed leaves the old answer."""
        is_complete = result.reply.status is MessageStatus.COMPLETE
        with self._writing, self._engine.begin() as connection:
            connection.execute(
                update(MessageRow)
                .where(MessageRow.id == turn.reply_id)
                .values(
                    **reply_columns(result.reply),
                    evidence=result.evidence,
                    prompt=result.prompt,
                    prompt_sha256=result.prompt_sha256,
                    superseded=turn.supersedes is not None and not is_complete,
                    updated_at=_now(),
                )
            )
            record_uses(connection, turn.conversation_id, result.reply.citations)
            if result.search is not None:
                record_search(connection, result.reply, result.search)
            if turn.supersedes is not None:
                connection.execute(
                    update(MessageRow)
                    .where(MessageRow.id == turn.supersedes)
                    .values(superseded=is_complete)
                )
            before = turn.dialogue.state
            _leave_conversation(connection, turn.conversation_id, before, result.state)
            if result.state is ConversationState.QUEUED and before is not result.state:
                conversation = _lock(connection, turn.conversation_id)
                raise_priority(connection, conversation, ORDINARY, self._sla_minutes)
            for note in result.notes:
                _insert_system(connection, turn.conversation_id, note)

    def interrupt(self, conversation_id: ConversationId | None = None) -> int:
        """Marks open turns `interrupted` (all of them without an id); returns how many."""
        where: list[ColumnElement[bool]] = [MessageRow.status == MessageStatus.STREAMING]
        if conversation_id is not None:
            where.append(MessageRow.conversation_id == conversation_id)
        with self._writing, self._engine.begin() as connection:
            done = connection.execute(
                update(MessageRow)
                .where(*where)
                .values(
                    status=MessageStatus.INTERRUPTED, superseded=_is_replacing(), updated_at=_now()
                )
            )
        return done.rowcount

    def request_person(self, conversation_id: ConversationId, note: str) -> MessageId:
        """Records that a person was asked for and tells so in a system message.

        Raises:
            ConversationNotFound: no such conversation.
        """
        with self._writing, self._engine.begin() as connection:
            conversation = _lock(connection, conversation_id)
            if conversation.state != ConversationState.PERSON:
                _leave_conversation(
                    connection,
                    conversation_id,
                    ConversationState(conversation.state),
                    ConversationState.QUEUED,
                )
                raise_priority(connection, conversation, ORDINARY, self._sla_minutes)
            return _insert_system(connection, conversation_id, note)

    def _recent(
        self,
        connection: Connection,
        conversation_id: str,
        client_id: str | None,
        *,
        up_to: int | None = None,
    ) -> list[Row[Any]]:
        """The newest messages (up to an ordinal), oldest first.

        With them come the one that carries the client's id, and an answer being written, which
        may stand anywhere.
        """
        n_newest = 2 * self._history_turns + 8
        newest = (
            select(MessageRow.id)
            .where(MessageRow.conversation_id == conversation_id, ~MessageRow.superseded)
            .order_by(MessageRow.ordinal.desc())
            .limit(n_newest)
        )
        if up_to is not None:
            newest = newest.where(MessageRow.ordinal <= up_to)
        wanted: list[ColumnElement[bool]] = [
            MessageRow.id.in_(newest),
            MessageRow.status == MessageStatus.STREAMING,
        ]
        if client_id:
            wanted.append(MessageRow.client_id == client_id)
        columns = (
            MessageRow.id, MessageRow.ordinal, MessageRow.role, MessageRow.text, MessageRow.status,
            MessageRow.client_id, MessageRow.replies_to, MessageRow.query, MessageRow.action,
            MessageRow.updated_at, MessageRow.analysis,
        )  # fmt: skip
        query = (
            select(*columns)
            .where(MessageRow.conversation_id == conversation_id, or_(*wanted))
            .order_by(MessageRow.ordinal, MessageRow.created_at)
        )
        return list(connection.execute(query))


def _lock(
    connection: Connection, conversation_id: ConversationId, *, title: str | None = None
) -> Row[Any]:
    """Takes the write lock on a conversation first, so that two processes take turns."""
    columns: list[Any] = [
        ConversationRow.id, ConversationRow.state, ConversationRow.language,
        ConversationRow.priority, ConversationRow.due_at,
    ]  # fmt: skip
    values: dict[str, object] = {"updated_at": _now()}
    if title is not None:
        values["title"] = func.coalesce(func.nullif(ConversationRow.title, ""), title)
    row = connection.execute(
        update(ConversationRow)
        .where(ConversationRow.id == conversation_id)
        .values(**values)
        .returning(*columns)
    ).one_or_none()
    if row is None:
        raise ConversationNotFound(f"There is no conversation {conversation_id!r}.")
    return row


def _stored_analysis(asked: Row[Any]) -> MessageAnalysis | None:
    return None if asked.analysis is None else analysis_from(asked.analysis)


def _close_abandoned(connection: Connection, rows: list[Row[Any]]) -> None:
    """Raises AnswerInProgress for a living turn, marks one that nobody writes any more."""
    for row in rows:
        if row.status != MessageStatus.STREAMING:
            continue
        if _now() - row.updated_at < _ABANDONED_AFTER:
            raise AnswerInProgress("The previous answer is still being written; wait or stop it.")
        connection.execute(
            update(MessageRow)
            .where(MessageRow.id == row.id)
            .values(status=MessageStatus.INTERRUPTED, superseded=_is_replacing())
        )


def _is_replacing() -> ColumnElement[bool]:
    """True for an answer beside which the one it was to replace still stands."""
    other = aliased(MessageRow)
    return exists().where(
        other.replies_to == MessageRow.replies_to, other.id != MessageRow.id, ~other.superseded
    )


def _repeat(
    connection: Connection,
    conversation_id: ConversationId,
    asked: Row[Any],
    dialogue: DialogueState,
) -> Turn:
    """Finds the answer to a message sent before; a failed or cut one is written again."""
    turn = Turn(conversation_id, MessageId(asked.id), asked.text, dialogue, _stored_analysis(asked))
    answer = connection.execute(
        select(MessageRow.__table__)
        .where(MessageRow.replies_to == asked.id, ~MessageRow.superseded)
        .order_by(MessageRow.ordinal.desc())
        .limit(1)
    ).one_or_none()
    if answer is None:
        return turn
    if answer.action and answer.status != MessageStatus.FAILED:
        return replace(turn, reply_id=MessageId(answer.id), replay=reply_from(answer))
    reply_id = _new_id()
    values = _bot_values(conversation_id, asked.id, answer.ordinal)
    connection.execute(insert(MessageRow), {**values, "id": reply_id})
    return replace(turn, reply_id=reply_id, supersedes=MessageId(answer.id))


def _insert_turn(
    connection: Connection,
    conversation_id: ConversationId,
    rows: list[Row[Any]],
    message: tuple[Incoming, bool],
) -> tuple[MessageId, MessageId | None]:
    incoming, is_answered = message
    ordinal = max((row.ordinal for row in rows), default=0) + 1
    asked_id, reply_id = _new_id(), _new_id()
    answer = _bot_values(conversation_id, asked_id, ordinal + 1)
    asked = {
        **answer,
        "id": asked_id,
        "ordinal": ordinal,
        "role": Role.CUSTOMER,
        "text": incoming.text,
        "status": MessageStatus.COMPLETE,
        "client_id": incoming.client_id,
        "replies_to": None,
        "analysis": dataclasses.asdict(incoming.analysis),
        **analysis_columns(incoming.analysis),
    }
    connection.execute(insert(MessageRow), asked)
    if is_answered:
        connection.execute(insert(MessageRow), {**answer, "id": reply_id})
    return asked_id, reply_id if is_answered else None


def _bot_values(conversation_id: str, asked_id: str, ordinal: int) -> dict[str, object]:
    return {
        "conversation_id": conversation_id,
        "ordinal": ordinal,
        "role": Role.BOT,
        "text": "",
        "status": MessageStatus.STREAMING,
        "client_id": None,
        "replies_to": asked_id,
        "superseded": False,
        "handoff_offered": False,
        "created_at": _now(),
        "updated_at": _now(),
    }


def _insert_system(connection: Connection, conversation_id: str, text: str) -> MessageId:
    values = _bot_values(conversation_id, "", _last_ordinal(connection, conversation_id) + 1)
    message_id = _new_id()
    values |= {
        "id": message_id,
        "role": Role.SYSTEM,
        "text": text,
        "status": MessageStatus.COMPLETE,
        "replies_to": None,
    }
    connection.execute(insert(MessageRow), values)
    return message_id


def _last_ordinal(connection: Connection, conversation_id: str) -> int:
    last = select(func.max(MessageRow.ordinal)).where(MessageRow.conversation_id == conversation_id)
    return connection.execute(last).scalar() or 0


def _leave_conversation(
    connection: Connection,
    conversation_id: str,
    before: ConversationState,
    after: ConversationState,
) -> None:
    """Moves the conversation on, unless somebody else moved it while the answer was written."""
    values: dict[str, object] = {"updated_at": _now()}
    where = [ConversationRow.id == conversation_id]
    if after is not before:
        values["state"] = after
        where.append(ConversationRow.state == before)
    if after is ConversationState.QUEUED and before is not after:
        values["handoff_at"] = _now()
    connection.execute(update(ConversationRow).where(*where).values(**values))


def _bot_message(connection: Connection, message_id: MessageId) -> Row[str, str | None, int]:
    row = connection.execute(
        select(MessageRow.conversation_id, MessageRow.replies_to, MessageRow.ordinal).where(
            MessageRow.id == message_id,
            MessageRow.role == Role.BOT,
            MessageRow.replies_to.is_not(None),
            ~MessageRow.superseded,
        )
    ).one_or_none()
    if row is None:
        raise MessageNotFound(f"There is no answer {message_id!r} to write again.")
    return row


def _dialogue(conversation: Row[Any], rows: list[Row[Any]]) -> DialogueState:
    """Pairs each question with its newest answer."""
    answers = {row.replies_to: row for row in rows if row.role == Role.BOT and row.action}
    history = tuple(
        Exchange(row.text, answers[row.id].query or "", answers[row.id].text, _action(answers, row))
        for row in rows
        if row.role == Role.CUSTOMER and row.id in answers
    )
    return DialogueState(ConversationState(conversation.state), conversation.language, history)


def _action(answers: Mapping[str, Row[Any]], asked: Row[Any]) -> Action:
    return Action(answers[asked.id].action)


def _new_id() -> MessageId:
    return MessageId(secrets.token_hex(16))


def _now() -> datetime:
    return datetime.now(UTC)
