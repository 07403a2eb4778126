"""Conversations as questions with a known passage: answers that customers gave a thumbs-up."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, select

from bot.tables import ConversationRow, FeedbackRow, MessageRow

_MAX = 5000


@dataclass(frozen=True, slots=True)
class ConfirmedAnswer:
    """A question as it was searched, and the passage that its liked answer cites first."""

    query: str
    document_id: str
    quote: str
    language: str


def confirmed_answers(engine: Engine) -> Iterator[ConfirmedAnswer]:
    """Yields the newest liked answers that cite a passage."""
    query = (
        select(MessageRow.query, MessageRow.citations, ConversationRow.language)
        .join(FeedbackRow, FeedbackRow.message_id == MessageRow.id)
        .join(ConversationRow, ConversationRow.id == MessageRow.conversation_id)
        .where(FeedbackRow.value == "up", MessageRow.query.is_not(None))
        .where(MessageRow.superseded.is_(False))
        .order_by(MessageRow.created_at.desc())
        .limit(_MAX)
    )
    with engine.connect() as connection:
        for row in connection.execute(query):
            if row.query and row.citations:
                cited = row.citations[0]
                yield ConfirmedAnswer(
                    row.query, str(cited["document_id"]), str(cited["quote"]), row.language
                )
