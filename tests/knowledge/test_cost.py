import numpy as np
import pytest

from knowledge.cost import auc, brier, calibration_error, dial_table, more_likely, threshold_for
from knowledge.judged import Judged
from knowledge.search_settings import RetrievalOptions


@pytest.mark.parametrize(("handoffs", "threshold"), [(0, 0.0), (1, 0.5), (4, 0.8), (9, 0.9)])
def test_threshold_follows_from_the_cost(handoffs: float, threshold: float) -> None:
    assert threshold_for(handoffs) == pytest.approx(threshold)


@pytest.mark.parametrize("handoffs", [0.25, 1.0, 3.0])
def test_threshold_costs_least(handoffs: float) -> None:
    grid = np.linspace(0, 1, 101)
    chances = np.linspace(0.005, 0.995, 500)
    costs = [np.where(chances >= one, (1 - chances) * handoffs, chances).sum() for one in grid]
    assert grid[int(np.argmin(costs))] == pytest.approx(threshold_for(handoffs), abs=0.011)


@pytest.mark.parametrize("handoffs", [-1.0, float("nan")])
def test_cost_must_not_be_negative(handoffs: float) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        threshold_for(handoffs)


def test_dial_counts_both_mistakes() -> None:
    rows = dial_table([0.9, 0.6, 0.3], [0.2, 0.7], shown=[1, 4])
    assert [(row.threshold, row.wrongly_answered) for row in rows] == [(0.5, 0.5), (0.8, 0.0)]
    assert [row.refused for row in rows] == pytest.approx([1 / 3, 2 / 3])
    empty = dial_table([], [], shown=[1])[0]
    assert (empty.refused, empty.wrongly_answered) == (None, None)


def test_auc_and_calibration_are_known() -> None:
    assert auc([0.9, 0.5], [0.5, 0.1]) == pytest.approx(0.875)
    assert auc([], [0.5]) is None
    assert calibration_error([0.25] * 4, [True, False, False, False]) == pytest.approx(0.0)
    assert calibration_error([1.0, 1.0], [True, False]) == pytest.approx(0.5)
    assert calibration_error([], []) is None
    assert brier([0.5, 1.0], [True, True]) == pytest.approx(0.125)
    assert brier([], []) is None


@pytest.mark.parametrize(("given", "wanted"), [(0.0, 0.0), (0.5, 0.75), (0.25, 0.5), (1.0, 1.0)])
def test_odds_are_multiplied(given: float, wanted: float) -> None:
    assert more_likely(given, 3.0) == pytest.approx(wanted)


def test_own_threshold_wins_over_the_cost() -> None:
    options = RetrievalOptions(top_k=1, candidates=1, handoffs_per_wrong_answer=3)
    assert options.threshold == 0.75
    own = RetrievalOptions(top_k=1, candidates=1, relevance_threshold=0.2)
    assert own.threshold == 0.2
    with pytest.raises(ValueError, match="relevance_threshold"):
        RetrievalOptions(top_k=1, candidates=1, relevance_threshold=1.5)


def test_judged_questions_are_reported() -> None:
    judged = Judged([0.9, 0.9], [0.1], [True, False], [True])
    report = judged.report()
    assert (report["auc"], report["dial"][0]["refused"]) == (1.0, 0.0)
    assert report["ece"] == pytest.approx((0.8 + 0.1) / 3)
    assert Judged().report()["ece"] is None
