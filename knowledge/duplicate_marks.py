"""Documents that are marked as like another one, and what a person decides about the two."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session, aliased

from knowledge.errors import InvalidChange
from knowledge.ingestion import Upload, next_version
from knowledge.jobs import INGEST, add_job, cancel_document_jobs
from knowledge.store import live_row, retire
from knowledge.tables import DocumentRow, SignatureRow
from knowledge.types import DocumentId, DocumentStatus, JobId, Likeness
from knowledge.uploads import UploadFolder

logger = logging.getLogger(__name__)

_SUPERSEDED = "A document of nearly the same text took its place."


class DuplicateMarks:
    """Reads the marks that taking files in has left, and settles them.

    Args:
        engine: The database.
        uploads_dir: Where uploaded bytes are kept.
    """

    def __init__(self, engine: Engine, *, uploads_dir: Path) -> None:
        self._engine = engine
        self._uploads = UploadFolder(uploads_dir)

    def all(self) -> Mapping[DocumentId, Likeness]:
        """Returns by document which other one it is like; settled and outdated marks are gone."""
        own, other = aliased(DocumentRow), aliased(DocumentRow)
        query = (
            select(own.id, other.id, other.name, other.version, SignatureRow.share)
            .join(SignatureRow, SignatureRow.document_id == own.id)
            .join(other, other.id == SignatureRow.like_id)
            .where(SignatureRow.is_kept.is_(False))
            .where(own.deleted_at.is_(None), own.archived_at.is_(None))
            .where(other.deleted_at.is_(None), other.archived_at.is_(None))
            .where(other.version == SignatureRow.like_version)
        )
        with Session(self._engine) as session:
            return {
                DocumentId(id): Likeness(DocumentId(other_id), name, version, share)
                for id, other_id, name, version, share in session.execute(query)
                if share is not None
            }

    def keep_both(self, document_id: DocumentId) -> None:
        """Takes the mark away until one of the two texts changes; raises `DocumentNotFound`."""
        with Session(self._engine) as session, session.begin():
            live_row(session, document_id)
            mine = SignatureRow.document_id == document_id
            session.execute(update(SignatureRow).where(mine).values(is_kept=True))

    def replace_other(self, document_id: DocumentId, *, author: str) -> tuple[DocumentId, JobId]:
        """Makes the document's file a new version of the one it is like, and removes the document.

        Raises:
            DocumentNotFound: there is no such live document.
            InvalidChange: it is marked no longer, or its file was not kept.
        """
        like = self.all().get(document_id)
        if like is None:
            raise InvalidChange("The document is not marked as like another one; load the list.")
        with Session(self._engine) as session, session.begin():
            both = DocumentRow.id.in_((document_id, like.document_id))
            session.execute(  # nobody changes them before this transaction ends
                update(DocumentRow).where(both).values(live_name=DocumentRow.live_name)
            )
            row, other = live_row(session, document_id), live_row(session, like.document_id)
            self._check_bytes(row.sha256)
            cancel_document_jobs(session, like.document_id, reason=_SUPERSEDED)
            upload = Upload(
                name=row.name,
                sha256=row.sha256,
                size_bytes=row.size_bytes,
                author=author,
                version=next_version(session, other),
            )
            contents = retire(session, document_id)
            job_id = add_job(session, INGEST, asdict(upload), document_id=like.document_id)
            other.job_id, other.error, other.status = job_id, None, DocumentStatus.QUEUED
            other.updated_at = datetime.now(UTC)
            for sha256 in contents:
                self._uploads.discard_unused(session, sha256)
        logger.info("document %s becomes a version of %s", document_id, like.document_id)
        return like.document_id, job_id

    def _check_bytes(self, sha256: str) -> None:
        try:
            self._uploads.read(sha256)
        except FileNotFoundError as error:
            raise InvalidChange(
                "The document's file was not kept; upload it in place of the other one."
            ) from error
