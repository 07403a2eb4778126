"""Makes confidences honest: fits what turns scores into probabilities on held-out scores.

Two linear parts are added with a weight each; the weights also set the temperature. Fitted on
out-of-fold scores by the log loss, which only honest probabilities minimize.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature, expected
calibration error); fitting the weights of several parts at once is ours.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_LIMITS = (-4.0, 4.0)  # of the logarithm of a weight


def fit_fusion(
    parts: Sequence[Floats],
    columns: npt.NDArray[np.int64],
    weights: Floats | None = None,
) -> tuple[Floats, float]:
    """Returns the positive weights that minimize the log loss of the weighted sum, and that loss.

    Args:
        parts: (n, k) scores each.
        columns: The true label of each row.
        weights: How much each row counts; None for all the same.
    """
    from scipy.optimize import minimize

    shares = np.ones(len(columns)) if weights is None else np.asarray(weights, np.float64)
    shares = shares / shares.sum()
    stacked = np.stack([np.asarray(part, np.float64) for part in parts])  # (p, n, k)
    rows = np.arange(len(columns))
    true = stacked[:, rows, columns]  # (p, n)

    def loss(logs: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        factors = np.exp(logs)
        logits = np.tensordot(factors, stacked, axes=1)  # (n, k)
        top = logits.max(axis=1, keepdims=True)
        exponents = np.exp(logits - top)
        totals = exponents.sum(axis=1, keepdims=True)
        log_likelihood = logits[rows, columns] - top[:, 0] - np.log(totals[:, 0])
        expected = (stacked * (exponents / totals)).sum(axis=2)  # (p, n)
        # a weak pull towards 1 keeps weights finite where every held-out row is right
        value = -(shares * log_likelihood).sum() + 1e-3 * (logs**2).sum()
        gradient = -((true - expected) * shares).sum(axis=1) * factors + 2e-3 * logs
        return float(value), gradient

    start = np.zeros(len(parts))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[_LIMITS] * len(parts))
    return np.asarray(np.exp(found.x), np.float32), float(found.fun)


def expected_calibration_error(
    confidences: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], *, n_bins: int = 15
) -> float:
    """Returns the mean gap between confidence and accuracy over equal-width bins, in [0, 1]."""
    if len(confidences) == 0:
        return 0.0
    bins = np.clip((np.asarray(confidences) * n_bins).astype(int), 0, n_bins - 1)
    gaps = np.bincount(bins, weights=np.asarray(correct, float) - confidences, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(confidences))
