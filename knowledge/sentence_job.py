"""Embeds the sentences of documents that can be searched already, when no file waits.

A passage is found by its own vector from the moment its document is ready; sentences make it
easier to find (`knowledge.parts`) but take longer to embed than the passages themselves. Each
batch is written with its entries of the outbox, so a job that is stopped goes on where it was.
What was edited, replaced or rebuilt in the meantime is not due any more, and stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from knowledge.job_run import GivingWay, JobRun
from knowledge.jobs import INGEST, REBUILD, advance, is_waiting, succeed
from knowledge.live_chunks import record_changes
from knowledge.parts import embed_parts, part_texts
from knowledge.tables import ChunkRow, DocumentRow
from knowledge.types import DocumentId

_GROUP = 8
_BEFORE = frozenset({INGEST, REBUILD})


@dataclass(frozen=True, slots=True)
class _Passage:
    id: int
    parts: tuple[str, ...]


def embed_sentences(run: JobRun) -> None:
    """Carries out one job, which is of one document; raises as `ingest` does.

    Raises:
        GivingWay: a file waits; the job goes on after it.
    """
    document_id = DocumentId(str(run.claim.job.document_id))
    run.report("sentences", 0.0)
    n_due, n_done = count_due(run.engine, document_id), 0
    while passages := _due(run, document_id):
        parts = embed_parts(run.embedder, [one.parts for one in passages], pause=run.wait_turn)
        n_done += len(passages)
        _store(run, passages, parts, n_done / max(n_due, n_done))
        with Session(run.engine) as session:
            if is_waiting(session, _BEFORE):
                raise GivingWay
    run.indexes.refresh()
    with Session(run.engine) as session, session.begin():
        succeed(session, run.claim)


def count_due(engine: Engine, document_id: DocumentId) -> int:
    """Returns how many passages of a document's live version wait for their sentences."""
    query = select(func.count(ChunkRow.id)).join(DocumentRow).where(ChunkRow.parts_due)
    query = query.where(DocumentRow.id == document_id, DocumentRow.version == ChunkRow.version)
    with Session(engine) as session:
        return session.scalar(query) or 0


def _due(run: JobRun, document_id: DocumentId) -> list[_Passage]:
    """Returns the next passages that the present embedder can add to."""
    query = (
        select(ChunkRow.id, ChunkRow.headings, ChunkRow.text, DocumentRow.title)
        .join(DocumentRow)
        .where(DocumentRow.id == document_id, DocumentRow.version == ChunkRow.version)
        .where(ChunkRow.parts_due, ChunkRow.embedder == run.embedder.id)
        .order_by(ChunkRow.ordinal)
        .limit(_GROUP)
    )
    with Session(run.engine) as session:
        rows = session.execute(query).all()
    return [_Passage(row.id, tuple(part_texts(row.title, row.headings, row.text))) for row in rows]


def _store(
    run: JobRun, passages: Sequence[_Passage], parts: Sequence[bytes | None], share: float
) -> None:
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim, progress=share)
        for passage, made in zip(passages, parts, strict=True):
            session.execute(
                update(ChunkRow)
                .where(ChunkRow.id == passage.id, ChunkRow.parts_due)
                .where(ChunkRow.embedder == run.embedder.id)
                .values(part_embeddings=made, parts_due=False),
                execution_options={"synchronize_session": False},
            )
        record_changes(session, [passage.id for passage in passages], "add")
