"""How good predictions are: accuracy, F1, calibration and what was known to be out of scope.

Source: C. Guo et al., On Calibration of Modern Neural Networks, 2017 (expected calibration error,
15 equal bins of the top confidence); E. B. Wilson, 1927 (interval of a share).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.classifiers.labels import OUT_OF_SCOPE, Task, in_order
from bot.types import Prediction

Probabilities = npt.NDArray[Any]

_BINS = 15
_Z95 = 1.959964
_DIGITS = 4
#: Files with two or three levels of sentiment: ours are summed into theirs.
_COARSE = {
    "very_negative": "negative",
    "negative": "negative",
    "neutral": "neutral",
    "positive": "positive",
    "very_positive": "positive",
}


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """One label's precision, recall and F1, and how many messages have it."""

    label: str
    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What `kefu nlu eval` reports; shares are in [0, 1]."""

    task: str
    n: int
    accuracy: float
    macro_f1: float  # over the labels that the file has
    ece: float
    labels: tuple[LabelFigures, ...]
    confusion: tuple[tuple[int, ...], ...]  # [true][predicted] in the order of `confusion_labels`
    confusion_labels: tuple[str, ...]
    in_scope_accuracy: float | None = None
    oos_recall: float | None = None
    oos_recall_interval: tuple[float, float] | None = None  # 95 %

    def as_json(self) -> dict[str, Any]:
        """Returns the report as `kefu nlu eval --json` prints it, labels under their names."""
        report = asdict(self)
        report["per_label"] = {one.pop("label"): one for one in report.pop("labels")}
        return report


def evaluate(task: str, predictions: Sequence[Prediction], truth: Sequence[str]) -> Figures:
    """Compares predictions with the true labels, one of each a message.

    Raises:
        ValueError: there is nothing to compare, or not one prediction a label.
    """
    if not truth or len(predictions) != len(truth):
        raise ValueError(
            f"Expected one prediction a label, got {len(predictions)} of {len(truth)}."
        )
    guessed = [one.label for one in predictions]
    confidences = np.asarray([one.confidence for one in predictions])
    hits = np.asarray([one == other for one, other in zip(guessed, truth, strict=True)])
    names = in_order(Task(task), set(truth) | set(guessed))
    figures = [_label_figures(name, guessed, truth) for name in names]
    present = [one.f1 for one in figures if one.n]
    inside = np.asarray([label != OUT_OF_SCOPE for label in truth])
    has_scope = task == Task.INTENT and not inside.all()
    return Figures(
        task=str(task),
        n=len(truth),
        accuracy=_round(hits.mean()),
        macro_f1=_round(float(np.mean(present))),
        ece=_round(expected_calibration_error(confidences, hits)),
        labels=tuple(figures),
        confusion=_confusion(names, guessed, truth),
        confusion_labels=names,
        in_scope_accuracy=_round(hits[inside].mean()) if has_scope and inside.any() else None,
        oos_recall=_round(hits[~inside].mean()) if has_scope else None,
        oos_recall_interval=wilson(int(hits[~inside].sum()), int((~inside).sum()))
        if has_scope
        else None,
    )


def expected_calibration_error(
    confidences: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_]
) -> float:
    """Returns the mean distance between confidence and share of hits over 15 equal bins."""
    bins = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    weights = np.bincount(bins, minlength=_BINS)
    claimed = np.bincount(bins, confidences, minlength=_BINS)
    right = np.bincount(bins, hits.astype(float), minlength=_BINS)
    return float(np.abs(claimed - right).sum() / max(1, weights.sum()))


def wilson(n_hits: int, n: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share."""
    if not n:
        return 0.0, 1.0
    share, z2 = n_hits / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return _round(max(0.0, middle - half)), _round(min(1.0, middle + half))


def coarse(
    labels: Sequence[str], probabilities: Probabilities, *, wanted: set[str]
) -> tuple[tuple[str, ...], Probabilities]:
    """Sums five levels of sentiment into the two or three that a file has.

    A level that the file does not have, neutral in a file of two, is left out and the rest
    takes its share.
    """
    if not wanted <= set(_COARSE.values()) or not set(labels) <= set(_COARSE):
        return tuple(labels), probabilities
    levels: tuple[str, ...] = ("negative", "neutral", "positive")
    names = [name for name in levels if name in wanted]
    sums = np.zeros((len(probabilities), len(names)), np.float32)
    for column, label in enumerate(labels):
        if _COARSE[label] in names:
            sums[:, names.index(_COARSE[label])] += probabilities[:, column]
    return tuple(names), sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-9)


def _label_figures(name: str, guessed: Sequence[str], truth: Sequence[str]) -> LabelFigures:
    both = sum(one == other == name for one, other in zip(guessed, truth, strict=True))
    n_guessed, n_true = sum(one == name for one in guessed), sum(one == name for one in truth)
    precision, recall = both / max(1, n_guessed), both / max(1, n_true)
    f1 = 2 * both / max(1, n_guessed + n_true)
    return LabelFigures(name, _round(precision), _round(recall), _round(f1), n_true)


def _confusion(
    names: Sequence[str], guessed: Sequence[str], truth: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    place = {name: at for at, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), int)
    for one, other in zip(truth, guessed, strict=True):
        counts[place[one], place[other]] += 1
    return tuple(tuple(int(count) for count in row) for row in counts)


def _round(share: float) -> float:
    return round(float(share), _DIGITS)


def predictions(labels: Sequence[str], probabilities: Probabilities) -> list[Prediction]:
    """Returns the most probable label of each row with all others behind it."""
    found = []
    for row in probabilities:
        order = np.argsort(-row, kind="stable")
        top = tuple((labels[at], float(row[at])) for at in order)
        found.append(Prediction(*top[0], top))
    return found
