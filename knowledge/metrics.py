"""How good a ranking is, given which ids are relevant; each value is in [0, 1]."""

from collections.abc import Collection, Sequence
from math import log2
from typing import TypeVar

Id = TypeVar("Id", int, str)


def hit_at_k(ranking: Sequence[Id], relevant: Collection[Id], k: int) -> float:
    """Returns 1 when any of the first `k` is relevant, else 0."""
    return float(any(id in relevant for id in ranking[:k]))


def recall_at_k(ranking: Sequence[Id], relevant: Collection[Id], k: int) -> float:
    """Returns the share of the relevant ids that stand among the first `k`."""
    _check(relevant)
    return len(set(ranking[:k]) & set(relevant)) / len(set(relevant))


def mrr_at_k(ranking: Sequence[Id], relevant: Collection[Id], k: int) -> float:
    """Returns 1 / rank of the first relevant id among the first `k`, else 0."""
    for rank, id in enumerate(ranking[:k], start=1):
        if id in relevant:
            return 1.0 / rank
    return 0.0


def ndcg_at_k(ranking: Sequence[Id], relevant: Collection[Id], k: int) -> float:
    """Returns the discounted gain of the first `k`, divided by the best that was possible.

    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002;
    gains are 0 or 1, and an id that is repeated counts once.
    """
    _check(relevant)
    seen: set[Id] = set()
    gain = 0.0
    for rank, id in enumerate(ranking[:k], start=1):
        if id in relevant and id not in seen:
            seen.add(id)
            gain += 1.0 / log2(rank + 1)
    ideal = sum(1.0 / log2(rank + 1) for rank in range(1, min(k, len(set(relevant))) + 1))
    return gain / ideal


def _check(relevant: Collection[Id]) -> None:
    if not relevant:
        raise ValueError("Expected at least one relevant id, got none.")
