"""Points out where a company's intents say the same as others: before training, with examples.

Two signs: the same or nearly the same example in two intents, and intents whose examples lie in
the same place on the whole. Nearest neighbours alone do not tell: among thousands of messages there
is always a near one of another intent.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bot.classifiers.intents import Example, same_text
from knowledge.embedding import Vectors

#: Cosine from which two examples count as nearly the same. Of our own 4,000 training messages
#: 0 (English) and 6 (Chinese) in 1,000 have one this near in another default intent.
NEAR_EXAMPLES = 0.7
#: Cosine of two intents' mean vectors, less that of all default examples, from which they overlap.
#: Six of 276 pairs of default intents reach it, such as greeting and goodbye; intents made of
#: everyday ways to ask for a refund or a parcel have 0.65 and 0.56 to the default ones, three
#: that are not among the default ones at most 0.39.
OVERLAP = 0.5
_SHOWN_PAIRS = 3

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class ClashingPair:
    """An example of the company's and one of another intent; `similarity` is 1 for the same."""

    text: str
    other_text: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Clash:
    """Two intents that say the same, with the nearest examples, nearest first.

    Attributes:
        label: the company's intent.
        other: another one, of the company's or a default one.
        kind: `same` texts, `near` ones, or `overlap` on the whole.
        similarity: of the nearest pair, or of the intents for `overlap`.
        n_examples: the company's examples that are the same or near; 0 for `overlap`.
        pairs: the nearest pairs.
    """

    label: str
    other: str
    kind: str
    similarity: float
    n_examples: int
    pairs: tuple[ClashingPair, ...]


def repeated_examples(own: Sequence[Example], default: Sequence[Example]) -> Sequence[Clash]:
    """Returns examples that stand in two intents, but for form; needs no embedder."""
    by_text: dict[str, list[Example]] = defaultdict(list)
    for example in [*default, *own]:
        by_text[same_text(example.text)].append(example)
    pairs: dict[tuple[str, str], list[ClashingPair]] = defaultdict(list)
    for example in own:
        for other in by_text[same_text(example.text)]:
            if other.label != example.label:
                pair = ClashingPair(example.text, other.text, 1.0)
                pairs[example.label, other.label].append(pair)
    return [_clash(key, "same", found) for key, found in _once(pairs).items()]


def similar_intents(
    own: Sequence[Example], default: Sequence[Example], embed: Embed
) -> Sequence[Clash]:
    """Returns intents with nearly the same examples and those that overlap on the whole."""
    others = [*default, *own]
    if not own:
        return []
    vectors = embed([example.text for example in others])  # (n, dim)
    n_default = len(default)
    near, nearest = _near(own, others, vectors[n_default:] @ vectors.T)
    clashes = [_clash(key, "near", found) for key, found in _once(near).items()]
    middle = vectors[: len(default) or None].mean(axis=0)
    means = _means(others, vectors - middle)
    for a, b, cosine in _overlapping({e.label for e in own}, means):
        shown = tuple(sorted(nearest[a, b], key=lambda pair: -pair.similarity)[:_SHOWN_PAIRS])
        clashes.append(Clash(a, b, "overlap", cosine, 0, shown))
    return sorted(clashes, key=lambda clash: (clash.label, clash.other, clash.kind))


_Pairs = dict[tuple[str, str], list[ClashingPair]]


def _near(
    own: Sequence[Example], others: Sequence[Example], cosines: Vectors
) -> tuple[_Pairs, _Pairs]:
    """Returns the pairs that are nearly the same, and each example's nearest of each label."""
    columns: dict[str, list[int]] = defaultdict(list)
    for column, other in enumerate(others):
        columns[other.label].append(column)
    near: _Pairs = defaultdict(list)
    nearest: _Pairs = defaultdict(list)
    for row, example in enumerate(own):
        for label, where in columns.items():
            if label == example.label:
                continue
            best = where[int(np.argmax(cosines[row, where]))]
            pair = ClashingPair(example.text, others[best].text, float(cosines[row, best]))
            nearest[example.label, label].append(pair)
            is_same = same_text(pair.text) == same_text(pair.other_text)
            if pair.similarity >= NEAR_EXAMPLES and not is_same:
                near[example.label, label].append(pair)
    return near, nearest


def _means(examples: Sequence[Example], vectors: Vectors) -> dict[str, Vectors]:
    """Returns the direction of each label's mean."""
    labels = np.array([example.label for example in examples])
    means = {str(label): vectors[labels == label].mean(axis=0) for label in np.unique(labels)}
    return {label: v / max(float(np.linalg.norm(v)), 1e-9) for label, v in means.items()}


def _overlapping(own: set[str], means: dict[str, Vectors]) -> Sequence[tuple[str, str, float]]:
    found = []
    for label in sorted(own):
        for other in sorted(means):
            is_told = other in own and other < label  # the pair was told from the other side
            cosine = float(means[label] @ means[other])
            if other != label and not is_told and cosine >= OVERLAP:
                found.append((label, other, cosine))
    return found


def _once(pairs: _Pairs) -> _Pairs:
    """Leaves out what two of the company's intents say of each other a second time."""
    return {key: found for key, found in pairs.items() if key[::-1] not in pairs or key < key[::-1]}


def _clash(key: tuple[str, str], kind: str, found: Sequence[ClashingPair]) -> Clash:
    ordered = sorted(found, key=lambda pair: -pair.similarity)
    shown = tuple(ordered[:_SHOWN_PAIRS])
    return Clash(*key, kind, ordered[0].similarity, len(ordered), shown)
