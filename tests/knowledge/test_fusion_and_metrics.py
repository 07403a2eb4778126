from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.fusion import reciprocal_rank_fusion
from knowledge.metrics import hit_at_k, mrr_at_k, ndcg_at_k, recall_at_k

votes = st.tuples(st.integers(0, 30), st.floats(0, 3))
rankings = st.lists(st.lists(votes, unique_by=lambda vote: vote[0], max_size=15), max_size=5)


@given(lists=rankings, data=st.data())
def test_fusion_is_order_free_without_duplicates(
    lists: list[list[tuple[int, float]]], data: st.DataObject
) -> None:
    fused = reciprocal_rank_fusion(lists)
    assert fused == reciprocal_rank_fusion(data.draw(st.permutations(lists)))
    assert len({id for id, _ in fused}) == len(fused)
    assert {id for id, _ in fused} == {id for ranking in lists for id, _ in ranking}


@given(lists=rankings)
def test_fusion_puts_higher_scores_first(lists: list[list[tuple[int, float]]]) -> None:
    scores = [score for _, score in reciprocal_rank_fusion(lists)]
    assert scores == sorted(scores, reverse=True)


def test_fusion_prefers_what_both_found() -> None:
    fused = reciprocal_rank_fusion([[(1, 1.0), (2, 1.0)], [(3, 1.0), (2, 1.0)]])
    assert [id for id, _ in fused] == [2, 1, 3]
    assert reciprocal_rank_fusion([[(7, 1.0)]], k=60) == [(7, 1 / 61)]


def test_fusion_weighs_votes() -> None:
    assert reciprocal_rank_fusion([[(7, 1.5)], [(8, 1.0)]])[0] == (7, 1.5 / 61)
    fused = reciprocal_rank_fusion([[(1, 1.0), (2, 1.0)], [(2, 0.01)]])
    assert [id for id, _ in fused] == [1, 2]


@pytest.mark.parametrize(
    ("ranking", "relevant", "k", "hit", "recall", "mrr", "ndcg"),
    [
        ([1, 2, 3], {1}, 3, 1.0, 1.0, 1.0, 1.0),
        ([1, 2, 3], {3}, 3, 1.0, 1.0, 1 / 3, 1 / log2(4)),
        ([1, 2, 3], {3}, 2, 0.0, 0.0, 0.0, 0.0),
        ([1, 2, 3], {2, 9}, 3, 1.0, 0.5, 0.5, (1 / log2(3)) / (1 + 1 / log2(3))),
        ([], {1}, 5, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_metrics_match_values_by_hand(
    ranking: list[int],
    relevant: set[int],
    k: int,
    hit: float,
    recall: float,
    mrr: float,
    ndcg: float,
) -> None:
    assert hit_at_k(ranking, relevant, k) == hit
    assert recall_at_k(ranking, relevant, k) == recall
    assert mrr_at_k(ranking, relevant, k) == pytest.approx(mrr)
    assert ndcg_at_k(ranking, relevant, k) == pytest.approx(ndcg)


@given(
    ranking=st.lists(st.integers(0, 9), max_size=12),
    relevant=st.sets(st.integers(0, 9), min_size=1),
    k=st.integers(1, 15),
)
def test_metrics_stay_within_bounds(ranking: list[int], relevant: set[int], k: int) -> None:
    for metric in (hit_at_k, recall_at_k, mrr_at_k, ndcg_at_k):
        assert 0.0 <= metric(ranking, relevant, k) <= 1.0 + 1e-9


def test_metrics_need_a_relevant_id() -> None:
    with pytest.raises(ValueError, match="relevant"):
        ndcg_at_k([1], set(), 5)
