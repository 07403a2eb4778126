"""Figures of a head: calibration, F1, scope, and levels of sentiment summed into fewer."""

import numpy as np
import pytest

from bot.classifiers.evaluation import (
    coarse,
    evaluate,
    expected_calibration_error,
    predictions,
    wilson,
)
from bot.classifiers.labels import LABELS, Task
from bot.types import Prediction


def test_honest_confidence_has_no_error() -> None:
    hits = np.asarray([True] * 8 + [False] * 2)
    assert expected_calibration_error(np.full(10, 0.8), hits) == pytest.approx(0.0)
    assert expected_calibration_error(np.full(10, 1.0), hits) == pytest.approx(0.2)


def test_figures_of_a_hand_counted_case() -> None:
    told = [Prediction(label, 0.9) for label in ("refund", "refund", "oos", "oos", "refund")]
    figures = evaluate("intent", told, ["refund", "invoice", "oos", "oos", "oos"])
    by_label = {one.label: one for one in figures.labels}
    assert figures.accuracy == 0.6
    assert (by_label["refund"].precision, by_label["refund"].recall) == (0.3333, 1.0)
    assert figures.in_scope_accuracy == 0.5
    assert figures.oos_recall == 0.6667
    assert figures.macro_f1 == pytest.approx((0.5 + 0.0 + 0.8) / 3, abs=1e-4)


def test_five_levels_become_two() -> None:
    shares = np.asarray([[0.3, 0.1, 0.5, 0.05, 0.05]], np.float32)
    names, summed = coarse(LABELS[Task.SENTIMENT], shares, wanted={"negative", "positive"})
    assert names == ("negative", "positive")
    assert summed[0] == pytest.approx([0.8, 0.2])


def test_five_levels_stay_where_file_has_them() -> None:
    shares = np.full((1, 5), 0.2, np.float32)
    wanted = {"very_negative", "positive"}
    assert coarse(LABELS[Task.SENTIMENT], shares, wanted=wanted)[0] == LABELS[Task.SENTIMENT]


def test_interval_of_a_share_holds_it() -> None:
    low, high = wilson(75, 100)
    assert low < 0.75 < high
    assert wilson(0, 0) == (0.0, 1.0)


def test_predictions_are_in_order_of_probability() -> None:
    found = predictions(("a", "b"), np.asarray([[0.25, 0.75]], np.float32))
    assert found == [Prediction("b", 0.75, (("b", 0.75), ("a", 0.25)))]
