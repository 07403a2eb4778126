"""One archive of what cannot be made again: database, uploads, index, adapters, calibration.

The database is copied through SQLite's backup API, so a running server is not disturbed and the
copy is whole. Weights and the cookie secret are left out. Restoring unpacks beside the data,
checks, and only then swaps folders.
Source: sqlite.org/backup.html.
"""

import json
import logging
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bot.settings import Settings
from knowledge.relevance_file import NAME as RELEVANCE_FILE
from web.console import CommandError

_FORMAT = 1
_DATABASE = "kefu.db"
_FOLDERS = ("uploads", "index", "adapters")
_FILES = (RELEVANCE_FILE,)
_PASSING = (".work-", ".part-", ".lock", ".partial")  # what a running process works in
_log = logging.getLogger(__name__)


def default_archive() -> Path:
    """Returns a name in the working folder with the present time in it."""
    return Path(f"kefu-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar")


def write_backup(settings: Settings, target: Path) -> int:
    """Writes the archive, whole or not at all, readable by its owner only; returns its bytes.

    Raises:
        CommandError: the database is not SQLite, or the file exists.
    """
    source = _sqlite_file(settings)
    if target.exists():
        raise CommandError(f"{target} exists; choose another name.")
    with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".backup-") as work:
        copy = Path(work) / _DATABASE
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as saved:
            live.backup(saved, pages=1000)
        draft = target.with_name(f".{target.name}.partial")
        try:
            with open(draft, "xb", opener=_private) as file:
                _write_archive(file, copy, settings.data_dir)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
    return target.stat().st_size


def restore_backup(settings: Settings, archive: Path) -> Path | None:
    """Replaces the data by the archive's; returns the folder with what was there before.

    Raises:
        CommandError: the archive is not one of ours or damaged; then nothing has changed.
    """
    database = _sqlite_file(settings)
    if not archive.is_file():
        raise CommandError(f"There is no file {archive}.")
    with _unpacked(settings.data_dir, archive) as new:
        _check_database(new / _DATABASE)
        old = settings.data_dir / f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        old.mkdir()
        names = (database.name, f"{database.name}-wal", f"{database.name}-shm", *_FOLDERS, *_FILES)
        for name in names:
            path = (database.parent if name.startswith(database.name) else settings.data_dir) / name
            if path.exists():
                shutil.move(path, old / name)
        shutil.move(new / _DATABASE, database)
        for name in (*_FOLDERS, *_FILES):
            if (new / name).exists():
                shutil.move(new / name, settings.data_dir / name)
    _upgrade(settings)
    if any(old.iterdir()):
        return old
    old.rmdir()
    return None


@contextmanager
def _unpacked(data_dir: Path, archive: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".restore-") as work:
        folder = Path(work)
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (tarfile.TarError, OSError, ValueError) as error:
            raise CommandError(f"{archive} is not a whole backup of Kefu: {error}") from error
        if manifest.get("format") != _FORMAT:
            found = manifest.get("format")
            raise CommandError(f"Expected a backup of format {_FORMAT}, found {found!r}.")
        yield folder


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise CommandError(f"The backup's database is damaged: {error}") from error
    if answer != "ok":
        raise CommandError(f"The backup's database is damaged: {answer}")


def _upgrade(settings: Settings) -> None:
    from bot.database import open_database, upgrade

    engine = open_database(settings.database_url)
    upgrade(engine)
    engine.dispose()


def _sqlite_file(settings: Settings) -> Path:
    scheme, _, path = settings.database_url.partition(":///")
    if scheme != "sqlite":
        raise CommandError("Only SQLite is saved this way; use pg_dump and pg_restore.")
    file = Path(path)
    if not file.exists():
        _upgrade(settings)
    return file


def _write_archive(file: IO[bytes], database: Path, data_dir: Path) -> None:
    manifest = database.with_name("manifest.json")
    about = {"format": _FORMAT, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    manifest.write_text(json.dumps(about), encoding="utf-8")
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(manifest, manifest.name)
        tar.add(database, _DATABASE)
        for name in _FOLDERS:
            _add_folder(tar, data_dir / name)
        for name in _FILES:
            if (data_dir / name).exists():
                tar.add(data_dir / name, name)


def _add_folder(tar: tarfile.TarFile, folder: Path) -> None:
    """Adds a folder's files; one that a running server replaces meanwhile is left out.

    An index that is not whole is noticed by its manifest and built again from the database.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder.parent)
        is_passing = any(part.startswith(_PASSING) for part in name.parts)
        if path.is_file() and not is_passing and path.suffix != ".lock":
            try:
                tar.add(path, str(name))
            except FileNotFoundError:
                _log.info("%s was replaced during the backup", name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
