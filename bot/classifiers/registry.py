"""The heads of a data folder, `nlu/<task>/<name>/`, and which of them serves.

A task without a promoted head is served by the one that ships. Any process may change it: writers
take turns under a file lock, and a change is one rename, so a crash leaves the old state. A running
server follows, see `bot.classifiers.served_heads`.
"""

import json
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bot.adapter_pointer import (
    Pointer,
    Promotion,
    is_adapter_name,
    now,
    read_pointer,
    sync_folder,
    write_pointer,
)
from bot.errors import HeadChangeRefused, HeadNotFound, PointerDamaged
from bot.folder_lock import WORK, changing

_log = logging.getLogger(__name__)
RECORD = "record.json"
_FORMAT = 1
_MIN_REASON = 5
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new head beside the one that served when it was made, on the same held-out messages.

    Attributes:
        against: the old one's name; None for the one that ships.
        n: messages, each judged by a head that has not seen it.
        before: the old head's macro F1 over the labels that both know, in [0, 1].
        after: the new head's.
        labels: F1 before and after of each label; None before where the old does not know it.
        fallen: labels that lost more than is allowed.
    """

    against: str | None
    n: int
    before: float
    after: float
    labels: Mapping[str, tuple[float | None, float]]
    fallen: tuple[str, ...]

    @property
    def is_better(self) -> bool:
        """True when no label fell and either there is a new one or the whole did not fall."""
        has_new = any(before is None for before, _ in self.labels.values())
        return not self.fallen and (has_new or self.after >= self.before)


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """What is kept beside a retrained head: where it comes from and how it compares."""

    author: str
    lineage: Mapping[str, object] = field(default_factory=dict)
    comparison: Comparison | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class RegisteredHead:
    """One retrained head; `record` is None where its file cannot be read."""

    task: str
    name: str
    serves: bool
    record: HeadRecord | None


@dataclass(frozen=True, slots=True)
class HeadChange:
    """A change of what serves, for the audit; `name` is None for the head that ships."""

    action: str  # promote, rollback or discard
    task: str
    name: str | None
    by: str
    reason: str = ""


class HeadRegistry:
    """Keeps, promotes and rolls back heads; safe between threads and processes.

    Args:
        directory: `nlu` in the data folder, made when first needed.
        packaged: the folder of the heads that ship, one folder a task.
        tasks: the tasks there are.
        check: reads a head's files, raising where they cannot serve; called before a promotion.
        on_change: told of each change.
    """

    def __init__(
        self,
        directory: Path,
        *,
        packaged: Path,
        tasks: Sequence[str],
        check: Callable[[Path], object] = lambda folder: None,
        on_change: Callable[[HeadChange], None] = lambda change: None,
    ) -> None:
        self._directory = directory
        self._packaged = packaged
        self.tasks = tuple(tasks)
        self._check = check
        self._on_change = on_change

    def serving_name(self, task: str) -> str | None:
        """Returns the promoted head's name; None where the one that ships serves."""
        try:
            name = self._pointer(task).current.name
        except PointerDamaged as error:
            _log.error("%s The shipped head serves.", error)
            return None
        if name is not None and not self._has(task, name):
            _log.error("the promoted head %s/%s is gone; the shipped one serves", task, name)
            return None
        return name

    def serving(self, task: str) -> Path:
        """Returns the folder of the head that serves; it need not exist where none ships."""
        name = self.serving_name(task)
        return self._packaged / task if name is None else self._folder(task) / name

    def list(self, task: str) -> Sequence[RegisteredHead]:
        """Returns the retrained heads of a task, the newest first."""
        folder = self._folder(task)
        serving = self.serving_name(task)
        names = [f.name for f in folder.iterdir()] if folder.is_dir() else []
        names = sorted((name for name in names if self._has(task, name)), reverse=True)
        return [RegisteredHead(task, name, name == serving, _read(folder / name)) for name in names]

    def get(self, task: str, name: str) -> RegisteredHead:
        """Returns one retrained head; raises `HeadNotFound`."""
        self._require(task, name)
        record = _read(self._folder(task) / name)
        return RegisteredHead(task, name, name == self.serving_name(task), record)

    def save(self, task: str, write: Callable[[Path], None], *, record: HeadRecord) -> str:
        """Keeps a head that does not serve yet, whole or not at all; returns its name.

        Args:
            task: what it labels.
            write: puts the head's files into a folder that is there and empty.
            record: kept beside it.
        """
        folder = self._folder(task)
        name = f"{record.created_at:%Y%m%d-%H%M%S-%f}-{uuid.uuid4().hex[:4]}"
        with self._changing(task):
            work = folder / f"{WORK}{uuid.uuid4().hex}"
            work.mkdir()
            write(work)
            stored = {"format": _FORMAT, **asdict(record)}
            stored["created_at"] = record.created_at.isoformat()
            (work / RECORD).write_text(json.dumps(stored, ensure_ascii=False, indent=2), "utf-8")
            sync_folder(work)
            work.rename(folder / name)
            sync_folder(folder)
        return name

    def promote(self, task: str, name: str, *, by: str, reason: str = "") -> None:
        """Puts a head in force; again is no change.

        Args:
            task: what it labels.
            name: a retrained head's.
            by: who does it.
            reason: why one that is worse, or was not compared with what serves, is to serve.

        Raises:
            HeadNotFound: there is none of that name.
            HeadChangeRefused: it is not better and no reason is given, or cannot be read.
        """
        head, reason = self.get(task, name), " ".join(reason.split())[:_MAX_REASON]
        if head.serves:
            return
        doubt = self.doubt(head)
        if doubt and len(reason) < _MIN_REASON:
            raise HeadChangeRefused(f"{doubt} Promote it with a reason, or leave it.")
        self._try(task, name)
        with self._changing(task):
            pointer = self._pointer_or_new(task).promoted(Promotion(name, None, now(), by))
            write_pointer(self._folder(task), pointer)
        self._on_change(HeadChange("promote", task, name, by, reason if doubt else ""))

    def discard(self, task: str, name: str, *, by: str) -> None:
        """Deletes a head that does not serve.

        Raises:
            HeadNotFound: there is none of that name.
            HeadChangeRefused: it serves.
        """
        if self.get(task, name).serves:
            raise HeadChangeRefused(f"The head {name!r} serves; go back to another one first.")
        with self._changing(task):
            work = self._folder(task) / f"{WORK}{uuid.uuid4().hex}"
            (self._folder(task) / name).rename(work)  # in one step, so that nobody finds a part
            shutil.rmtree(work)
        self._on_change(HeadChange("discard", task, name, by))

    def rollback(self, task: str, *, by: str) -> str | None:
        """Puts in force what served before and returns its name, None for the one that ships.

        Raises:
            PointerDamaged: nobody knows what was before.
            HeadChangeRefused: nothing was.
        """
        with self._changing(task):
            pointer = self._pointer(task)
            for n_steps, entry in enumerate(reversed(pointer.history), start=1):
                if entry.name is None or self._has(task, entry.name):
                    write_pointer(self._folder(task), pointer.rolled_back(n_steps))
                    break
            else:
                raise HeadChangeRefused(f"Nothing served {task!r} before; train a head first.")
        self._on_change(HeadChange("rollback", task, entry.name, by))
        return entry.name

    def can_roll_back(self, task: str) -> bool:
        """True where something served before."""
        try:
            history = self._pointer(task).history
        except PointerDamaged:
            return False
        return any(entry.name is None or self._has(task, entry.name) for entry in history)

    def doubt(self, head: RegisteredHead) -> str:
        """Says why a head should not simply serve; empty when it is better than what does."""
        comparison = head.record.comparison if head.record else None
        if comparison is None:
            return f"The head {head.name!r} was not compared with another."
        if comparison.against != self.serving_name(head.task):
            return f"The head {head.name!r} was compared with one that does not serve any more."
        if comparison.fallen:
            return f"The head {head.name!r} is worse at {', '.join(comparison.fallen)[:200]}."
        if not comparison.is_better:
            return f"The head {head.name!r} is worse on the whole."
        return ""

    def _try(self, task: str, name: str) -> None:
        try:
            self._check(self._folder(task) / name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("the head %s/%s cannot be read", task, name, exc_info=True)
            raise HeadChangeRefused(
                f"The files of the head {name!r} are damaged; train again."
            ) from error

    def _has(self, task: str, name: str) -> bool:
        return is_adapter_name(name) and (self._folder(task) / name).is_dir()

    def _require(self, task: str, name: str) -> None:
        if not self._has(task, name):
            raise HeadNotFound(f"There is no head {name[:80]!r} of {task!r}.")

    def _folder(self, task: str) -> Path:
        if task not in self.tasks:
            raise HeadNotFound(f"Expected one of {', '.join(self.tasks)}, got {task[:40]!r}.")
        return self._directory / task

    def _pointer(self, task: str) -> Pointer:
        return read_pointer(self._folder(task), what="head")

    def _pointer_or_new(self, task: str) -> Pointer:
        try:
            return self._pointer(task)
        except PointerDamaged as error:
            _log.warning("%s A new one is begun.", error)
            return Pointer()

    def _changing(self, task: str) -> AbstractContextManager[None]:
        return changing(self._folder(task), what="the heads", refused=HeadChangeRefused)


def _read(folder: Path) -> HeadRecord | None:
    try:
        stored = json.loads((folder / RECORD).read_text("utf-8"))
        if stored.pop("format") != _FORMAT:
            return None
        compared = stored.pop("comparison")
        record = HeadRecord(**stored | {"created_at": datetime.fromisoformat(stored["created_at"])})
        return record if compared is None else replace(record, comparison=_compared(compared))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        _log.warning("the record of the head %s cannot be read", folder.name)
        return None


def _compared(stored: Mapping[str, object]) -> Comparison:
    known = Comparison(**stored)  # type: ignore[arg-type]  # JSON that we wrote
    labels = {label: (before, after) for label, (before, after) in known.labels.items()}
    return replace(known, labels=labels, fallen=tuple(known.fallen))
