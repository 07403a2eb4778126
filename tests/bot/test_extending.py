"""A head with a label more says the same of all that the new label does not claim."""

import numpy as np
import pytest

from bot.classifiers.extending import extend
from bot.classifiers.features import Features, Featurizer
from bot.classifiers.fitting import FitOptions, fit
from bot.classifiers.head import Head
from tests.fakes import FakeEmbedder

ENDS = ("now", "today", "please", "kettle", "soon", "again")
KNOWN = {
    "delivery": ("where is my parcel", "when does the parcel come"),
    "refund": ("give me my money back", "pay the money back"),
    "oos": ("what is the capital of", "who won the match against"),
}
ADDED = [f"gift wrap the {end} as a present" for end in ENDS]
OPTIONS = FitOptions(strengths=(10.0,), folds=3, scope=True)
FEATURIZER = Featurizer(FakeEmbedder(), None, n_buckets=1 << 10)


def rows(start: str) -> list[str]:
    return [f"{start} {end}" for end in ENDS]


@pytest.fixture(scope="module")
def heads() -> tuple[Head, Head, Features]:
    """A head without the new label, one with it, and what was known before."""
    pairs = [(t, label) for label, starts in KNOWN.items() for s in starts for t in rows(s)]
    texts, labels = [text for text, _ in pairs], [label for _, label in pairs]
    known, added = FEATURIZER.features(texts), FEATURIZER.features(ADDED)
    base = fit("intent", known, labels, options=OPTIONS)
    both = FEATURIZER.features([*texts, *ADDED])
    full = fit("intent", both, [*labels, *["gift"] * len(ADDED)], options=OPTIONS)
    return base, extend(base, full, added, ["gift"] * len(ADDED)), known


def test_new_label_is_recognised(heads: tuple[Head, Head, Features]) -> None:
    _, extended, _ = heads
    assert extended.labels == ("delivery", "gift", "oos", "refund")
    said = extended.predict(FEATURIZER.features(["gift wrap it as a present", *ADDED]))
    assert {prediction.label for prediction in said} == {"gift"}


def test_old_labels_keep_their_logits(heads: tuple[Head, Head, Features]) -> None:
    base, extended, known = heads
    places = [extended.known_labels.index(label) for label in base.known_labels]
    before = base.logits(known)[:, : len(base.known_labels)]
    assert np.allclose(extended.logits(known)[:, places], before, atol=1e-2)
    assert [p.label for p in extended.predict(known)] == [p.label for p in base.predict(known)]


def test_probabilities_still_sum_to_one(heads: tuple[Head, Head, Features]) -> None:
    _, extended, known = heads
    assert np.allclose(extended.probabilities(known).sum(axis=1), 1.0, atol=1e-5)
    odd = FEATURIZER.features(["", "??", "7"])
    assert np.allclose(extended.probabilities(odd).sum(axis=1), 1.0, atol=1e-5)
