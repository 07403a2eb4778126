"""The adapters of a data folder, `adapters/<name>/`, and which of them is in force.

Any process may change it: writers take turns under a file lock, and a change is one rename, so a
crash leaves the old state. A running server follows, see `bot.served_adapters`.
"""

import logging
import os
import shutil
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.adapter_pointer import (
    POINTER,
    Pointer,
    Promotion,
    is_adapter_name,
    now,
    read_pointer,
    sync_folder,
    write_pointer,
)
from bot.errors import AdapterChangeRefused, AdapterNotFound, AdapterRejected, PointerDamaged
from bot.folder_lock import WORK, changing
from bot.llm.adapter_files import (
    CONFIG,
    TENSORS,
    AdapterFiles,
    check_against_weights,
    read_adapter,
)

_log = logging.getLogger(__name__)
_COPIED = (CONFIG, TENSORS, "manifest.json", "README.md")
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What adapters must fit, known without loading it; `weights` None: not prepared yet."""

    name: str
    weights: Path | None


@dataclass(frozen=True, slots=True)
class RegisteredAdapter:
    """One folder of the registry.

    Attributes:
        id: the folder's name.
        adapter: its content, as answers record it; None where it cannot be read.
        problem: why it could not be promoted now.
        refused: why the server would not attach it when it was promoted last.
    """

    id: str
    adapter: str | None
    base_model: str
    rank: int | None
    size_bytes: int
    added_at: datetime
    promoted: bool
    problem: str | None
    refused: str | None


class AdapterRegistry:
    """Lists, takes in, promotes and rolls back; safe between threads and processes.

    Args:
        directory: `adapters` in the data folder, made when first needed.
        base: what adapters are checked against; None where another server runs the model.
    """

    def __init__(self, directory: Path, *, base: BaseModel | None) -> None:
        self._directory = directory
        self._base = base

    def pointer(self) -> Pointer:
        """Returns what is in force, and what was before.

        Raises:
            PointerDamaged: the file cannot be read.
        """
        return read_pointer(self._directory)

    def problem(self) -> str | None:
        """Says what is wrong with the pointer, None when nothing is."""
        try:
            name = self.pointer().current.name
        except PointerDamaged as error:
            return str(error)
        if name is not None and not self.has(name):
            return f"The promoted adapter {name!r} is not in {self._directory} any more."
        return None

    def list(self) -> list[RegisteredAdapter]:
        """Returns all adapters by name, also those that cannot be used."""
        try:
            pointer = self.pointer()
        except PointerDamaged:
            pointer = Pointer()
        if not self._directory.is_dir():
            return []
        folders = [f for f in self._directory.iterdir() if is_adapter_name(f.name) and f.is_dir()]
        return [self._describe(folder, pointer) for folder in sorted(folders)]

    def has(self, name: str) -> bool:
        """True for the name of a folder in the registry, whether it can be used or not."""
        return is_adapter_name(name) and (self._directory / name).is_dir()

    def folder(self, name: str) -> Path:
        """Returns a registered adapter's folder, checked without the model.

        Raises:
            AdapterNotFound: there is none of that name.
            AdapterRejected: it does not fit.
        """
        self._check(name)
        return self._directory / name

    def add(self, source: Path, *, name: str | None = None) -> str:
        """Copies an adapter folder in, whole or not at all, and returns its name.

        The same content under the same name is there already and is left alone.

        Raises:
            AdapterRejected: it does not fit, or has no usable name.
            AdapterChangeRefused: another adapter has the name, or it cannot be written.
        """
        name = source.resolve().name if name is None else name
        if not is_adapter_name(name):
            raise AdapterRejected(
                f"Expected a name of at most 64 letters, digits, '-', '_', '+' and '.', "
                f"found {name[:80]!r}. Give the adapter another one with --name."
            )
        if not source.is_dir():
            raise AdapterRejected(f"Expected a folder, found none at {source}.")
        with self._changing():
            work = self._directory / f"{WORK}{uuid.uuid4().hex}"
            try:
                self._fits(source)  # before the copying, so that messages name the user's folder
                _copy(source, work)
                self._place(work, name)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return name

    def promote(self, name: str, *, by: str) -> Promotion:
        """Puts a registered adapter in force; again is no change.

        Raises:
            AdapterNotFound: there is none of that name.
            AdapterRejected: it does not fit.
            AdapterChangeRefused: the change cannot be written.
        """
        with self._changing():
            adapter = self._check(name).id
            pointer = self._pointer_or_new()
            current = pointer.current
            if (current.name, current.adapter) == (name, adapter) and name not in pointer.refused:
                return current
            write_pointer(self._directory, pointer.promoted(Promotion(name, adapter, now(), by)))
            return self.pointer().current

    def rollback(self, *, by: str) -> Promotion:
        """Puts in force again what was before, skipping folders that are gone.

        Raises:
            PointerDamaged: nobody knows what was before.
            AdapterChangeRefused: nothing was, or the change cannot be written.
        """
        with self._changing():
            pointer = self.pointer()
            for n_steps, entry in enumerate(reversed(pointer.history), start=1):
                if entry.name is None or self._is_usable(entry.name):
                    write_pointer(self._directory, pointer.rolled_back(n_steps))
                    _log.info("adapters rolled back by %s", by)
                    return entry
            raise AdapterChangeRefused(
                "Nothing to go back to: no adapter was promoted before, or its folder is gone. "
                "`kefu finetune list` shows what can be promoted."
            )

    def refuse(self, promotion: Promotion, reason: str, *, instead: Promotion | None) -> None:
        """Notes that the server will not attach a promoted adapter.

        Args:
            promotion: what it was told to attach.
            reason: why it would not.
            instead: what goes on serving and is in force again; None only notes the reason.
        """
        with self._changing():
            pointer = self.pointer()
            if instead is not None:
                pointer = pointer.withdrawn(promotion, instead=instead)
            if promotion.name is not None:
                pointer = pointer.with_refusal(promotion.name, reason[:_MAX_REASON])
            write_pointer(self._directory, pointer)

    def accept(self, name: str) -> None:
        """Takes an earlier refusal's note away: the adapter is attached now."""
        if name in self.pointer().refused:
            with self._changing():
                write_pointer(self._directory, self.pointer().with_refusal(name, None))

    def _describe(self, folder: Path, pointer: Pointer) -> RegisteredAdapter:
        files, problem = None, None
        try:
            files = self._fits(folder)
        except AdapterRejected as error:
            problem = str(error)
        tensors = folder / TENSORS
        at = (tensors if tensors.is_file() else folder).stat().st_mtime
        return RegisteredAdapter(
            id=folder.name,
            adapter=files.id if files else None,
            base_model=files.base_model if files else "",
            rank=files.rank if files else None,
            size_bytes=files.n_bytes if files else 0,
            added_at=datetime.fromtimestamp(at, UTC),
            promoted=pointer.current.name == folder.name,
            problem=problem,
            refused=pointer.refused.get(folder.name),
        )

    def _check(self, name: str) -> AdapterFiles:
        if not self.has(name):
            raise AdapterNotFound(
                f"There is no adapter {name[:80]!r}. `kefu finetune list` shows the ones there are."
            )
        return self._fits(self._directory / name)

    def _fits(self, folder: Path) -> AdapterFiles:
        files = read_adapter(folder, base_name=self._base.name if self._base else None)
        if self._base and self._base.weights:
            check_against_weights(files, self._base.weights)
        return files

    def _is_usable(self, name: str) -> bool:
        try:
            self._check(name)
        except (AdapterNotFound, AdapterRejected) as error:
            _log.warning("cannot go back to the adapter %s: %s", name, error)
            return False
        return True

    def _place(self, work: Path, name: str) -> None:
        """Checks a copy, then gives it its name."""
        target = self._directory / name
        copied = self._fits(work)
        if not target.exists():
            work.rename(target)
            sync_folder(self._directory)
        elif not _is_same(copied, target):
            raise AdapterChangeRefused(
                f"There is another adapter {name!r}. Give this one another name with --name."
            )

    def _pointer_or_new(self) -> Pointer:
        """Returns the pointer; a damaged one is kept beside and a new one begun."""
        try:
            return self.pointer()
        except PointerDamaged as error:
            kept = self._directory / f"damaged-{POINTER}"
            shutil.copyfile(self._directory / POINTER, kept)
            _log.warning("%s It is kept as %s.", error, kept)
            return Pointer()

    def _changing(self) -> AbstractContextManager[None]:
        return changing(self._directory, what="the adapters", refused=AdapterChangeRefused)


def _copy(source: Path, work: Path) -> None:
    """Copies what serving needs, on disk before this returns."""
    work.mkdir()
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, work / name)
            with (work / name).open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(work)


def _is_same(copied: AdapterFiles, target: Path) -> bool:
    try:
        there = read_adapter(target, base_name=None)
        configs = [(folder / CONFIG).read_bytes() for folder in (copied.folder, target)]
    except (AdapterRejected, OSError):
        return False
    return there.sha256 == copied.sha256 and configs[0] == configs[1]
