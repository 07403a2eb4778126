"""Embeds all documents again, beside the vectors that are searched meanwhile; resumable.

New vectors are kept in a table of their own, each with the hash of what it was made from. When
every passage has one, all change over in one transaction. What was edited, added or removed in
the meantime shows in the outbox, and then the missing ones are made first. A process searches
with the old vectors until it sees the change (`SearchIndexes.refresh`).
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from knowledge import live_chunks
from knowledge.embedding import Embedder
from knowledge.job_run import JobRun, batches
from knowledge.jobs import REBUILD, JobStore, advance, succeed
from knowledge.live_chunks import encode_vector, hold_changes, passage_text, record_changes
from knowledge.next_embedder import target_of
from knowledge.parts import embed_parts, part_texts
from knowledge.tables import (
    ChunkChangeRow,
    ChunkQuestionRow,
    ChunkRow,
    DocumentRow,
    JobRow,
    NextEmbeddingRow,
)
from knowledge.types import JobId

logger = logging.getLogger(__name__)

_GROUP = 200
_EMBEDDED = 0.97


@dataclass(frozen=True, slots=True)
class _Passage:
    id: int
    text: str
    parts: tuple[str, ...]
    sha256: str


def request_rebuild(jobs: JobStore) -> JobId:
    """Queues a rebuild of all vectors."""
    return jobs.add(REBUILD, {})


def rebuild(run: JobRun) -> None:
    """Carries out one rebuild job; raises as `ingest` does."""
    embedder = target_of(run.embedder)
    _begin(run)
    run.report("embedding", 0.0)
    n_done = 0
    while True:
        seen = live_chunks.newest_change(run.engine)
        n_done += _embed_missing(run, embedder)
        if _change_over(run, embedder, seen):
            break
    run.indexes.refresh()
    with Session(run.engine) as session, session.begin():
        succeed(session, run.claim)
    logger.info("rebuilt %d vectors with %s", n_done, embedder.id)


def _begin(run: JobRun) -> None:
    """Drops what other rebuilds left, once a job: a later attempt goes on with its own."""
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        job = session.get_one(JobRow, run.claim.job.id)
        if not job.payload.get("begun"):
            session.execute(delete(NextEmbeddingRow))
            job.payload = {**job.payload, "begun": True}


def _embed_missing(run: JobRun, embedder: Embedder) -> int:
    """Makes the vectors that are missing or of a passage that reads differently now."""
    ids = _chunk_ids(run)
    n_made = 0
    for first in range(0, len(ids), _GROUP):
        group = _load(run, ids[first : first + _GROUP], embedder.id)
        for part in batches([passage.text for passage in group], embedder.count_tokens):
            run.wait_turn()
            vectors = embedder.embed_passages([passage.text for passage in group[part]])
            n_made += part.stop - part.start
            share = (first + part.stop) / len(ids)
            parts = embed_parts(
                embedder, [passage.parts for passage in group[part]], pause=run.wait_turn
            )
            made = list(zip([encode_vector(v) for v in vectors], parts, strict=True))
            _store(run, embedder.id, group[part], made, share)
    return n_made


def _wanted() -> ColumnElement[bool]:
    """Chunks of live versions, disabled ones too."""
    return and_(
        DocumentRow.id == ChunkRow.document_id,
        DocumentRow.version == ChunkRow.version,
        DocumentRow.deleted_at.is_(None),
    )


def _question_vectors(run: JobRun, embedder: Embedder) -> dict[int, bytes]:
    """Returns the new vector of each attached question; there are few, so none is kept."""
    with Session(run.engine) as session:
        found = session.execute(select(ChunkQuestionRow.id, ChunkQuestionRow.text)).all()
    vectors: dict[int, bytes] = {}
    for part in batches([row.text for row in found], embedder.count_tokens):
        run.wait_turn()
        rows = found[part]
        new = embedder.embed_passages([row.text for row in rows])  # (n, dim)
        vectors.update((row.id, encode_vector(v)) for row, v in zip(rows, new, strict=True))
    return vectors


def _chunk_ids(run: JobRun) -> list[int]:
    query = select(ChunkRow.id).join(DocumentRow, _wanted()).order_by(ChunkRow.id)
    with Session(run.engine) as session:
        return list(session.scalars(query))


def _load(run: JobRun, ids: Sequence[int], embedder_id: str) -> list[_Passage]:
    """Returns those passages that have no vector of what they say now."""
    mine = and_(NextEmbeddingRow.chunk_id == ChunkRow.id, NextEmbeddingRow.embedder == embedder_id)
    query = (
        select(
            ChunkRow.id,
            DocumentRow.title,
            ChunkRow.headings,
            ChunkRow.text,
            NextEmbeddingRow.passage_sha256,
        )
        .join(DocumentRow, _wanted())
        .outerjoin(NextEmbeddingRow, mine)
        .where(ChunkRow.id.in_(ids))
        .order_by(ChunkRow.id)
    )
    with Session(run.engine) as session:
        rows = session.execute(query).all()
    passages = []
    for row in rows:
        text = passage_text(row.title, row.headings, row.text)
        sha256 = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        if sha256 != row.passage_sha256:
            parts = tuple(part_texts(row.title, row.headings, row.text))
            passages.append(_Passage(row.id, text, parts, sha256))
    return passages


def _store(
    run: JobRun,
    embedder_id: str,
    passages: Sequence[_Passage],
    embeddings: Sequence[tuple[bytes, bytes | None]],
    share: float,
) -> None:
    ids = [passage.id for passage in passages]
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim, progress=_EMBEDDED * min(1.0, share))
        # One that was removed a moment ago would have nothing to belong to.
        there = set(session.scalars(select(ChunkRow.id).where(ChunkRow.id.in_(ids))))
        session.execute(delete(NextEmbeddingRow).where(NextEmbeddingRow.chunk_id.in_(ids)))
        rows = [
            {
                "chunk_id": passage.id,
                "embedder": embedder_id,
                "passage_sha256": passage.sha256,
                "embedding": embedding,
                "part_embeddings": parts,
            }
            for passage, (embedding, parts) in zip(passages, embeddings, strict=True)
            if passage.id in there
        ]
        if rows:
            session.execute(insert(NextEmbeddingRow), rows)


def _change_over(run: JobRun, embedder: Embedder, seen: int) -> bool:
    """Puts all new vectors in place at once; False when passages changed since `seen`."""
    questions = _question_vectors(run, embedder)
    mine = (NextEmbeddingRow.chunk_id == ChunkRow.id, NextEmbeddingRow.embedder == embedder.id)
    new = select(NextEmbeddingRow.embedding).where(*mine).scalar_subquery()
    new_parts = select(NextEmbeddingRow.part_embeddings).where(*mine).scalar_subquery()
    has_new = select(NextEmbeddingRow.chunk_id).where(*mine).exists()
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim, stage="indexing", progress=_EMBEDDED)
        hold_changes(session)
        if (session.scalar(select(func.max(ChunkChangeRow.id))) or 0) != seen:
            return False
        ids = list(session.scalars(select(ChunkRow.id).where(has_new).order_by(ChunkRow.id)))
        record_changes(session, ids, "add")
        session.execute(
            update(ChunkRow)
            .where(has_new)
            .values(
                embedding=new, part_embeddings=new_parts, parts_due=False, embedder=embedder.id
            ),
            execution_options={"synchronize_session": False},
        )
        for id, vector in questions.items():
            session.execute(
                update(ChunkQuestionRow)
                .where(ChunkQuestionRow.id == id)
                .values(embedding=vector, embedder=embedder.id)
            )
        session.execute(delete(NextEmbeddingRow))
    return True
