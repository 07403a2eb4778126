"""What mistakes cost, in handoffs, and from which probability on it is right to answer.

Let p be the probability that the passages found answer the question, and let a wrong answer cost
N handoffs. A question that they do not answer needs a person either way, so that handoff counts
on neither side:

    answering costs N with probability 1 - p (a wrong answer):        (1 - p) N
    refusing costs 1 with probability p (a handoff nobody needed):     p

Answer where that is cheaper: (1 - p) N < p, which is p > N / (1 + N). With N = 1 both mistakes
weigh the same and the threshold is 0.5; with N = 4 it is 0.8. It holds only as far as p is a
probability, so `kefu kb eval` shows both shares for several N beside the calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: The values of N that an evaluation shows.
SHOWN = (0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 4.0)
_N_BINS = 10


def threshold_for(handoffs_per_wrong_answer: float) -> float:
    """Returns the probability from which on to answer, in [0, 1).

    Raises:
        ValueError: the cost is negative.
    """
    if not handoffs_per_wrong_answer >= 0:
        raise ValueError(
            f"Expected handoffs per wrong answer of 0 or more, got {handoffs_per_wrong_answer!r}."
        )
    return handoffs_per_wrong_answer / (1.0 + handoffs_per_wrong_answer)


def more_likely(probability: float, times: float) -> float:
    """Returns the probability whose odds are so many times those of `probability`."""
    return probability * times / (1.0 - probability + probability * times)


@dataclass(frozen=True, slots=True)
class DialRow:
    """What one position of the dial does on labelled questions.

    Args:
        handoffs: N, what a wrong answer costs.
        threshold: That follows from it.
        refused: Share of the answerable questions that are refused; None without any.
        wrongly_answered: Share of the unanswerable ones that are answered; None without any.
    """

    handoffs: float
    threshold: float
    refused: float | None
    wrongly_answered: float | None


def dial_table(
    answerable: Sequence[float], unanswerable: Sequence[float], *, shown: Sequence[float] = SHOWN
) -> list[DialRow]:
    """Returns a row for each N, given the relevance of both kinds of questions."""
    rows = []
    for handoffs in shown:
        threshold = threshold_for(handoffs)
        refused = _share([value < threshold for value in answerable])
        wrong = _share([value >= threshold for value in unanswerable])
        rows.append(DialRow(handoffs, threshold, refused, wrong))
    return rows


def auc(answerable: Sequence[float], unanswerable: Sequence[float]) -> float | None:
    """Returns how often an answerable question scores above an unanswerable one; ties are half."""
    if not answerable or not unanswerable:
        return None
    high, low = np.asarray(answerable)[:, None], np.asarray(unanswerable)[None, :]
    return float((high > low).mean() + 0.5 * (high == low).mean())  # (n, m) compared


def calibration_error(values: Sequence[float], outcomes: Sequence[bool]) -> float | None:
    """Returns the expected calibration error over ten equally wide bins.

    Args:
        values: Probabilities in [0, 1].
        outcomes: Whether the passages found did answer each question.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", AAAI 2015.
    """
    if not values:
        return None
    given, happened = np.asarray(values), np.asarray(outcomes, dtype=np.float64)
    bins = np.minimum((given * _N_BINS).astype(int), _N_BINS - 1)  # (n,)
    gaps = [abs(given[bins == one].sum() - happened[bins == one].sum()) for one in range(_N_BINS)]
    return float(sum(gaps) / len(given))


def brier(values: Sequence[float], outcomes: Sequence[bool]) -> float | None:
    """Returns the mean squared distance of probabilities from what happened; 0 is best."""
    if not values:
        return None
    return float(np.mean((np.asarray(values) - np.asarray(outcomes, dtype=np.float64)) ** 2))


def _share(marks: Sequence[bool]) -> float | None:
    return sum(marks) / len(marks) if marks else None
