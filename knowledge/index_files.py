"""Both indexes on disk: one folder a saved state, and a manifest that names the valid one.

```
<directory>/manifest.json         written last, atomically; what it names is whole
<directory>/<state>/vectors/      segments of vectors, and the newest ones
<directory>/<state>/lexical/      a tantivy index
<directory>/.lock                 held while saving
<directory>/.work-…/              a process's own copy of both, linked not copied
```
A process killed at any point leaves the old manifest with the old state, or the new ones.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

from knowledge.errors import IndexLocked
from knowledge.lexical_index import LexicalIndex, restore_snapshot
from knowledge.vector_index import VectorIndex
from knowledge.vector_segments import IndexSizes

logger = logging.getLogger(__name__)

FORMAT = 3
WORK_PREFIX = ".work-"
_MANIFEST = "manifest.json"
_PART_PREFIX = ".part-"
_STATE_PREFIX = "state-"
#: Files up to here are hashed whole, larger ones by this many evenly spaced blocks: a start that
#: reads gigabytes would take minutes, and what a crash leaves behind shows in the blocks too.
_WHOLE_BYTES = 1 << 25
_N_BLOCKS = 128
_BLOCK_BYTES = 1 << 16


class IndexDamaged(Exception):  # never reaches a user: the index is rebuilt
    """The files are missing, cut short or of another format; SQL has everything to redo them."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a saved state holds and up to which change it is complete."""

    format: int
    state: str
    embedder: str
    dim: int
    applied_change: int
    count: int
    sha256: str
    created: str
    vectors: list[dict[str, Any]]  # type, size, effort and measured recall of each part
    built_to: int | None = None  # of a build that was interrupted: passages above are missing


def read_manifest(directory: Path) -> Manifest | None:
    """Returns the manifest, or None when there is none that this version understands."""
    try:
        manifest = Manifest(**json.loads((directory / _MANIFEST).read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        logger.warning("index manifest is not readable, rebuilding from the database: %s", error)
        return None
    return manifest if manifest.format == FORMAT else None


def load_state(
    directory: Path, manifest: Manifest, work: Path, *, sizes: IndexSizes
) -> VectorIndex:
    """Returns the saved vectors, and copies the lexical index into the new `work / "lexical"`.

    Raises:
        IndexDamaged: a file is missing or not what was saved.
    """
    state = directory / manifest.state
    try:
        if _content_sha256(state) != manifest.sha256:
            raise IndexDamaged(f"{state} is not what was saved.")
        vectors = VectorIndex.load(state / "vectors", folder=work / "vectors", sizes=sizes)
        restore_snapshot(state / "lexical", work / "lexical")
    except OSError as error:
        raise IndexDamaged(str(error)) from error
    if vectors.dim != manifest.dim:
        raise IndexDamaged(f"{state} has {vectors.dim} dimensions, not {manifest.dim}.")
    return vectors


@dataclass(frozen=True, slots=True)
class SavedUpTo:
    """What the caller knows about the state that it saves."""

    embedder: str
    applied_change: int
    built_to: int | None = None


def save_state(
    directory: Path, vectors: VectorIndex, lexical: LexicalIndex, *, known: SavedUpTo
) -> Manifest:
    """Writes both indexes beside the old state, then switches the manifest, then drops the old.

    Raises:
        IndexLocked: another process is saving at this moment.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory / ".lock", timeout=0):
            return _save(directory, vectors, lexical, known)
    except Timeout as error:
        raise IndexLocked(
            f"Another process is writing the index in {directory}; wait until it is done."
        ) from error


def _save(
    directory: Path, vectors: VectorIndex, lexical: LexicalIndex, known: SavedUpTo
) -> Manifest:
    part = directory / f"{_PART_PREFIX}{uuid4().hex}"
    part.mkdir()
    try:
        vectors.save(part / "vectors")
        lexical.snapshot(part / "lexical")
        manifest = Manifest(
            format=FORMAT,
            state=f"{_STATE_PREFIX}{known.applied_change}-{uuid4().hex[:8]}",
            embedder=known.embedder,
            dim=vectors.dim,
            applied_change=known.applied_change,
            count=len(vectors),
            sha256=_content_sha256(part),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            vectors=[asdict(one) for one in vectors.described],
            built_to=known.built_to,
        )
        part.rename(directory / manifest.state)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    new = directory / f"{_PART_PREFIX}{_MANIFEST}"
    new.write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")
    new.replace(directory / _MANIFEST)
    _drop_others(directory, manifest.state)
    return manifest


def _drop_others(directory: Path, state: str) -> None:
    """Deletes older states and what killed processes left; only called under the lock."""
    for entry in directory.iterdir():
        is_state = entry.name.startswith(_STATE_PREFIX) and entry.name != state
        if is_state or entry.name.startswith(_PART_PREFIX):
            shutil.rmtree(entry, ignore_errors=True)


def _content_sha256(folder: Path) -> str:
    """Returns one hash over the names and contents of all files below `folder`."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(folder).as_posix()} {_digest(path)}\n".encode())
    return total.hexdigest()


def _digest(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(str(size).encode())
        for number in range(_N_BLOCKS):
            file.seek((size - _BLOCK_BYTES) * number // (_N_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()
