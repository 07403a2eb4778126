"""Keeps the priority of a conversation's row, inside the transaction of whoever changes it."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from bot.priority import ORDINARY, Priority, SlaMinutes, raised
from bot.tables import ConversationRow, MessageRow
from bot.types import ConversationState


def raise_priority(
    connection: Connection, conversation: Row[Any], severity: int | None, minutes: SlaMinutes
) -> None:
    """Lets a complaint or a wish for a person start the clock; a resolved matter is over.

    Args:
        connection: In a transaction.
        conversation: Its id, state, priority and due_at as they are.
        severity: Of what came in now; None for neither.
        minutes: Time to answer by severity.
    """
    is_over = conversation.state == ConversationState.RESOLVED
    before = Priority() if is_over else Priority(conversation.priority, conversation.due_at)
    after = raised(before, severity, datetime.now(UTC), minutes) if severity else before
    if is_over or after != before:
        _write(connection, conversation.id, after)


def recount_priority(connection: Connection, conversation_id: str, minutes: SlaMinutes) -> None:
    """Works a conversation's priority out anew, after a correction that may lower it too."""
    handoff_at = connection.execute(
        select(ConversationRow.handoff_at).where(ConversationRow.id == conversation_id)
    ).scalar()
    complaints = connection.execute(
        select(MessageRow.severity, MessageRow.created_at)
        .where(MessageRow.conversation_id == conversation_id, MessageRow.severity.is_not(None))
        .order_by(MessageRow.ordinal)
    )
    found = Priority()
    for row in complaints:
        found = raised(found, row.severity, row.created_at, minutes)
    if handoff_at is not None:
        found = raised(found, ORDINARY, handoff_at, minutes)
    _write(connection, conversation_id, found)


def _write(connection: Connection, conversation_id: str, priority: Priority) -> None:
    connection.execute(
        update(ConversationRow)
        .where(ConversationRow.id == conversation_id)
        .values(priority=priority.level, due_at=priority.due_at)
    )
