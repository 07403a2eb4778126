"""Joins several rankings of the same chunks into one, by rank and by how much each vote counts."""

from collections.abc import Sequence
from math import fsum


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
