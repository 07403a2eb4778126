"""Brings an exported knowledge base back: everything is checked first, then one transaction.

The archive may come from anywhere, so nothing in it is believed: names have to fit, sizes and
hashes have to be those of the manifest, and no entry is ever unpacked to a path of its own.
"""

import hashlib
import logging
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine, Table, delete, func, insert, select, text
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.orm import Session

from knowledge.archive_format import (
    FORMAT,
    MANIFEST,
    ArchiveManifest,
    Entry,
    carried_tables,
    decode_row,
    table_entry,
    table_of,
    upload_of,
)
from knowledge.errors import ArchiveRejected
from knowledge.live_chunks import record_changes
from knowledge.tables import ChunkRow, DocumentRow, JobRow, NextEmbeddingRow
from knowledge.types import JobState
from knowledge.uploads import UploadFolder

logger = logging.getLogger(__name__)

_MAX_MANIFEST_BYTES = 64 << 20
_MAX_UPLOAD_BYTES = 1 << 30
_PIECE = 1 << 20
_ROWS_AT_ONCE = 500


def import_archive(
    engine: Engine, source: Path, *, uploads_dir: Path, replace: bool = False
) -> ArchiveManifest:
    """Restores what `export_archive` wrote; on any failure everything stays as it was.

    Args:
        engine: The database.
        source: The archive.
        uploads_dir: Where original bytes are kept.
        replace: Take the place of the documents that are here; otherwise there may be none.

    Raises:
        ArchiveRejected: it is no whole archive of ours, or there are documents already.
    """
    with _opened(source) as archive:
        manifest = read_manifest(archive)
        _check_entries(archive, manifest)
        before = {path.name for path in uploads_dir.glob("*")}
        brought = {sha256 for name in manifest.entries if (sha256 := upload_of(name))}
        uploads = UploadFolder(uploads_dir)
        try:
            for sha256 in sorted(brought):
                uploads.store(archive.read(f"uploads/{sha256}"))
            _restore(engine, archive, manifest, replace=replace)
        except BaseException:
            for sha256 in brought - before:
                (uploads_dir / sha256).unlink(missing_ok=True)
            raise
    with Session(engine) as session, session.begin():
        for sha256 in before - brought:
            if upload_of(f"uploads/{sha256}"):
                uploads.discard_unused(session, sha256)
    logger.info("imported %d documents", manifest.n_documents)
    return manifest


def read_manifest(archive: zipfile.ZipFile) -> ArchiveManifest:
    """Returns what the archive says that it holds; raises `ArchiveRejected`."""
    try:
        if archive.getinfo(MANIFEST).file_size > _MAX_MANIFEST_BYTES:
            raise ArchiveRejected("The archive's manifest is too large.")
        manifest = ArchiveManifest.model_validate_json(archive.read(MANIFEST))
    except (KeyError, ValidationError, zipfile.BadZipFile) as error:
        raise ArchiveRejected("This is no archive of a knowledge base.") from error
    if manifest.format > FORMAT:
        raise ArchiveRejected(
            f"The archive has format {manifest.format}, newer than {FORMAT} of this version; "
            "update Kefu and import it then."
        )
    return manifest


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except FileNotFoundError as error:
        raise ArchiveRejected(f"There is no file {source}.") from error
    except zipfile.BadZipFile as error:
        raise ArchiveRejected("The archive is damaged, or is no archive.") from error


def _check_entries(archive: zipfile.ZipFile, manifest: ArchiveManifest) -> None:
    """Refuses whatever is not exactly what the manifest names."""
    names = archive.namelist()
    if len(names) != len(set(names)):
        raise ArchiveRejected("The archive names an entry twice.")
    if set(names) != {MANIFEST, *manifest.entries}:
        odd = min(set(names) ^ {MANIFEST, *manifest.entries})
        raise ArchiveRejected(f"The archive and its manifest differ about {odd[:100]!r}.")
    known = {table_entry(table.name): table for table in carried_tables()}
    for name, entry in manifest.entries.items():
        if table_of(name) is None and upload_of(name) is None:
            raise ArchiveRejected(f"The archive has an entry {name[:100]!r}, which is refused.")
        if table_of(name) is not None:
            _check_table(known.get(name), name, entry)
        if upload_of(name) is not None and entry.n_bytes > _MAX_UPLOAD_BYTES:
            raise ArchiveRejected(f"The entry {name!r} is too large.")
        if _hash(archive, name, entry.n_bytes) != entry.sha256:
            raise ArchiveRejected(f"The entry {name!r} is not what was exported.")
        if upload_of(name) not in (None, entry.sha256):
            raise ArchiveRejected(f"The entry {name!r} does not have that hash.")


def _check_table(table: Table | None, name: str, entry: Entry) -> None:
    if table is None or not set(entry.columns) <= set(table.columns.keys()):
        raise ArchiveRejected(
            f"The archive holds {name!r} of another version; update Kefu and import it then."
        )


def _hash(archive: zipfile.ZipFile, name: str, n_bytes: int) -> str:
    """Returns the hash of an entry; stops as soon as it is larger than it says."""
    digest, left = hashlib.sha256(), n_bytes
    with archive.open(name) as file:
        while piece := file.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise ArchiveRejected(f"The entry {name!r} is larger than it says.")
            digest.update(piece)
    return digest.hexdigest()


def _restore(
    engine: Engine, archive: zipfile.ZipFile, manifest: ArchiveManifest, *, replace: bool
) -> None:
    tables = carried_tables()
    try:
        with Session(engine) as session, session.begin():
            session.execute(delete(NextEmbeddingRow))  # from here on nobody else writes
            old = list(session.scalars(select(ChunkRow.id).order_by(ChunkRow.id)))
            live = select(func.count()).where(DocumentRow.deleted_at.is_(None))
            if session.scalar(live) and not replace:
                raise ArchiveRejected(
                    "There are documents here already; import with --replace to take their place."
                )
            if engine.dialect.name == "sqlite":
                session.execute(text("PRAGMA defer_foreign_keys = ON"))
            for table in reversed(tables):
                session.execute(delete(table))
            for table in tables:
                if table_entry(table.name) in manifest.entries:
                    _fill(session, archive, table)
            _settle_jobs(session)
            new = list(session.scalars(select(ChunkRow.id).order_by(ChunkRow.id)))
            record_changes(session, sorted({*old, *new}), "add")
    except OperationalError:  # a full disk, a busy database: not the archive's fault
        raise
    except (ValueError, StatementError) as error:
        raise ArchiveRejected(f"The rows do not fit together ({type(error).__name__}).") from error


def _fill(session: Session, archive: zipfile.ZipFile, table: Table) -> None:
    rows: list[dict[str, Any]] = []
    with archive.open(table_entry(table.name)) as file:
        for line in file:
            rows.append(decode_row(line, table))
            if len(rows) >= _ROWS_AT_ONCE:
                session.execute(insert(table), rows)
                rows = []
    if rows:
        session.execute(insert(table), rows)
    counted = table.autoincrement_column
    if session.get_bind().dialect.name == "postgresql" and counted is not None:
        # Further ids go on after the restored ones; the other databases see to that themselves.
        newest = select(func.max(counted)).scalar_subquery()
        sequence = func.pg_get_serial_sequence(table.name, counted.name)
        session.execute(select(func.setval(sequence, func.coalesce(newest, 1))))


def _settle_jobs(session: Session) -> None:
    """Work that was under way where the archive comes from is to be done here."""
    running = select(JobRow).where(JobRow.state == JobState.RUNNING)
    for job in session.scalars(running):
        job.state, job.lease_owner, job.lease_until = JobState.QUEUED, None, None
