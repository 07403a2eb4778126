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
from functools import cache
from typing import Any, Literal

import numpy as np
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from knowledge.embedding import Vectors
from knowledge.parts import all_vectors
from knowledge.tables import (
    ChunkChangeRow,
    ChunkQuestionRow,
    ChunkRow,
    DocumentRow,
    UtcDateTime,
)
from knowledge.types import (
    Audience,
    Chunk,
    ChunkId,
    ChunkOrigin,
    DocumentId,
    QuestionState,
    Visibility,
)

#: SQLite allows 32,766 bound values in a statement; this keeps far away from it.
_GROUP = 500
_NEWEST = select(func.max(ChunkChangeRow.id))  # asked by every search
#: Entries of the outbox that stay for indexes that lag behind.
KEPT_CHANGES = 10_000


@dataclass(frozen=True, slots=True)
class IndexableChunk:
    """What the indexes store of one live chunk."""

    id: int
    passage: str
    embedder: str
    vectors: Vectors  # (n, dim): of the whole passage, then of its parts
    questions: tuple["IndexableQuestion", ...] = ()

    def all_vectors(self, embedder: str) -> Vectors:
        """Returns (n, dim): the passage's vectors and those of its questions, by one embedder."""
        asked = [question.vector for question in self.questions if question.embedder == embedder]
        return np.vstack([self.vectors, *asked]) if asked else self.vectors


@dataclass(frozen=True, slots=True)
class IndexableQuestion:
    """An approved question of a live chunk."""

    text: str
    embedder: str
    vector: Vectors  # (dim,)


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """A live chunk with its document's names, for those who show it."""

    chunk: Chunk
    document: str
    title: str

    @property
    def passage(self) -> str:
        """What is embedded of it, and indexed beside its questions."""
        return passage_text(self.title, self.chunk.headings, self.chunk.text)


def is_live() -> ColumnElement[bool]:
    """Returns the SQL condition over `chunks` joined with `documents`."""
    return and_(
        DocumentRow.id == ChunkRow.document_id,
        DocumentRow.version == ChunkRow.version,
        DocumentRow.deleted_at.is_(None),
        DocumentRow.archived_at.is_(None),
        ChunkRow.enabled,
    )


def is_for(audience: Audience, now: BindParameter[datetime]) -> ColumnElement[bool]:
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


def with_questions(passage: str, questions: Sequence[str]) -> str:
    """Returns a passage with the words of the questions that lead to it."""
    return "\n".join([passage, *questions])


def record_changes(
    session: Session, chunk_ids: Sequence[int], op: Literal["add", "remove"]
) -> None:
    """Tells every process to look at `chunk_ids` again once this transaction is committed.

    Readers remember the highest id they saw, so ids must become visible in order. SQLite has one
    writer at a time; elsewhere a table lock, held until the commit, gives the same.
    """
    if not chunk_ids:
        return
    hold_changes(session)
    session.execute(insert(ChunkChangeRow), [{"chunk_id": id, "op": op} for id in chunk_ids])


def hold_changes(session: Session) -> None:
    """Lets nobody else record changes until this transaction ends.

    On SQLite whoever has written anything in the transaction has that right already.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE chunk_changes IN SHARE ROW EXCLUSIVE MODE"))


def newest_change(engine: Engine) -> int:
    """Returns the id of the newest entry of the outbox, 0 when there is none."""
    with engine.connect() as connection:
        return connection.scalar(_NEWEST) or 0


def oldest_change(engine: Engine) -> int:
    """Returns the id of the oldest entry still kept, 0 when there is none."""
    with engine.connect() as connection:
        return connection.scalar(select(func.min(ChunkChangeRow.id))) or 0


def prune_changes(engine: Engine, *, up_to: int, keep: int = KEPT_CHANGES) -> int:
    """Drops entries up to an id that is in a saved index, but never the newest `keep` ones.

    Another process may lag further behind: it notices by `oldest_change`. The newest entry always
    stays, for its id says how new the database is.
    """
    last = min(up_to, newest_change(engine) - max(1, keep))
    if oldest_change(engine) > last:
        return 0  # without taking the write lock
    with engine.begin() as connection:
        done = connection.execute(delete(ChunkChangeRow).where(ChunkChangeRow.id <= last))
    return done.rowcount


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


def embedders_in_use(engine: Engine) -> dict[str, int]:
    """Returns how many live chunks have vectors of each embedder."""
    query = (
        select(ChunkRow.embedder, func.count())
        .where(is_live())
        .select_from(ChunkRow)
        .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
        .group_by(ChunkRow.embedder)
    )
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def load_indexable(engine: Engine, ids: Sequence[int]) -> Iterator[list[IndexableChunk]]:
    """Yields those of `ids` that are live, in groups small enough to work on at once."""
    columns = (
        ChunkRow.id,
        DocumentRow.title,
        ChunkRow.headings,
        ChunkRow.text,
        ChunkRow.embedder,
        ChunkRow.embedding,
        ChunkRow.part_embeddings,
    )
    for first in range(0, len(ids), _GROUP):
        group = ids[first : first + _GROUP]
        with engine.connect() as connection:
            rows = connection.execute(
                select(*columns).where(is_live(), ChunkRow.id.in_(group)).order_by(ChunkRow.id)
            ).all()
            questions = _questions(connection, group)
        yield [
            IndexableChunk(
                id=row.id,
                passage=passage_text(row.title, row.headings, row.text),
                embedder=row.embedder,
                vectors=all_vectors(decode_vector(row.embedding), row.part_embeddings),
                questions=tuple(questions.get(row.id, ())),
            )
            for row in rows
        ]


def searched_texts(engine: Engine, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yields what the lexical index knows of those of `ids` that are live, without vectors."""
    columns = ChunkRow.id, DocumentRow.title, ChunkRow.headings, ChunkRow.text
    for first in range(0, len(ids), _GROUP):
        group = ids[first : first + _GROUP]
        with engine.connect() as connection:
            query = select(*columns).where(is_live(), ChunkRow.id.in_(group))
            rows = connection.execute(query).all()
            questions = _question_texts(connection, group)
        for row in rows:
            passage = passage_text(row.title, row.headings, row.text)
            yield row.id, with_questions(passage, questions.get(row.id, ()))


