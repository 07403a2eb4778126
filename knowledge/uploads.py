"""The uploaded bytes, one file per content, named by its SHA-256."""

import hashlib
import os
import tempfile
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from knowledge.tables import DocumentRow, DocumentVersionRow, JobRow
from knowledge.types import JobState


class UploadFolder:
    """Keeps each content once; equal uploads share a file.

    Args:
        path: The folder; made at first use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def store(self, content: bytes) -> str:
        """Writes `content` whole or not at all and returns its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        target = self._path / sha256
        if target.exists() and target.stat().st_size == len(content):
            return sha256
        self._path.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return sha256

    def read(self, sha256: str) -> bytes:
        """Returns the content; raises `FileNotFoundError` when it is gone."""
        return (self._path / sha256).read_bytes()

    def discard_unused(self, session: Session, sha256: str) -> None:
        """Deletes the content unless a version, a live document or an open job still needs it.

        Called last in the transaction that drops the use, so that no upload slips in between.
        """
        session.flush()
        documents = select(DocumentRow.id).where(
            DocumentRow.sha256 == sha256, DocumentRow.deleted_at.is_(None)
        )
        payloads = select(JobRow.payload).where(
            JobRow.state.in_((JobState.QUEUED, JobState.RUNNING))
        )
        versions = select(DocumentVersionRow.version).where(DocumentVersionRow.sha256 == sha256)
        if any(session.scalar(query.limit(1)) is not None for query in (documents, versions)):
            return
        if any(payload.get("sha256") == sha256 for payload in session.scalars(payloads)):
            return
        (self._path / sha256).unlink(missing_ok=True)
