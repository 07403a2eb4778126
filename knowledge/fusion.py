"""Joins several rankings of the same chunks into one: by learned weights, or by rank.

The learned weights fit the cosines of one embedder; for any other, ranks are joined.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import fsum
from pathlib import Path
from typing import Self


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[tuple[int, float]]], *, k: int = 60
) -> list[tuple[int, float]]:
    """Returns (id, score) pairs, best first; ties go to the smaller id.

    An id scores the sum over the rankings of weight / (k + rank), ranks starting at 1. The order
    in which the rankings are given does not matter.

    Args:
        rankings: (id, weight) pairs, best first; the weight says how much this vote counts.
        k: The larger, the less the first ranks stand out.

    Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
    individual rank learning methods", SIGIR 2009, which also gives k = 60. The weights are ours.
    """
    parts: dict[int, list[float]] = {}
    for ranking in rankings:
        for rank, (id, weight) in enumerate(ranking, start=1):
            parts.setdefault(id, []).append(weight / (k + rank))
    scores = {id: fsum(terms) for id, terms in parts.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True, slots=True)
class Signs:
    """What both searches say of one candidate.

    Args:
        cosine: Best of its vectors; of a candidate found by words alone, the lowest cosine seen.
        word_share: Share of the question's words that it has, in [0, 1].
        code_share: Share of the question's codes and numbers that it has, in [0, 1].
    """

    cosine: float
    word_share: float
    code_share: float


@dataclass(frozen=True, slots=True)
class LearnedFusion:
    """Weighs the signs by a logistic regression; `fusion.json` says how it was fitted.

    Args:
        embedder: Whose cosines it was fitted on; for any other, fuse by rank instead.
        cosine: Weight of the sign of that name, as are the next two.
        word_share: See `Signs`.
        code_share: See `Signs`.
        note: On what it was fitted and how well it did on sets held out.
    """

    embedder: str
    cosine: float
    word_share: float
    code_share: float
    note: str

    def score(self, signs: Signs) -> float:
        """Returns the weighted sum, in units of cosine so that it can be read beside one."""
        total = self.word_share * signs.word_share + self.code_share * signs.code_share
        return signs.cosine + total / self.cosine

    def rank(self, candidates: Mapping[int, Signs]) -> list[tuple[int, float]]:
        """Returns (id, score) pairs, best first; ties go to the smaller id."""
        scores = {id: self.score(signs) for id, signs in candidates.items()}
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads saved weights, or those that are shipped.

        Raises:
            ValueError: the file lacks a weight or has others.
        """
        source = path or Path(str(files("knowledge"))) / "fusion.json"
        try:
            return cls(**json.loads(source.read_text("utf-8")))
        except TypeError as error:
            raise ValueError(f"{source} does not hold the weights of a fusion: {error}") from error
