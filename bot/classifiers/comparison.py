"""Compares an old and a new head on the same messages that neither has learned from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bot.classifiers.registry import Comparison

#: F1 that a label may lose in a renewal.
MAX_FALL = 0.01
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Judged:
    """A message: its label and what two heads say that have not seen it."""

    label: str
    old: str
    new: str


def compare(
    judged: Sequence[Judged], *, old_labels: Collection[str], against: str | None
) -> Comparison:
    """Returns how the new head does beside the old one.

    Labels that the old head knows are compared on messages of such labels only, so that a new
    intent's messages, which the old head cannot get right, count against neither.

    Args:
        judged: what both heads say of the messages.
        old_labels: the labels that the old head knows.
        against: the old head's name.
    """
    known = frozenset(old_labels)
    common = [one for one in judged if one.label in known]
    truth = [one.label for one in common]
    before = f1_by_label(truth, [one.old for one in common])
    after = f1_by_label(truth, [one.new for one in common])
    news = f1_by_label([one.label for one in judged], [one.new for one in judged])
    labels: dict[str, tuple[float | None, float]] = {
        label: (before[label], after[label]) for label in before
    }
    labels |= {label: (None, f1) for label, f1 in news.items() if label not in known}
    fallen = [x for x in before if before[x] - after[x] > MAX_FALL + _ROUNDING]
    return Comparison(
        against=against,
        n=len(judged),
        before=_mean(before),
        after=_mean(after or news),
        labels=dict(sorted(labels.items())),
        fallen=tuple(sorted(fallen)),
    )


def f1_by_label(truth: Sequence[str], predicted: Sequence[str]) -> Mapping[str, float]:
    """Returns each true label's F1 in [0, 1]."""
    scores = {}
    for label in sorted(set(truth)):
        hits = sum(t == p == label for t, p in zip(truth, predicted, strict=True))
        n = sum(t == label for t in truth) + sum(p == label for p in predicted)
        scores[label] = 2 * hits / n
    return scores


def _mean(scores: Mapping[str, float]) -> float:
    return sum(scores.values()) / len(scores) if scores else 0.0