def load_live(
    engine: Engine, ids: Sequence[int], *, audience: Audience, now: datetime
) -> dict[int, LiveChunk]:
    """Returns those of `ids` that this audience may find at `now`, by id, in one statement."""
    with engine.connect() as connection:
        rows = connection.execute(_live_rows(audience), {"ids": ids, "now": now}).all()
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
                origin=ChunkOrigin(row.origin),
                pinned=row.pinned,
            ),
            document=row.name,
            title=row.title,
        )
        for row in rows
    }


@cache
def _live_rows(audience: Audience) -> Select[Any]:
    """The statement of `load_live`: putting it together takes longer than carrying it out."""
    columns: tuple[InstrumentedAttribute[Any], ...] = (
        ChunkRow.id,
        ChunkRow.document_id,
        ChunkRow.version,
        ChunkRow.text,
        ChunkRow.start,
        ChunkRow.end,
        ChunkRow.page,
        ChunkRow.headings,
        ChunkRow.enabled,
        ChunkRow.origin,
        ChunkRow.pinned,
        DocumentRow.name,
        DocumentRow.title,
    )
    now = bindparam("now", type_=UtcDateTime())
    wanted = ChunkRow.id.in_(bindparam("ids", expanding=True))
    return select(*columns).where(is_live(), is_for(audience, now), wanted)


def load_searched_texts(engine: Engine, chunks: Sequence[LiveChunk]) -> list[str]:
    """Returns what the lexical index knows of each: the passage and its questions."""
    with engine.connect() as connection:
        asked = _question_texts(connection, [one.chunk.id for one in chunks])
    return [with_questions(one.passage, asked.get(one.chunk.id, [])) for one in chunks]


def _questions(connection: Connection, ids: Sequence[int]) -> dict[int, list[IndexableQuestion]]:
    """Returns the approved questions of chunks, the oldest first."""
    found: dict[int, list[IndexableQuestion]] = {}
    columns = (
        ChunkQuestionRow.chunk_id,
        ChunkQuestionRow.text,
        ChunkQuestionRow.embedder,
        ChunkQuestionRow.embedding,
    )
    for row in connection.execute(_approved(*columns), {"ids": ids}):
        question = IndexableQuestion(row.text, row.embedder, decode_vector(row.embedding))
        found.setdefault(row.chunk_id, []).append(question)
    return found


def _question_texts(connection: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    """Returns the same questions without their vectors, which most of the reading goes into."""
    found: dict[int, list[str]] = {}
    query = _approved(ChunkQuestionRow.chunk_id, ChunkQuestionRow.text)
    for chunk_id, asked in connection.execute(query, {"ids": ids}):
        found.setdefault(chunk_id, []).append(asked)
    return found


@cache
def _approved(*columns: InstrumentedAttribute[Any]) -> Select[Any]:
    return (
        select(*columns)
        .where(ChunkQuestionRow.chunk_id.in_(bindparam("ids", expanding=True)))
        .where(ChunkQuestionRow.embedding.is_not(None))
        .where(ChunkQuestionRow.state == QuestionState.APPROVED)
        .order_by(ChunkQuestionRow.id)
    )


def encode_vector(vector: Vectors) -> bytes:
    """Returns (dim,) float32 as the bytes that a row stores."""
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def decode_vector(stored: bytes) -> Vectors:
    """Returns what `encode_vector` was given."""
    return np.frombuffer(stored, dtype="<f4").astype(np.float32)
