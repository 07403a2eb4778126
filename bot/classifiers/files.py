"""Writes a head into a folder and reads it back: safetensors and JSON, no code is run."""

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file

from bot.classifiers.head import Head

_TENSORS = "model.safetensors"
_LABELS = "labels.json"


def save_head(head: Head, folder: Path) -> None:
    """Writes a head's files into a folder that is there."""
    save_file(dict(head.tensors), folder / _TENSORS)
    stored = {"task": head.task, "labels": head.labels, "meta": dict(head.meta)}
    (folder / _LABELS).write_text(json.dumps(stored, ensure_ascii=False), "utf-8")


def load_head(folder: Path) -> Head:
    """Reads a head; raises `OSError` or `ValueError` where the files are missing or damaged."""
    stored = json.loads((folder / _LABELS).read_text("utf-8"))
    tensors = load_file(folder / _TENSORS)
    return Head(stored["task"], tuple(stored["labels"]), tensors, stored["meta"])
