"""Loads a set of planted contradictions and scores a search for them against its quotes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge.conflicts import Conflict
from knowledge.statements import Statement


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
    planted = _load(folder / "pairs.jsonl")
    also = [*_load(folder / "pairs_also.jsonl"), *_load(folder / "existing.jsonl")]
    hits = [[n for n, pair in enumerate(planted) if _is(one, pair)] for one in found]
    n_right = sum(map(bool, hits))
    n_also = sum(
        not hit and any(_is(one, pair) for pair in also)
        for hit, one in zip(hits, found, strict=True)
    )
    n_found = len({n for hit in hits for n in hit})
    return Score(n_right, len(found) - n_right - n_also, n_found, len(planted))


def _load(path: Path) -> list[dict[str, dict[str, str]]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _is(one: Conflict, pair: dict[str, dict[str, str]]) -> bool:
    a, b = pair["a"], pair["b"]
    return (_says(one.a, a) and _says(one.b, b)) or (_says(one.a, b) and _says(one.b, a))


def _says(statement: Statement, side: dict[str, str]) -> bool:
    quote, text = _plain(side["quote"]), _plain(statement.text)
    return statement.place.document == side["document"] and (quote in text or text in quote)


def _plain(text: str) -> str:
    return "".join(text.split())
