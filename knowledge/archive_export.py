"""Writes the whole knowledge base into one file, as it is at one moment."""

import hashlib
import logging
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, select

from knowledge import live_chunks
from knowledge.archive_format import (
    FORMAT,
    MANIFEST,
    ArchiveManifest,
    Entry,
    carried_tables,
    encode_row,
    table_entry,
)
from knowledge.tables import DocumentRow

logger = logging.getLogger(__name__)

_CONTENT_NAME = re.compile(r"[0-9a-f]{64}")
_ROWS_AT_ONCE = 500


def export_archive(engine: Engine, target: Path, *, uploads_dir: Path) -> ArchiveManifest:
    """Writes the archive whole or not at all; the server may keep running.

    Args:
        engine: The database.
        target: The file to write.
        uploads_dir: Where the original bytes are kept.

    Raises:
        FileExistsError: there is such a file already.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                manifest = _write(engine, archive, uploads_dir)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    logger.info("exported %d documents", manifest.n_documents)
    return manifest


def _write(engine: Engine, archive: zipfile.ZipFile, uploads_dir: Path) -> ArchiveManifest:
    entries: dict[str, Entry] = {}
    with _snapshot(engine) as connection:
        embedders = live_chunks.embedders_in_use(engine)
        for table in carried_tables():
            entries[table_entry(table.name)] = _write_table(connection, archive, table)
        live = select(DocumentRow.id).where(DocumentRow.deleted_at.is_(None))
        n_documents = len(connection.scalars(live).all())
    for path in sorted(uploads_dir.glob("*")) if uploads_dir.is_dir() else ():
        if not _CONTENT_NAME.fullmatch(path.name):
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # removed a moment ago, with its document
            continue
        entry = f"uploads/{path.name}"
        archive.writestr(entry, content)
        entries[entry] = Entry(n_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    manifest = ArchiveManifest(
        format=FORMAT,
        created=datetime.now(UTC),
        embedders=embedders,
        n_documents=n_documents,
        entries=entries,
    )
    archive.writestr(MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


def _write_table(connection: Connection, archive: zipfile.ZipFile, table: Table) -> Entry:
    digest, n_bytes, n_rows = hashlib.sha256(), 0, 0
    with archive.open(table_entry(table.name), "w", force_zip64=True) as file:
        for line in _lines(connection, table):
            file.write(line)
            digest.update(line)
            n_bytes, n_rows = n_bytes + len(line), n_rows + 1
    columns = tuple(column.name for column in table.columns)
    return Entry(n_bytes=n_bytes, sha256=digest.hexdigest(), n_rows=n_rows, columns=columns)


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    query = select(table).order_by(*table.primary_key.columns)
    streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
    for row in streamed.mappings():
        yield encode_row(dict(row))


def _snapshot(engine: Engine) -> Connection:
    """Returns a connection that sees all tables as they are at one moment."""
    connection = engine.connect()
    if engine.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN")  # the driver itself begins only before a write
        return connection
    return connection.execution_options(isolation_level="REPEATABLE READ")
