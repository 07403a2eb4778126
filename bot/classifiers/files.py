"""A trained head on disk: weights as safetensors, labels and scalars as JSON, and its card.

A folder is written beside its place and renamed into it, the manifest last; loading checks the
manifest before it reads the weights. Nothing in it is executed: there is no pickle.
"""

import hashlib
import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bot.classifiers.head import Head
from bot.errors import BotError

FORMAT = 1
_WEIGHTS, _LABELS, _MANIFEST = "model.safetensors", "labels.json", "manifest.json"
CARD, CONFUSION = "card.md", "confusion.png"
_MAX_JSON_BYTES = 1 << 20


class HeadRejected(BotError, ValueError):
    """A folder holds no head that can be used here."""


def save_head(head: Head, folder: Path, *, extra: dict[str, bytes] | None = None) -> None:
    """Writes the head into `folder`, which it replaces whole; `extra` are files by name."""
    from safetensors.numpy import save

    weights = save({name: np.ascontiguousarray(one) for name, one in head.tensors.items()})
    labels = {"task": head.task, "labels": list(head.labels), "meta": dict(head.meta)}
    files = {_WEIGHTS: weights, _LABELS: _json(labels), **(extra or {})}
    manifest = {
        "format": FORMAT,
        "task": head.task,
        "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "sha256": {name: hashlib.sha256(files[name]).hexdigest() for name in (_WEIGHTS, _LABELS)},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    written = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in {**files, _MANIFEST: _json(manifest)}.items():
            (written / name).write_bytes(content)
        written.chmod(0o755)
        _take_place(written, folder)
    finally:
        shutil.rmtree(written, ignore_errors=True)


def load_head(folder: Path, *, task: str | None = None) -> Head:
    """Reads a head; its label order is the one that it was saved with.

    Raises:
        HeadRejected: the folder is no head, of another format or task, or was changed.
    """
    from safetensors.numpy import load

    manifest = _read_json(folder, _MANIFEST)
    if manifest.get("format") != FORMAT:
        raise HeadRejected(
            f"{folder}: expected a head of format {FORMAT}, got {manifest.get('format')!r}. "
            "Train it again with `kefu nlu train`."
        )
    contents = {name: _checked(folder, name, manifest) for name in (_WEIGHTS, _LABELS)}
    described = json.loads(contents[_LABELS])
    if task is not None and described["task"] != task:
        raise HeadRejected(f"{folder}: expected a head for {task!r}, got {described['task']!r}.")
    return Head(
        task=described["task"],
        labels=tuple(described["labels"]),
        tensors=load(contents[_WEIGHTS]),
        meta=described["meta"],
    )


def head_folder(path: Path, task: str) -> Path:
    """Returns the folder of a task's head: `path` itself, or the one that it holds for the task."""
    return path / task if (path / task / _MANIFEST).exists() else path


def _take_place(written: Path, folder: Path) -> None:
    if not folder.exists():
        written.rename(folder)
        return
    old = written.with_name(written.name + "-old")
    folder.rename(old)
    written.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _checked(folder: Path, name: str, manifest: dict[str, Any]) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise HeadRejected(f"{folder}: {name} cannot be read ({error.strerror}).") from error
    if hashlib.sha256(content).hexdigest() != manifest.get("sha256", {}).get(name):
        raise HeadRejected(f"{folder}: {name} is not the file that its manifest names.")
    return content


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = (folder / name).read_bytes()[:_MAX_JSON_BYTES]
        found = json.loads(content)
    except (OSError, ValueError) as error:
        raise HeadRejected(f"{folder}: expected a trained head, found no {name}.") from error
    if not isinstance(found, dict):
        raise HeadRejected(f"{folder}: expected an object in {name}.")
    return found


def _json(content: object) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
