"""The file that says which folder beside it is in force: `adapters/current.json` and the like.

It is replaced whole, so a reader finds the old state or the new one, also after a crash. A folder
without it has nothing promoted: the settings decide.
"""

import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.errors import PointerDamaged

POINTER = "current.json"
_FORMAT = 1
_MAX_HISTORY = 100
_NAME = re.compile(r"\w[\w.+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Promotion:
    """What was put in force, when and by whom.

    Attributes:
        name: the adapter's folder; None for what the settings say.
        adapter: its content, as answers record it.
    """

    name: str | None = None
    adapter: str | None = None
    at: str = ""  # UTC, ISO 8601
    by: str = ""


AS_SET = Promotion()


@dataclass(frozen=True, slots=True)
class Pointer:
    """What is in force, what was before (oldest first), and what the server refused and why."""

    current: Promotion = AS_SET
    history: tuple[Promotion, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    def promoted(self, promotion: Promotion) -> "Pointer":
        """Puts an adapter in force; an earlier refusal of it is forgotten."""
        refused = {k: v for k, v in self.refused.items() if k != promotion.name}
        is_same = self.current.name == promotion.name and self.current.adapter == promotion.adapter
        history = self.history if is_same else (*self.history, self.current)[-_MAX_HISTORY:]
        return Pointer(promotion, history, refused)

    def rolled_back(self, n_steps: int) -> "Pointer":
        """Puts in force what was so `n_steps` changes ago."""
        return replace(self, current=self.history[-n_steps], history=self.history[:-n_steps])

    def withdrawn(self, promotion: Promotion, *, instead: Promotion) -> "Pointer":
        """Takes one back as if it had never been; a newer one stays in force."""
        history = tuple(entry for entry in self.history if entry != promotion)
        if self.current != promotion:
            return replace(self, history=history)
        if history and history[-1] == instead:
            history = history[:-1]
        return replace(self, current=instead, history=history)

    def with_refusal(self, name: str, reason: str | None) -> "Pointer":
        """Notes why the server refused an adapter; None takes the note away."""
        refused = {k: v for k, v in self.refused.items() if k != name}
        return replace(self, refused=refused if reason is None else refused | {name: reason})


def is_adapter_name(name: str) -> bool:
    """True for a name that can only mean one folder directly in the registry's."""
    return bool(_NAME.fullmatch(name)) and name != POINTER


def now() -> str:
    """The present time as pointers hold it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_pointer(directory: Path, *, what: str = "adapter") -> Pointer:
    """Returns the pointer; the empty one where nothing was ever promoted. `what` is for messages.

    Raises:
        PointerDamaged: there is a file, but it is not one of ours.
    """
    file = directory / POINTER
    try:
        found = json.loads(file.read_text("utf-8"))
        return _from_json(found)
    except FileNotFoundError:
        return Pointer()
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise PointerDamaged(
            f"{file} does not say which {what} is in force ({type(error).__name__}). "
            "Promote one to write it anew, or delete it to go back to the default."
        ) from error


def write_pointer(directory: Path, pointer: Pointer) -> None:
    """Replaces the pointer in one step, on disk before this returns."""
    draft = directory / f".work-{uuid.uuid4().hex}"
    with draft.open("x", encoding="utf-8") as file:
        json.dump({"format": _FORMAT, **asdict(pointer)}, file, ensure_ascii=False, indent=2)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / POINTER)
    sync_folder(directory)


def sync_folder(folder: Path) -> None:
    """Has a folder's entries reach the disk, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _from_json(found: Any) -> Pointer:
    if found["format"] != _FORMAT:
        raise ValueError(f"Expected format {_FORMAT}, found {found['format']!r}.")
    refused = {_text(name): _text(reason) for name, reason in found["refused"].items()}
    history = tuple(_promotion(entry) for entry in found["history"])
    return Pointer(_promotion(found["current"]), history, refused)


def _promotion(entry: Mapping[str, Any]) -> Promotion:
    name, adapter = entry["name"], entry["adapter"]
    if name is not None and not is_adapter_name(_text(name)):
        raise ValueError("Expected a plain name.")
    return Promotion(
        name, None if adapter is None else _text(adapter), _text(entry["at"]), _text(entry["by"])
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Expected text, found {type(value).__name__}.")
    return value
