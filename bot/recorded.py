"""The searches that answered customers: written with the turn, listed and opened by staff.

The passages found, the settings and the times stand in the message's evidence; the row beside it
holds what is filtered by, and every candidate. So a search whose row was pruned still opens.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, or_, select

from bot.tables import MessageRow, RetrievalRow
from bot.types import Reply
from knowledge.types import Candidate, Retrieval

_PRUNE_EVERY = 100  # rows; deleting one at each turn would cost every turn something


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """What is kept of one search beside the message's evidence."""

    question: str
    language: str
    retrieval: Retrieval
    threshold: float
    n_kept: int  # newest searches


@dataclass(frozen=True, slots=True)
class RecordedRetrieval:
    """One search: what was asked, found, with which settings and how quickly."""

    message_id: str
    at: datetime
    question: str
    query: str
    language: str
    action: str
    relevance: float
    threshold: float | None
    conversation_id: str = ""
    settings: Mapping[str, Any] | None = None
    hits: tuple[Mapping[str, Any], ...] = ()
    candidates: tuple[Candidate, ...] = ()
    timings_ms: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class RetrievalFilter:
    """Which searches to list; None and an empty text mean any."""

    q: str = ""
    language: str | None = None
    action: str | None = None
    max_relevance: float | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None  # exclusive
    page: int = 1
    page_size: int = 20


def record_search(connection: Connection, reply: Reply, search: SearchRecord) -> None:
    """Writes a search within the caller's transaction, and drops old ones now and then."""
    found = search.retrieval
    row = {
        "message_id": reply.message_id,
        "at": datetime.now(UTC),
        "language": search.language,
        "question": search.question,
        "query": found.query,
        "action": reply.action,
        "relevance": found.relevance,
        "threshold": search.threshold,
        "candidates": [_packed(candidate) for candidate in found.candidates],
    }
    key = connection.execute(insert(RetrievalRow).values(row)).inserted_primary_key
    number = int(key[0]) if key else 0
    if number % _PRUNE_EVERY == 0:
        connection.execute(delete(RetrievalRow).where(RetrievalRow.id <= number - search.n_kept))


def recent_retrievals(
    engine: Engine, wanted: RetrievalFilter | None = None
) -> tuple[list[RecordedRetrieval], int]:
    """Returns a page of searches for customers, newest first, and how many there are.

    They come without hits, candidates, settings and times.
    """
    wanted = wanted or RetrievalFilter()
    where = _conditions(wanted)
    query = (
        select(*(c for c in RetrievalRow.__table__.c if c.name not in ("id", "candidates")))
        .where(*where)
        .order_by(RetrievalRow.id.desc())
        .limit(wanted.page_size)
        .offset((wanted.page - 1) * wanted.page_size)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).all()
        total = connection.scalar(select(func.count()).select_from(RetrievalRow).where(*where))
    return [RecordedRetrieval(**row._mapping) for row in rows], total or 0


def recorded_retrieval(engine: Engine, message_id: str) -> RecordedRetrieval | None:
    """Returns the search behind one answer in full, None when it made none."""
    answer, record = MessageRow.__table__.c, RetrievalRow
    customer = MessageRow.__table__.alias("customer").c
    asked = select(customer.text).where(customer.id == answer.replies_to).scalar_subquery()
    query = (
        select(
            answer.id, answer.created_at, answer.conversation_id, answer.evidence, answer.action,
            record.language, record.question, record.threshold, record.candidates,
            asked.label("asked"),
        )
        .outerjoin(record, record.message_id == answer.id)
        .where(answer.id == message_id)
    )  # fmt: skip
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return _recorded(row) if row is not None and row.evidence else None


def _conditions(wanted: RetrievalFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.q.strip():
        words = wanted.q.strip()
        found.append(
            or_(
                RetrievalRow.question.icontains(words, autoescape=True),
                RetrievalRow.query.icontains(words, autoescape=True),
            )
        )
    if wanted.language:
        found.append(RetrievalRow.language == wanted.language)
    if wanted.action:
        found.append(RetrievalRow.action == wanted.action)
    if wanted.max_relevance is not None:
        found.append(RetrievalRow.relevance <= wanted.max_relevance)
    if wanted.date_from is not None:
        found.append(RetrievalRow.at >= wanted.date_from)
    if wanted.date_to is not None:
        found.append(RetrievalRow.at < wanted.date_to)
    return found


def _recorded(row: Any) -> RecordedRetrieval:
    evidence = row.evidence
    return RecordedRetrieval(
        message_id=row.id,
        at=row.created_at,
        question=row.question or row.asked or evidence["query"],
        query=evidence["query"],
        language=row.language or "",
        action=row.action or "",
        relevance=evidence["relevance"],
        threshold=row.threshold,
        conversation_id=row.conversation_id,
        settings=evidence.get("settings", {}),
        hits=tuple(evidence["hits"]),
        candidates=tuple(Candidate(*values) for values in row.candidates or ()),
        timings_ms=evidence["timings_ms"],
    )


def _packed(candidate: Candidate) -> list[object]:
    """The fields in order, scores to what is shown: names in each would triple the size."""
    return [round(value, 5) if isinstance(value, float) else value for value in astuple(candidate)]
