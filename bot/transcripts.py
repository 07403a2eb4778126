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
    intent: str | None = None  # of any of the customer's messages, as the next two
    sentiment: str | None = None
    severity: int | None = None  # at least
    is_due_first: bool = False  # by due time; else newest first
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
    """Returns the page that was asked for, in the order asked for, and how many fit."""
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
        .order_by(*_order(wanted))
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
    found += [exists().where(of_conversation, condition) for condition in _labels(wanted)]
    if wanted.q.strip():
        text = MessageRow.text.icontains(wanted.q.strip(), autoescape=True)
        found.append(exists().where(of_conversation, ~MessageRow.superseded, text))
    return found


def _labels(wanted: ConversationFilter) -> list[ColumnElement[bool]]:
    """Conditions on a customer's message; its columns hold what counts, corrections first."""
    found: list[ColumnElement[bool]] = []
    if wanted.intent is not None:
        found.append(MessageRow.intent == wanted.intent)
    if wanted.sentiment is not None:
        found.append(MessageRow.sentiment == wanted.sentiment)
    if wanted.severity is not None:
        found.append(MessageRow.severity >= wanted.severity)
    return found


def _order(wanted: ConversationFilter) -> list[Any]:
    """What is due soonest, then what has no due time; or simply the newest first."""
    newest = [ConversationRow.updated_at.desc(), ConversationRow.id]
    if not wanted.is_due_first:
        return newest
    is_resolved = ConversationRow.state == ConversationState.RESOLVED
    is_waiting = and_(ConversationRow.due_at.is_not(None), ~is_resolved)
    return [is_waiting.desc(), ConversationRow.due_at, *newest]


def _is_unanswered() -> ColumnElement[bool]:
    nothing_found = and_(
        MessageRow.action == Action.REFUSE, MessageRow.reason == Reason.NO_EVIDENCE
    )
    return or_(nothing_found, MessageRow.status == MessageStatus.FAILED)
