"""Embeds all documents again with the embedder in force, in place and resumable.

Vectors are replaced a batch at a time. A process that still runs with the old embedder keeps
what it has in memory, so it goes on answering; one with the new embedder finds a passage as soon
as its vector is made, and by its words all the time.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from knowledge.job_run import JobRun, batches
from knowledge.jobs import REBUILD, JobStore, advance, succeed
from knowledge.live_chunks import encode_vector, passage_text, record_changes
from knowledge.parts import embed_parts, part_texts
from knowledge.tables import ChunkRow, DocumentRow, JobRow
from knowledge.types import JobId

logger = logging.getLogger(__name__)

_GROUP = 200


def request_rebuild(jobs: JobStore) -> JobId:
    """Queues a rebuild of all vectors."""
    return jobs.add(REBUILD, {})


def rebuild(run: JobRun) -> None:
    """Carries out one rebuild job; raises as `ingest` does."""
    todo = _chunk_ids(run)
    run.report("embedding", 0.0)
    n_done = 0
    for first in range(0, len(todo), _GROUP):
        rows = _load(run, todo[first : first + _GROUP])
        passages = [passage_text(row.title, row.headings, row.text) for row in rows]
        for part in batches(passages, run.embedder.count_tokens):
            run.wait_turn()
            vectors = run.embedder.embed_passages(passages[part])
            n_done += part.stop - part.start
            texts = [part_texts(row.title, row.headings, row.text) for row in rows[part]]
            parts = embed_parts(run.embedder, texts, pause=run.wait_turn)
            made = list(zip([encode_vector(v) for v in vectors], parts, strict=True))
            _store(run, rows[part], made, n_done / len(todo))
    run.report("indexing", 1.0)
    run.indexes.refresh()
    with Session(run.engine) as session, session.begin():
        succeed(session, run.claim)
    logger.info("rebuilt %d vectors with %s", n_done, run.embedder.id)


def _chunk_ids(run: JobRun) -> list[int]:
    """Returns the chunks of live versions that are still to do, disabled ones too."""
    query = (
        select(ChunkRow.id)
        .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
        .where(DocumentRow.version == ChunkRow.version, DocumentRow.deleted_at.is_(None))
        .where(ChunkRow.id > int(str(run.claim.payload.get("after", 0))))
        .order_by(ChunkRow.id)
    )
    with Session(run.engine) as session:
        return list(session.scalars(query))


def _load(run: JobRun, ids: Sequence[int]) -> Sequence[Row[int, str, list[str], str]]:
    query = (
        select(ChunkRow.id, DocumentRow.title, ChunkRow.headings, ChunkRow.text)
        .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
        .where(ChunkRow.id.in_(ids))
        .order_by(ChunkRow.id)
    )
    with Session(run.engine) as session:
        return session.execute(query).all()


def _store(
    run: JobRun,
    rows: Sequence[Row[int, str, list[str], str]],
    embeddings: Sequence[tuple[bytes, bytes | None]],
    progress: float,
) -> None:
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim, progress=progress)
        for row, (embedding, parts) in zip(rows, embeddings, strict=True):
            session.execute(
                update(ChunkRow)
                .where(ChunkRow.id == row.id)
                .values(embedding=embedding, part_embeddings=parts, embedder=run.embedder.id)
            )
        ids = [row.id for row in rows]
        record_changes(session, ids, "add")
        job = session.get_one(JobRow, run.claim.job.id)
        job.payload = {**job.payload, "after": ids[-1]}
