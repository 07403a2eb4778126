"""How far a mean over questions could lie from the true one, by drawing the questions again."""

from collections.abc import Sequence

import numpy as np

_DRAWS = 2000
_SEED = 0  # the same questions always give the same interval


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of `values`, which must not be empty.

    For a paired comparison pass the differences, question by question.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979; the percentile form.
    """
    if not values:
        raise ValueError("Expected at least one value.")
    rows = np.asarray(values, dtype=np.float64)  # (n,)
    draws = np.random.default_rng(_SEED).integers(0, len(rows), size=(_DRAWS, len(rows)))
    low, high = np.quantile(rows[draws].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)
