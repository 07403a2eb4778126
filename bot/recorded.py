"""The searches that answered customers, as their messages recorded them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from bot.tables import MessageRow

_COLUMNS = (MessageRow.id, MessageRow.created_at, MessageRow.evidence)


@dataclass(frozen=True, slots=True)
class RecordedRetrieval:
    """One search: what was asked, found, with which settings and how quickly."""

    message_id: str
    at: datetime
    query: str
    relevance: float
    settings: Mapping[str, Any]
    hits: tuple[Mapping[str, Any], ...]
    timings_ms: Mapping[str, float]


def recent_retrievals(engine: Engine, *, limit: int = 30) -> list[RecordedRetrieval]:
    """Returns the newest searches for customers, newest first."""
    query = (
        select(*_COLUMNS)
        .where(MessageRow.action.is_not(None), MessageRow.evidence.is_not(None))
        .order_by(MessageRow.created_at.desc())
        .limit(limit)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [_recorded(row) for row in rows if row.evidence]


def recorded_retrieval(engine: Engine, message_id: str) -> RecordedRetrieval | None:
    """Returns the search behind one answer, None when it made none."""
    with engine.connect() as connection:
        row = connection.execute(select(*_COLUMNS).where(MessageRow.id == message_id)).one_or_none()
    return _recorded(row) if row is not None and row.evidence else None


def _recorded(row: Any) -> RecordedRetrieval:
    evidence = row.evidence
    return RecordedRetrieval(
        message_id=row.id,
        at=row.created_at,
        query=evidence["query"],
        relevance=evidence["relevance"],
        settings=evidence.get("settings", {}),
        hits=tuple(evidence["hits"]),
        timings_ms=evidence["timings_ms"],
    )
