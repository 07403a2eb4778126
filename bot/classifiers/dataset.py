"""Labelled messages from JSONL files: read with line numbers, cleaned, and freed of duplicates.

Before training. A row is `{"text", "label"[, "language"]}`, or one of our own examples, which carry
every task's label under the task's name.
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.classifiers.labels import LABELS, NO, YES, Task
from bot.errors import BotError

#: Texts that share so many of their shingles say the same; see `near_duplicates`.
NEAR = 0.85
#: The share of texts with two labels that a large file may have.
_TOLERATED = 0.02
MAX_TEXT_CHARS = 20_000
MAX_LABEL_CHARS = 64
_LABEL = re.compile(r"[^\W_](?:[\w-]*[^\W_])?")
_OWN_FIELDS = {Task.COMPLAINT: "complaint", Task.URGENCY: "urgent"}
_YES_NO = {"true": YES, "1": YES, "false": NO, "0": NO}
_SPACES = re.compile(r"\s+")
_NOT_WORDS = re.compile(r"[\W_]+")
_SHINGLE_CHARS = 4


class DatasetRejected(BotError):
    """A file of labelled messages cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled message and where it came from, as `file:line` or a correction's id."""

    text: str
    label: str
    source: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Examples that may be trained on, and what was left out and why."""

    examples: tuple[Example, ...]
    n_read: int
    n_duplicates: int = 0
    n_near_duplicates: int = 0
    n_held_out: int = 0  # also, or nearly so, in the held-out set
    contradictions: tuple[str, ...] = ()  # pairs of lines whose text has two labels, left out


def read_examples(paths: Iterable[Path], task: Task) -> list[Example]:
    """Reads a task's examples; rows of our own sets that say nothing of it are passed over.

    Raises:
        DatasetRejected: a file cannot be read, or a line is not as described above.
    """
    return [example for path in paths for example in _read(path, task)]


def clean(examples: Sequence[Example], *, held_out: Sequence[Example] = ()) -> Cleaned:
    """Returns normalised examples without repetitions, and none that the held-out set has.

    One text with two labels is an error in a file that people wrote by hand. Large files always
    have some; where they are few, such texts are left out and named.

    Raises:
        DatasetRejected: texts have two labels; both lines of the first are named.
    """
    exact: dict[str, Example] = {}
    n_duplicates = 0
    contradicted: dict[str, str] = {}
    for example in examples:
        key = fingerprint(example.text)
        known = exact.setdefault(key, example)
        if known is not example and known.label == example.label:
            n_duplicates += 1
        elif known is not example:
            contradicted.setdefault(
                key,
                f"{example.source}: the text of {known.source} has the label "
                f"{known.label!r} there and {example.label!r} here",
            )
    if len(contradicted) > _TOLERATED * len(examples):
        raise DatasetRejected(f"{next(iter(contradicted.values()))}. Keep one of them.")
    for key in contradicted:
        del exact[key]
    kept = [
        Example(normal(one.text), one.label, one.source, one.language) for one in exact.values()
    ]
    known_texts = [one.text for one in held_out]
    repeated = near_duplicates([*known_texts, *(one.text for one in kept)])
    n_known = len(known_texts)
    leaked = {row - n_known for row, first in repeated if row >= n_known > first}
    again = {row - n_known for row, first in repeated if first >= n_known} - leaked
    again = {row for row in again if not _differ(row, repeated, kept, n_known)}
    remaining = [one for row, one in enumerate(kept) if row not in leaked | again]
    return Cleaned(
        examples=tuple(remaining),
        n_read=len(examples),
        n_duplicates=n_duplicates,
        n_near_duplicates=len(again),
        n_held_out=len(leaked),
        contradictions=tuple(contradicted.values()),
    )


def near_duplicates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Returns (row, earlier row) of texts that share at least `NEAR` of their shingles.

    Candidates share one of the text's three rarest shingles, which two texts of that likeness
    almost always do; each candidate is then compared exactly, so nothing is wrongly reported.
    """
    shingles = [_shingles(text) for text in texts]
    frequency: dict[str, int] = defaultdict(int)
    for one in shingles:
        for shingle in one:
            frequency[shingle] += 1
    seen: dict[str, list[int]] = defaultdict(list)
    found = []
    for row, own in enumerate(shingles):
        n_rare = max(3, len(own) - int(NEAR * len(own)) + 1)  # prefix filtering
        rarest = sorted(own, key=lambda shingle: (frequency[shingle], shingle))[:n_rare]
        candidates = sorted({other for shingle in rarest for other in seen[shingle]})
        first = next((one for one in candidates if _share(own, shingles[one]) >= NEAR), None)
        if first is not None:
            found.append((row, first))
        for shingle in rarest:
            seen[shingle].append(row)
    return found


