"""Loads a set of planted contradictions and scores a search for them against its quotes."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge.conflicts import Conflict
from knowledge.quantities import quantities
from knowledge.statements import Statement

_SENTENCE = re.compile(r"(?<=[。！？；;])|(?<=\.)\s|\n")
_MIN_CHARS = 3


@dataclass(frozen=True, slots=True)
class Score:
    """`n_wrong` counts every reported pair that the set does not call true."""

    n_right: int
    n_wrong: int
    n_found: int
    n_planted: int

    @property
    def precision(self) -> float:
        return self.n_right / max(1, self.n_right + self.n_wrong)

    @property
    def recall(self) -> float:
        return self.n_found / max(1, self.n_planted)


def score(folder: Path, found: Sequence[Conflict]) -> Score:
    planted = load_pairs(folder / "pairs.jsonl")
    also = [*load_pairs(folder / "pairs_also.jsonl"), *load_pairs(folder / "existing.jsonl")]
    hits = [[n for n, pair in enumerate(planted) if is_pair(one.a, one.b, pair)] for one in found]
    n_right = sum(map(bool, hits))
    n_also = sum(
        not hit and any(is_pair(one.a, one.b, pair) for pair in also)
        for hit, one in zip(hits, found, strict=True)
    )
    n_found = len({n for hit in hits for n in hit})
    return Score(n_right, len(found) - n_right - n_also, n_found, len(planted))


def load_pairs(path: Path) -> list[dict[str, dict[str, str]]]:
    """Returns the labelled pairs of a file; none where there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def is_pair(a: Statement, b: Statement, pair: dict[str, dict[str, str]]) -> bool:
    """True where two statements are the sides of a labelled pair, either way round."""
    one, other = pair["a"], pair["b"]
    return (_says(a, one) and _says(b, other)) or (_says(a, other) and _says(b, one))


def _says(statement: Statement, side: dict[str, str]) -> bool:
    """A statement is one sentence; a quote may be several, of which one with a figure counts."""
    if statement.place.document != side["document"]:
        return False
    text = _plain(statement.text)
    said = [side["quote"], *(one for one in _SENTENCE.split(side["quote"]) if quantities(one))]
    return any(one in text or text in one for one in map(_plain, said) if len(one) >= _MIN_CHARS)


def _plain(text: str) -> str:
    return "".join(text.split())
