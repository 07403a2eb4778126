"""Conversations as customers and staff see them: create, authorize, read, rate, search."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, Select, delete, func, insert, select, update

from bot.errors import AccessDenied, ConversationNotFound, MessageNotFound
from bot.rows import conversation_from, message_from
from bot.tables import ConversationRow, FeedbackRow, MessageRow
from bot.transcripts import ConversationFilter, find_conversations
from bot.turns import TurnStore
from bot.types import (
    Conversation,
    ConversationId,
    ConversationState,
    Message,
    MessageId,
    Role,
)

FEEDBACK_VALUES = ("up", "down")
FEEDBACK_REASONS = (
    "wrong", "incomplete", "outdated", "wrong_evidence", "tone", "offensive", "other",
)  # fmt: skip
_SCORES = range(1, 6)


class ConversationStore:
    """Rows of conversations and their messages; a conversation's token is kept as a hash."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self, *, language: str, customer: Mapping[str, object] | None = None
    ) -> tuple[Conversation, str]:
        """Starts a conversation; returns it with its token, which is not shown again."""
        token = secrets.token_urlsafe(32)
        conversation_id = secrets.token_hex(16)
        now = datetime.now(UTC)
        values = {
            "id": conversation_id,
            "token_sha256": _digest(token),
            "state": ConversationState.BOT,
            "language": "zh" if language.startswith("zh") else "en",
            "title": "",
            "customer": dict(customer) if customer else None,
            "created_at": now,
            "updated_at": now,
        }
        with self._engine.begin() as connection:
            connection.execute(insert(ConversationRow), values)
        return self.get(ConversationId(conversation_id)), token

    def authorize(self, conversation_id: ConversationId, token: str) -> Conversation:
        """Returns the conversation if the token is its own.

        Raises:
            ConversationNotFound: no such conversation.
            AccessDenied: the token is another's.
        """
        row = self._row(conversation_id)
        if not hmac.compare_digest(row.token_sha256, _digest(token)):
            raise AccessDenied("The token does not belong to this conversation.")
        return conversation_from(row)

    def get(self, conversation_id: ConversationId) -> Conversation:
        """Returns the conversation without its messages.

        Raises:
            ConversationNotFound: no such conversation.
        """
        return conversation_from(self._row(conversation_id))

    def messages(
        self, conversation_id: ConversationId, *, with_superseded: bool = False
    ) -> list[Message]:
        """Returns the messages in order; answers that were written again only where wanted.

        Raises:
            ConversationNotFound: no such conversation.
        """
        query = (
            _message_query()
            .where(MessageRow.conversation_id == conversation_id)
            .order_by(MessageRow.ordinal, MessageRow.created_at)
        )
        if not with_superseded:
            query = query.where(~MessageRow.superseded)
        with self._engine.connect() as connection:
            messages = [message_from(row) for row in connection.execute(query)]
        if not messages:
            self._row(conversation_id)
        return messages

    def message(self, message_id: MessageId) -> Message:
        """Returns one message, also one that was written again since.

        Raises:
            MessageNotFound: no such message.
        """
        query = _message_query().where(MessageRow.id == message_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise MessageNotFound(f"There is no message {message_id!r}.")
        return message_from(row)

    def find(self, wanted: ConversationFilter) -> tuple[list[Conversation], int]:
        """Returns one page of the conversations that fit, newest first, and how many fit."""
        return find_conversations(self._engine, wanted)

    def add_feedback(
        self,
        message_id: MessageId,
        value: str,
        *,
        reason: str | None = None,
        comment: str | None = None,
    ) -> None:
        """Stores the customer's thumb on an answer; a second vote replaces the first.

        Raises:
            MessageNotFound: no bot message of that id.
            ValueError: an unknown value or reason.
        """
        if value not in FEEDBACK_VALUES:
            raise ValueError(f"Expected one of {FEEDBACK_VALUES}, got {value!r}.")
        if reason is not None and reason not in FEEDBACK_REASONS:
            raise ValueError(f"Expected one of {FEEDBACK_REASONS}, got {reason!r}.")
        if self.message(message_id).role is not Role.BOT:
            raise MessageNotFound(f"Message {message_id!r} is not the bot's.")
        row = {
            "message_id": message_id,
            "value": value,
            "reason": reason,
            "comment": comment or None,
            "created_at": datetime.now(UTC),
        }
        with self._engine.begin() as connection:
            connection.execute(delete(FeedbackRow).where(FeedbackRow.message_id == message_id))
            connection.execute(insert(FeedbackRow), row)

    def rate(
        self, conversation_id: ConversationId, score: int, *, comment: str | None = None
    ) -> None:
        """Stores the customer's score of the whole conversation, 1 to 5.

        Raises:
            ConversationNotFound: no such conversation.
            ValueError: a score outside 1 to 5.
        """
        if score not in _SCORES:
            raise ValueError(f"Expected a score from 1 to 5, got {score!r}.")
        with self._engine.begin() as connection:
            done = connection.execute(
                update(ConversationRow)
                .where(ConversationRow.id == conversation_id)
                .values(rating=score, rating_comment=comment or None)
            )
        if done.rowcount == 0:
            raise _not_found(conversation_id)

    def mark_interrupted(self) -> int:
        """Marks every turn a dead process left open; for the server's start-up only."""
        return TurnStore(self._engine, history_turns=0, sla_minutes=()).interrupt()

    def _row(self, conversation_id: ConversationId) -> Row[Any]:
        n_messages = (
            select(func.count())
            .where(MessageRow.conversation_id == ConversationRow.id, ~MessageRow.superseded)
            .scalar_subquery()
            .label("n_messages")
        )
        query = select(ConversationRow.__table__, n_messages).where(
            ConversationRow.id == conversation_id
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise _not_found(conversation_id)
        return row


def _message_query() -> Select[Any]:
    return select(
        MessageRow.__table__,
        FeedbackRow.value,
        FeedbackRow.reason.label("feedback_reason"),
        FeedbackRow.comment,
    ).outerjoin(FeedbackRow, FeedbackRow.message_id == MessageRow.id)


def _not_found(conversation_id: str) -> ConversationNotFound:
    return ConversationNotFound(f"There is no conversation {conversation_id!r}.")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
