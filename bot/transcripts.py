"""Searches transcripts: filters and text search over all conversations, a page at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, exists, func, or_, select

from bot.rows import conversation_from
from bot.tables import ConversationRow, MessageRow
from bot.types import Action, Conversation, ConversationState, MessageStatus, Reason

MAX_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class ConversationFilter:
    """What to look for; None asks for nothing. Dates are aware, `date_to` is exclusive."""

    q: str = ""
    date_from: datetime | None = None
    date_to: datetime | None = None
    language: str | None = None  # zh or en
    rating: int | None = None
    state: ConversationState | None = None
    handed_off: bool | None = None
    unanswered: bool | None = None  # nothing was found, or the answer failed
    page: int = 1
    page_size: int = 20

    def __post_init__(self) -> None:
        if self.page < 1 or not 1 <= self.page_size <= MAX_PAGE_SIZE:
            raise ValueError(
                f"Expected page ≥ 1 and page_size 1–{MAX_PAGE_SIZE}, "
                f"got {self.page!r} and {self.page_size!r}."
            )


def find_conversations(
    engine: Engine, wanted: ConversationFilter
) -> tuple[list[Conversation], int]:
    """Returns the page that was asked for, newest first, and the number of all that fit."""
    conditions = _conditions(wanted)
    of_conversation = MessageRow.conversation_id == ConversationRow.id
    n_messages = (
        select(func.count())
        .where(of_conversation, ~MessageRow.superseded)
        .scalar_subquery()
        .label("n_messages")
    )
    page = (
        select(ConversationRow.__table__, n_messages)
        .where(*conditions)
        .order_by(ConversationRow.updated_at.desc(), ConversationRow.id)
        .limit(wanted.page_size)
        .offset((wanted.page - 1) * wanted.page_size)
    )
    count = select(func.count()).select_from(ConversationRow).where(*conditions)
    with engine.connect() as connection:
        total = connection.execute(count).scalar_one()
        return [conversation_from(row) for row in connection.execute(page)], total


def _conditions(wanted: ConversationFilter) -> list[ColumnElement[Any]]:
    """One condition for each wish; conversations without a message are left out."""
    of_conversation = MessageRow.conversation_id == ConversationRow.id
    found: list[ColumnElement[Any]] = [exists().where(of_conversation)]
    equal = {"language": wanted.language, "rating": wanted.rating, "state": wanted.state}
    found += [
        getattr(ConversationRow, name) == value
        for name, value in equal.items()
        if value is not None
    ]
    if wanted.date_from is not None:
        found.append(ConversationRow.created_at >= wanted.date_from)
    if wanted.date_to is not None:
        found.append(ConversationRow.created_at < wanted.date_to)
    if wanted.handed_off is not None:
        handed_off = ConversationRow.handoff_at.is_not(None)
        found.append(handed_off if wanted.handed_off else ~handed_off)
    if wanted.unanswered is not None:
        unanswered = exists().where(of_conversation, ~MessageRow.superseded, _is_unanswered())
        found.append(unanswered if wanted.unanswered else ~unanswered)
    if wanted.q.strip():
        text = MessageRow.text.icontains(wanted.q.strip(), autoescape=True)
        found.append(exists().where(of_conversation, ~MessageRow.superseded, text))
    return found


def _is_unanswered() -> ColumnElement[bool]:
    nothing_found = and_(
        MessageRow.action == Action.REFUSE, MessageRow.reason == Reason.NO_EVIDENCE
    )
    return or_(nothing_found, MessageRow.status == MessageStatus.FAILED)
