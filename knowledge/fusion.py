"""Joins several rankings of the same chunks into one, by rank alone."""

from collections.abc import Sequence
from math import fsum


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[int]], *, k: int = 60
) -> list[tuple[int, float]]:
    """Returns (id, score) pairs, best first; ties go to the smaller id.

    An id scores the sum over the rankings of 1 / (k + rank), ranks starting at 1. The order in
    which the rankings are given does not matter.

    Source: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
    individual rank learning methods", SIGIR 2009, which also gives k = 60.
    """
    parts: dict[int, list[float]] = {}
    for ranking in rankings:
        for rank, id in enumerate(ranking, start=1):
            parts.setdefault(id, []).append(1.0 / (k + rank))
    scores = {id: fsum(terms) for id, terms in parts.items()}
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
