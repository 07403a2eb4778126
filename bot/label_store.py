"""Stores the labels that people overwrite, and what then counts of the message.

The rows are the lineage of training data: which label stood there, which one a person gave, who
and when. A message's columns and its conversation's priority follow in the same transaction.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select, update

from bot import audit
from bot.classifiers.labels import LABELS, Task
from bot.errors import LabelRejected, MessageNotFound
from bot.labels import LabelCorrection, corrected, label_of
from bot.priority import SlaMinutes
from bot.priority_rows import recount_priority
from bot.rows import analysis_columns, analysis_from
from bot.tables import LabelCorrectionRow, MessageRow
from bot.types import ConversationId, MessageId, Role


class LabelStore:
    """Rows of corrected labels.

    Args:
        engine: The database.
        intents: Gives the intents that there are now, the company's own among them.
        sla_minutes: Time to answer by severity.
    """

    def __init__(
        self, engine: Engine, *, intents: Callable[[], Sequence[str]], sla_minutes: SlaMinutes
    ) -> None:
        self._engine = engine
        self._intents = intents
        self._sla_minutes = sla_minutes

    def options(self, task: Task) -> tuple[str, ...]:
        """Returns the labels that a person may give."""
        return tuple(self._intents()) if task is Task.INTENT else LABELS[task]

    def correct(
        self, message_id: MessageId, task: Task, label: str, *, author: str
    ) -> LabelCorrection:
        """Puts a label in force, audited; the one that stood there is kept with it.

        Raises:
            MessageNotFound: no such message of a customer, or it was never analysed.
            LabelRejected: no label of that task.
        """
        if label not in self.options(task):
            known = ", ".join(self.options(task))
            raise LabelRejected(f"Expected one of {known} for {task.value}, got {label!r}.")
        with self._engine.begin() as connection:
            row = _message(connection, message_id)
            labels = {item.task: item.new_label for item in _of_message(connection, message_id)}
            before = corrected(analysis_from(row.analysis), labels)
            now = datetime.now(UTC)
            made = LabelCorrection(message_id, task, label_of(before, task), label, author, now)
            connection.execute(insert(LabelCorrectionRow), _values(made))
            after = corrected(analysis_from(row.analysis), {**labels, task: label})
            columns = analysis_columns(after)
            connection.execute(
                update(MessageRow).where(MessageRow.id == message_id).values(columns)
            )
            recount_priority(connection, row.conversation_id, self._sla_minutes)
        audit.record(
            self._engine,
            author,
            action="label.correct",
            target=message_id,
            detail={"task": task.value, "old": made.old_label, "new": label},
        )
        return made

    def of_conversation(
        self, conversation_id: ConversationId
    ) -> dict[MessageId, list[LabelCorrection]]:
        """Returns all corrections of a conversation's messages, oldest first."""
        query = (
            select(LabelCorrectionRow.__table__)
            .join(MessageRow, MessageRow.id == LabelCorrectionRow.message_id)
            .where(MessageRow.conversation_id == conversation_id)
            .order_by(LabelCorrectionRow.id)
        )
        found: dict[MessageId, list[LabelCorrection]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                found.setdefault(MessageId(row.message_id), []).append(_correction(row))
        return found


def _message(connection: Connection, message_id: MessageId) -> Row[Any]:
    columns: list[Any] = [MessageRow.conversation_id, MessageRow.analysis]
    row = connection.execute(
        select(*columns)
        .where(MessageRow.id == message_id, MessageRow.role == Role.CUSTOMER)
        .with_for_update()
    ).one_or_none()
    if row is None or row.analysis is None:
        raise MessageNotFound(f"There is no analysed customer message {message_id!r}.")
    return row


def _of_message(connection: Connection, message_id: MessageId) -> list[LabelCorrection]:
    query = (
        select(LabelCorrectionRow.__table__)
        .where(LabelCorrectionRow.message_id == message_id)
        .order_by(LabelCorrectionRow.id)
    )
    return [_correction(row) for row in connection.execute(query)]


def _correction(row: Row[Any]) -> LabelCorrection:
    return LabelCorrection(
        MessageId(row.message_id),
        Task(row.task),
        row.old_label,
        row.new_label,
        row.author,
        row.at,
    )


def _values(made: LabelCorrection) -> dict[str, object]:
    return {
        "message_id": made.message_id,
        "task": made.task.value,
        "old_label": made.old_label,
        "new_label": made.new_label,
        "author": made.author,
        "at": made.at,
    }