def normal(text: str) -> str:
    """Returns the text as heads read it: NFKC, single spaces, no control characters."""
    plain = unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS])
    plain = "".join(char if char.isprintable() else " " for char in plain)
    return _SPACES.sub(" ", plain).strip()


def fingerprint(text: str) -> str:
    """Returns what two texts share that differ in case, width, spaces or punctuation only."""
    plain = normal(text).lower()
    return _NOT_WORDS.sub("", plain) or plain


def _differ(
    row: int, repeated: Sequence[tuple[int, int]], kept: Sequence[Example], n_known: int
) -> bool:
    """True where a near repetition has another label, as "I want it" and "I do not want it"."""
    first = dict(repeated)[row + n_known]
    return kept[row].label != kept[first - n_known].label


def _read(path: Path, task: Task) -> Iterator[Example]:
    try:
        content = path.read_text("utf-8-sig")
    except OSError as error:
        raise DatasetRejected(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DatasetRejected(
            f"{path}: expected UTF-8 ({error.reason}). Save it as UTF-8."
        ) from error
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            example = _example(line, task, f"{path.name}:{number}")
            if example is not None:
                yield example


def _example(line: str, task: Task, source: str) -> Example | None:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DatasetRejected(f"{source}: expected a JSON object a line ({error}).") from error
    if not isinstance(row, dict):
        raise DatasetRejected(f"{source}: expected a JSON object, got {type(row).__name__}.")
    text, label = row.get("text"), _label(row, task)
    if not isinstance(text, str):
        raise DatasetRejected(f"{source}: expected a string under 'text', got {text!r}.")
    if label is None:
        if _is_own(row):
            return None
        raise DatasetRejected(
            f"{source}: expected 'label' beside 'text'; the columns are {_names(row)}."
        )
    return Example(text, _checked(label, task, source), source, str(row.get("language") or ""))


def _label(row: Mapping[str, Any], task: Task) -> object:
    if "label" in row:
        return row["label"]
    value = row.get(_OWN_FIELDS.get(task, task.value))
    if isinstance(value, bool):
        return YES if value else NO
    return value


def _is_own(row: Mapping[str, Any]) -> bool:
    return any(task.value in row for task in Task if task is not Task.LANGUAGE)


def _checked(label: object, task: Task, source: str) -> str:
    text = str(label).strip() if isinstance(label, str | int) else ""
    if LABELS[task] == (NO, YES):
        text = _YES_NO.get(text.lower(), text)
    if not text or len(text) > MAX_LABEL_CHARS or not _LABEL.fullmatch(text):
        raise DatasetRejected(f"{source}: expected a label in snake_case, got {label!r}.")
    if task is not Task.INTENT and text not in LABELS[task]:
        raise DatasetRejected(
            f"{source}: expected one of {', '.join(LABELS[task])}, got {label!r}."
        )
    return text


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(repr(str(name)) for name in row) or "none"


def _shingles(text: str) -> frozenset[str]:
    plain = fingerprint(text)
    last = max(1, len(plain) - _SHINGLE_CHARS + 1)
    return frozenset(plain[at : at + _SHINGLE_CHARS] for at in range(last))


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
