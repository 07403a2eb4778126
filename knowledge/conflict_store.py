"""Keeps the contradictions that were found, and what people judged of them.

A pair is known by its documents and by the words of its passages, so a judgement outlives a new
search and a new file with the same words, and ends when one of the passages changes. Pairs that
are found no more are dropped while nobody has judged them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from knowledge.conflicts import Conflict
from knowledge.errors import ConflictNotFound
from knowledge.live_chunks import is_live
from knowledge.quantity import Quantity
from knowledge.statements import Statement
from knowledge.tables import ChunkRow, ConflictRow, DocumentRow

#: SQLite allows 32,766 bound values in a statement.
_GROUP = 500


class Verdict(StrEnum):
    """What a person says of a pair."""

    OPEN = "open"
    REAL = "real"
    NOT_ONE = "not_one"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two statements; `marks` are the offsets of the differing figures in `quote`."""

    chunk_id: int
    document_id: str
    document: str
    quote: str
    key: str  # of the table row it stands in
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class FoundConflict:
    """A stored pair with its judgement."""

    id: str
    a: Side
    b: Side
    score: float
    verdict: Verdict
    found_at: datetime
    judged_by: str | None
    judged_at: datetime | None


class ConflictStore:
    """Pairs as values; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, found: Sequence[Conflict]) -> None:
        """Takes the result of a search over; judgements of pairs that are still there stay."""
        with Session(self._engine) as session, session.begin():
            save_conflicts(session, found)

    def list(self, *, verdict: Verdict | None = None) -> Sequence[FoundConflict]:
        """Returns the pairs whose passages are live and unchanged, the most alike first."""
        query = select(ConflictRow).order_by(ConflictRow.score.desc(), ConflictRow.id)
        if verdict is not None:
            query = query.where(ConflictRow.verdict == verdict)
        with Session(self._engine) as session:
            rows = list(session.scalars(query))
            return [_conflict(row) for row in rows if self._holds(session, row)]

    def judge(self, conflict_id: str, verdict: Verdict, *, author: str) -> FoundConflict:
        """Keeps a person's judgement; `open` takes one back. Raises `ConflictNotFound`."""
        with Session(self._engine) as session, session.begin():
            row = session.get(ConflictRow, conflict_id)
            if row is None:
                raise ConflictNotFound(f"There is no contradiction {conflict_id!r}; look again.")
            row.verdict = verdict
            is_open = verdict is Verdict.OPEN
            row.judged_by = None if is_open else author
            row.judged_at = None if is_open else datetime.now(UTC)
            return _conflict(row)

    def _holds(self, session: Session, row: ConflictRow) -> bool:
        """True while both passages stand as they did; an edit ends the pair at once."""
        return all(_stands(session, side) for side in (row.a, row.b))


def save_conflicts(session: Session, found: Sequence[Conflict]) -> None:
    """Takes the result of a search over within the caller's transaction."""
    now = datetime.now(UTC)
    pairs: dict[str, Conflict] = {}
    for conflict in found:  # best first: one entry for two passages
        pairs.setdefault(_pair_id(conflict), conflict)
    known = {row.id: row for row in session.scalars(select(ConflictRow))}
    gone = [id for id, row in known.items() if id not in pairs and _is_open(row)]
    for first in range(0, len(gone), _GROUP):
        doomed = gone[first : first + _GROUP]
        session.execute(delete(ConflictRow).where(ConflictRow.id.in_(doomed)))
    for id, conflict in pairs.items():
        row = known.get(id)
        if row is None:
            row = ConflictRow(id=id, verdict=Verdict.OPEN, found_at=now)
            session.add(row)
        row.score = conflict.score
        row.a = _stored(conflict.a, [mine for mine, _ in conflict.figures])
        row.b = _stored(conflict.b, [theirs for _, theirs in conflict.figures])


def _stands(session: Session, side: dict[str, object]) -> bool:
    now = datetime.now(UTC)
    document = session.get(DocumentRow, str(side["document_id"]))
    if document is None or (document.expires_at is not None and document.expires_at <= now):
        return False
    live = select(ChunkRow.text).where(is_live(), ChunkRow.document_id == document.id)
    same = session.scalar(live.where(ChunkRow.id == int(str(side["chunk_id"]))))
    if same is not None and _hash(same) == side["sha256"]:
        return True
    return any(_hash(text) == side["sha256"] for text in session.scalars(live))


def _is_open(row: ConflictRow) -> bool:
    return row.verdict == Verdict.OPEN


def _pair_id(conflict: Conflict) -> str:
    sides = sorted(
        f"{one.place.document_id}:{_hash(one.place.text)}" for one in (conflict.a, conflict.b)
    )
    return _hash("|".join(sides))[:32]


def _stored(one: Statement, figures: Sequence[Quantity]) -> dict[str, object]:
    return {
        "chunk_id": one.place.chunk_id,
        "document_id": one.place.document_id,
        "document": one.place.document,
        "sha256": _hash(one.place.text),
        "quote": one.text,
        "key": one.key,
        "marks": [[figure.start, figure.end] for figure in figures],
    }


def _conflict(row: ConflictRow) -> FoundConflict:
    return FoundConflict(
        id=row.id,
        a=_side(row.a),
        b=_side(row.b),
        score=row.score,
        verdict=Verdict(row.verdict),
        found_at=row.found_at,
        judged_by=row.judged_by,
        judged_at=row.judged_at,
    )


def _side(stored: dict[str, object]) -> Side:
    marks = stored["marks"]
    if not isinstance(marks, list):
        raise TypeError(f"Expected a list of marks, got {marks!r}.")
    return Side(
        chunk_id=int(str(stored["chunk_id"])),
        document_id=str(stored["document_id"]),
        document=str(stored["document"]),
        quote=str(stored["quote"]),
        key=str(stored["key"]),
        marks=tuple((int(start), int(end)) for start, end in sorted(marks)),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
