"""Which chunks may be found right now, and the outbox that tells every process of changes.

A chunk is live when it is enabled and belongs to the live version of a document that is neither
deleted nor archived. Whoever changes that, records the chunk ids with `record_changes` in the same
transaction; whoever keeps an index, reads the ids and looks the chunks up again. So an entry
says only "look again", and applying one twice, late or out of order does no harm. Customers find
less than what is live, see `is_for`: that holds at every search, as no entry tells of a date.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from sqlalchemy import ColumnElement, Engine, and_, func, insert, or_, select, text, true
from sqlalchemy.orm import Session

from knowledge.embedding import Vectors
from knowledge.tables import ChunkChangeRow, ChunkRow, DocumentRow
from knowledge.types import Audience, Chunk, ChunkId, DocumentId, Visibility

#: SQLite allows 32,766 bound values in a statement; this keeps far away from it.
_GROUP = 500


@dataclass(frozen=True, slots=True)
class IndexableChunk:
    """What the indexes store of one live chunk."""

    id: int
    passage: str
    embedder: str
    vector: Vectors  # (dim,)


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """A live chunk with its document's names, for those who show it."""

    chunk: Chunk
    document: str
    title: str


def is_live() -> ColumnElement[bool]:
    """Returns the SQL condition over `chunks` joined with `documents`."""
    return and_(
        DocumentRow.id == ChunkRow.document_id,
        DocumentRow.version == ChunkRow.version,
        DocumentRow.deleted_at.is_(None),
        DocumentRow.archived_at.is_(None),
        ChunkRow.enabled,
    )


def is_for(audience: Audience, now: datetime) -> ColumnElement[bool]:
    """Returns the SQL condition over `documents` that this audience may be answered from one.

    Anything but staff is a customer, so that a mistake shows too little, never too much.
    """
    if audience is Audience.STAFF:
        return true()
    return and_(
        DocumentRow.visibility == Visibility.PUBLIC,
        or_(DocumentRow.effective_from.is_(None), DocumentRow.effective_from <= now),
        or_(DocumentRow.expires_at.is_(None), DocumentRow.expires_at > now),
    )


def passage_text(title: str, headings: Sequence[str], body: str) -> str:
    """Returns what is embedded and indexed for a chunk: its place in the document, then itself.

    A table row or a short paragraph often does not name what it is about; its title and headings
    do. Lines that the chunk starts with anyway are not repeated.
    """
    context = [line for line in dict.fromkeys([title, *headings]) if line and line not in body]
    return "\n".join([*context, body])


def record_changes(
    session: Session, chunk_ids: Sequence[int], op: Literal["add", "remove"]
) -> None:
    """Tells every process to look at `chunk_ids` again once this transaction is committed.

    Readers remember the highest id they saw, so ids must become visible in order. SQLite has one
    writer at a time; elsewhere a table lock, held until the commit, gives the same.
    """
    if not chunk_ids:
        return
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE chunk_changes IN SHARE ROW EXCLUSIVE MODE"))
    session.execute(insert(ChunkChangeRow), [{"chunk_id": id, "op": op} for id in chunk_ids])


def newest_change(engine: Engine) -> int:
    """Returns the id of the newest entry of the outbox, 0 when there is none."""
    with engine.connect() as connection:
        return connection.scalar(select(func.max(ChunkChangeRow.id))) or 0


def changed_chunk_ids(engine: Engine, *, after: int, up_to: int) -> list[int]:
    """Returns the distinct chunks with entries in `(after, up_to]`, ascending."""
    query = (
        select(ChunkChangeRow.chunk_id)
        .where(ChunkChangeRow.id > after, ChunkChangeRow.id <= up_to)
        .distinct()
        .order_by(ChunkChangeRow.chunk_id)
    )
    with engine.connect() as connection:
        return list(connection.scalars(query))


def live_chunk_ids(engine: Engine, *, embedder: str | None = None) -> list[int]:
    """Returns the ids of all live chunks, or of those with that embedder's vectors, ascending."""
    query = select(ChunkRow.id).where(is_live()).order_by(ChunkRow.id)
    if embedder is not None:
        query = query.where(ChunkRow.embedder == embedder)
    with engine.connect() as connection:
        return list(connection.scalars(query))


def foreign_embedder(engine: Engine, embedder_id: str) -> str | None:
    """Returns the name of another embedder that made a live chunk's vector, or None."""
    query = select(ChunkRow.embedder).where(is_live(), ChunkRow.embedder != embedder_id).limit(1)
    with engine.connect() as connection:
        return connection.scalar(query)


def load_indexable(engine: Engine, ids: Sequence[int]) -> Iterator[list[IndexableChunk]]:
    """Yields those of `ids` that are live, in groups small enough to work on at once."""
    columns = (
        ChunkRow.id,
        DocumentRow.title,
        ChunkRow.headings,
        ChunkRow.text,
        ChunkRow.embedder,
        ChunkRow.embedding,
    )
    for first in range(0, len(ids), _GROUP):
        group = ids[first : first + _GROUP]
        with engine.connect() as connection:
            rows = connection.execute(
                select(*columns).where(is_live(), ChunkRow.id.in_(group)).order_by(ChunkRow.id)
            ).all()
        yield [
            IndexableChunk(
                id=row.id,
                passage=passage_text(row.title, row.headings, row.text),
                embedder=row.embedder,
                vector=decode_vector(row.embedding),
            )
            for row in rows
        ]


def load_live(
    engine: Engine, ids: Sequence[int], *, audience: Audience, now: datetime
) -> dict[int, LiveChunk]:
    """Returns those of `ids` that this audience may find at `now`, by id, in one statement."""
    columns = (
        ChunkRow.id,
        ChunkRow.document_id,
        ChunkRow.version,
        ChunkRow.text,
        ChunkRow.start,
        ChunkRow.end,
        ChunkRow.page,
        ChunkRow.headings,
        ChunkRow.enabled,
        DocumentRow.name,
        DocumentRow.title,
    )
    with engine.connect() as connection:
        rows = connection.execute(
            select(*columns).where(is_live(), is_for(audience, now), ChunkRow.id.in_(ids))
        ).all()
    return {
        row.id: LiveChunk(
            chunk=Chunk(
                id=ChunkId(row.id),
                document_id=DocumentId(row.document_id),
                version=row.version,
                text=row.text,
                start=row.start,
                end=row.end,
                page=row.page,
                headings=tuple(row.headings),
                enabled=row.enabled,
            ),
            document=row.name,
            title=row.title,
        )
        for row in rows
    }


def encode_vector(vector: Vectors) -> bytes:
    """Returns (dim,) float32 as the bytes that a row stores."""
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def decode_vector(stored: bytes) -> Vectors:
    """Returns what `encode_vector` was given."""
    return np.frombuffer(stored, dtype="<f4").astype(np.float32)
