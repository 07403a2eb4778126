"""Finds labels that are probably wrong, from predictions of models that had not seen them.

Source: C. Northcutt, L. Jiang and I. Chuang, Confident Learning, 2021: a label is doubted where
another one's probability reaches what that label usually gets on its own messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.classifiers.dataset import Example
from bot.classifiers.evaluation import Probabilities


@dataclass(frozen=True, slots=True)
class Doubt:
    """An example whose label the others of its kind speak against, most doubtful first."""

    source: str
    label: str
    likelier: str
    confidence: float


def doubtful(
    examples: Sequence[Example], labels: Sequence[str], out_of_fold: Probabilities
) -> list[Doubt]:
    """Returns the doubtful examples.

    Args:
        examples: what was trained on.
        labels: the columns of `out_of_fold`.
        out_of_fold: (n_examples, n_labels), each row from a model that was fitted without it.
    """
    place = {label: at for at, label in enumerate(labels)}
    given = np.asarray([place[one.label] for one in examples])
    usual = np.asarray(
        [
            out_of_fold[given == at, at].mean() if (given == at).any() else 1.0
            for at in range(len(labels))
        ]
    )
    above = np.where(out_of_fold >= usual, out_of_fold, 0.0)
    likelier = above.argmax(axis=1)
    rows = np.flatnonzero((above.max(axis=1) > 0) & (likelier != given))
    margins = out_of_fold[rows, likelier[rows]] - out_of_fold[rows, given[rows]]
    return [
        Doubt(
            examples[row].source,
            examples[row].label,
            labels[likelier[row]],
            round(float(out_of_fold[row, likelier[row]]), 3),
        )
        for row in rows[np.argsort(-margins, kind="stable")]
    ]
