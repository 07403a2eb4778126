"""The other language's candidates come up by a part of what they lack, and only where there are."""

import pytest

from knowledge.cross_language import lift_other_language


def test_one_language_ranks_as_before() -> None:
    fused = [(3, 0.9), (1, 0.5), (2, 0.4)]
    assert lift_other_language(fused, set()) == fused
    assert lift_other_language(fused, {1, 2, 3}) == fused


def test_other_language_rises_by_a_part() -> None:
    lifted = dict(lift_other_language([(1, 0.9), (2, 0.7), (3, 0.5)], {3}))
    assert lifted == pytest.approx({1: 0.9, 2: 0.7, 3: 0.5 + 0.4 * 0.3})


def test_close_other_passage_overtakes_weak_ones() -> None:
    fused = [(1, 1.0), (2, 0.6), (3, 0.55)]
    assert [id for id, _ in lift_other_language(fused, {3})] == [1, 3, 2]


def test_better_other_language_is_left_alone() -> None:
    fused = [(5, 0.9), (4, 0.3)]
    assert lift_other_language(fused, {5}) == fused


def test_equal_scores_go_to_smaller_id() -> None:
    assert lift_other_language([(7, 0.5), (2, 0.5)], {2}) == [(2, 0.5), (7, 0.5)]
