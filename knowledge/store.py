"""Documents as values: what is there, what it says, and taking it away."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from knowledge.errors import DocumentNotFound
from knowledge.jobs import cancel_document_jobs
from knowledge.live_chunks import record_changes
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow, JobRow, SignatureRow
from knowledge.types import (
    Chunk,
    ChunkId,
    ChunkOrigin,
    Document,
    DocumentId,
    DocumentStatus,
    DocumentVersion,
    JobId,
    Visibility,
)
from knowledge.uploads import UploadFolder

logger = logging.getLogger(__name__)

_REMOVED = "The document was removed."


class DocumentStore:
    """Reads documents and removes them; `Ingestor` adds them.

    Args:
        engine: The database.
        uploads_dir: Where uploaded bytes are kept.
    """

    def __init__(self, engine: Engine, *, uploads_dir: Path) -> None:
        self._engine = engine
        self._uploads = UploadFolder(uploads_dir)

    def list(self) -> Sequence[Document]:
        """Returns all documents that are not removed, newest change first."""
        query = (
            select(DocumentRow)
            .where(DocumentRow.deleted_at.is_(None))
            .order_by(DocumentRow.updated_at.desc(), DocumentRow.id)
        )
        with Session(self._engine) as session:
            return [document_from(row) for row in session.scalars(query)]

    def get(self, document_id: DocumentId) -> Document:
        """Returns one document; raises `DocumentNotFound`."""
        with Session(self._engine) as session:
            return document_from(live_row(session, document_id))

    def find_by_name(self, name: str) -> Document | None:
        """Returns the live document of that file name, if any."""
        with Session(self._engine) as session:
            row = session.scalar(select(DocumentRow).where(DocumentRow.live_name == name))
            return document_from(row) if row is not None else None

    def chunks(self, document_id: DocumentId) -> Sequence[Chunk]:
        """Returns the live version's chunks in the document's order; raises `DocumentNotFound`."""
        with Session(self._engine) as session:
            row = live_row(session, document_id)
            chunks = session.scalars(
                select(ChunkRow)
                .where(ChunkRow.document_id == row.id, ChunkRow.version == row.version)
                .order_by(ChunkRow.ordinal, ChunkRow.id)
            )
            return [chunk_of(chunk) for chunk in chunks]

    def version(self, document_id: DocumentId, version: int | None = None) -> DocumentVersion:
        """Returns the stored text of the live version, or of an older one that was cited.

        Raises:
            DocumentNotFound: the document was removed, or has no such version.
        """
        with Session(self._engine) as session:
            row = live_row(session, document_id)
            wanted = row.version if version is None else version
            found = session.get(DocumentVersionRow, (row.id, wanted))
            if found is None or wanted > row.version:
                raise DocumentNotFound(f"Document {document_id!r} has no version {wanted}.")
            return DocumentVersion(
                document_id=document_id,
                version=found.version,
                name=found.name,
                title=found.title,
                text=found.text,
                sha256=found.sha256,
                author=found.author,
                created_at=found.created_at,
            )

    def is_public(self, document_id: DocumentId) -> bool:
        """False for what staff alone may read; what was removed has nothing left to hide."""
        with Session(self._engine) as session:
            row = session.get(DocumentRow, document_id)
            return row is None or row.visibility == Visibility.PUBLIC

    def remove(self, document_id: DocumentId, *, actor: str) -> None:
        """Takes a document with its texts, chunks and bytes away; searches miss it at once.

        Args:
            document_id: A live document.
            actor: Who asked, for the log.

        Raises:
            DocumentNotFound: there is no such live document.
        """
        with Session(self._engine) as session, session.begin():
            for sha256 in retire(session, document_id):
                self._uploads.discard_unused(session, sha256)
        logger.info("document %s removed by %s", document_id, actor)


def retire(session: Session, document_id: DocumentId) -> set[str]:
    """Takes a document with its texts and chunks away within the caller's transaction.

    Returns:
        The SHA-256 of its contents, to be discarded last where nothing else needs them.

    Raises:
        DocumentNotFound: there is no such live document.
    """
    now = datetime.now(UTC)
    taken = session.execute(
        update(DocumentRow)
        .where(DocumentRow.id == document_id, DocumentRow.deleted_at.is_(None))
        .values(deleted_at=now, live_name=None, updated_at=now, n_chunks=0)
    )
    if taken.rowcount != 1:  # type: ignore[attr-defined]  # a cursor result
        raise DocumentNotFound(f"There is no document {document_id!r}.")
    cancel_document_jobs(session, document_id, reason=_REMOVED)
    mine = ChunkRow.document_id == document_id
    chunk_ids = session.scalars(select(ChunkRow.id).where(mine)).all()
    session.execute(delete(ChunkRow).where(mine))
    for table in (DocumentVersionRow, SignatureRow):
        session.execute(delete(table).where(table.document_id == document_id))
    record_changes(session, chunk_ids, "remove")
    return _contents(session, document_id)


def _contents(session: Session, document_id: DocumentId) -> set[str]:
    """Returns the SHA-256 of everything that was ever uploaded for a document and is listed."""
    payloads = session.scalars(select(JobRow.payload).where(JobRow.document_id == document_id))
    uploaded = {str(payload["sha256"]) for payload in payloads if "sha256" in payload}
    return uploaded | {session.get_one(DocumentRow, document_id).sha256}


def live_row(session: Session, document_id: DocumentId) -> DocumentRow:
    """Returns the row of a document that is not removed; raises `DocumentNotFound`."""
    row = session.get(DocumentRow, document_id)
    if row is None or row.deleted_at is not None:
        raise DocumentNotFound(f"There is no document {document_id!r}.")
    return row


def document_from(row: DocumentRow) -> Document:
    """Returns a row as a value."""
    return Document(
        id=DocumentId(row.id),
        name=row.name,
        title=row.title,
        status=DocumentStatus(row.status),
        version=row.version,
        n_chunks=row.n_chunks,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        updated_at=row.updated_at,
        language=row.language,
        error=row.error,
        job_id=JobId(row.job_id) if row.job_id else None,
        visibility=Visibility(row.visibility),
        tags=tuple(row.tags),
        language_is_set=row.language_is_set,
        effective_from=row.effective_from,
        expires_at=row.expires_at,
        archived_at=row.archived_at,
        n_words=row.n_words,
    )


def chunk_of(row: ChunkRow) -> Chunk:
    """Returns a row's passage as a value."""
    return Chunk(
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
        original=row.original,
        edited_by=row.edited_by,
        edited_at=row.edited_at,
    )
