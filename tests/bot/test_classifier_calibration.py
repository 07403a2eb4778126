import numpy as np
import pytest

from bot.classifiers.calibration import expected_calibration_error, fit_fusion


def _scores(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(4000, 3)).astype(np.float32) * 2
    odds = np.exp(logits)
    draws = random.random((4000, 1)) * odds.sum(axis=1, keepdims=True)
    return logits, (odds.cumsum(axis=1) < draws).sum(axis=1)


def test_temperature_is_found_again() -> None:
    logits, labels = _scores()
    weights, _ = fit_fusion([logits * 5], labels)
    assert weights[0] == pytest.approx(0.2, abs=0.02)


def test_noise_gets_little_weight() -> None:
    logits, labels = _scores()
    noise = np.random.default_rng(9).normal(size=logits.shape).astype(np.float32)
    weights, _ = fit_fusion([logits, noise], labels)
    assert weights[0] > 8 * weights[1]


def test_weights_stay_finite_where_all_is_right() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2] * 5]
    weights, loss = fit_fusion([logits], np.asarray([0, 1, 2] * 5))
    assert np.isfinite(weights).all()
    assert loss < 0.2


def test_calibration_error_is_the_gap() -> None:
    confidences = np.full(100, 0.9)
    correct = np.arange(100) < 60
    assert expected_calibration_error(confidences, correct) == pytest.approx(0.3)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0
