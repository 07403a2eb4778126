"""Training sentiment from two, three and five levels, and again from what shipped."""

from collections.abc import Sequence

import numpy as np
import pytest

from bot.classifiers.features import Features, assemble
from bot.classifiers.sentiment_fitting import (
    LEVELS,
    SentimentOptions,
    Targets,
    fit_base,
    fit_sentiment,
    sentiment_options,
)

OPTIONS = SentimentOptions(scales={"multilingual": 2.0, "surface": 0.1, "ngrams": 4.0}, folds=2)
REVIEWS = [("great value", "positive"), ("bad quality", "negative")] * 8
TWEETS = [("love it", "positive"), ("when open", "neutral"), ("hate it", "negative")] * 8
OWN = [
    ("utterly awful", "very_negative"),
    ("awful", "negative"),
    ("where is it", "neutral"),
    ("nice", "positive"),
    ("utterly nice", "very_positive"),
] * 6


def _features(texts: Sequence[str]) -> Features:
    return assemble(texts, [("multilingual", np.zeros((len(texts), 2), np.float32))], n_buckets=512)


def _split(examples: Sequence[tuple[str, str]]) -> tuple[Features, list[str]]:
    return _features([text for text, _ in examples]), [label for _, label in examples]


def _sides(row: np.ndarray) -> tuple[float, float]:
    return float(row[:2].sum()), float(row[3:].sum())


def test_side_covers_two_levels() -> None:
    targets = Targets.read(["negative", "neutral", "positive"], ["tweets"] * 3)
    assert targets.allowed.astype(int).tolist() == [
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1],
    ]
    assert targets.possible.all()


def test_reviews_never_choose_neutral() -> None:
    targets = Targets.read(["negative", "positive"], ["reviews"] * 2)
    assert targets.possible.astype(int).tolist() == [[1, 1, 0, 1, 1]] * 2


def test_five_levels_are_taken_literally() -> None:
    targets = Targets.read(["negative", "very_positive"], ["own"] * 2)
    assert targets.allowed[0].astype(int).tolist() == [0, 1, 0, 0, 0]


def test_five_levels_are_learned() -> None:
    features, labels = _split(OWN)
    head = fit_sentiment(features, labels, sources=["own"] * len(labels), options=OPTIONS)
    predicted = [prediction.label for prediction in head.predict(features)]
    assert head.labels == LEVELS
    assert np.mean([a == b for a, b in zip(predicted, labels, strict=True)]) > 0.9


def test_retraining_keeps_what_the_base_taught() -> None:
    features, labels = _split([*REVIEWS, *TWEETS])
    sources = ["reviews"] * len(REVIEWS) + ["tweets"] * len(TWEETS)
    base = fit_base(features, labels, sources=sources, options=OPTIONS)
    own, own_labels = _split(OWN)
    names = ["own"] * len(OWN)
    head = fit_sentiment(own, own_labels, sources=names, base=base, options=OPTIONS)
    good, bad = head.probabilities(_features(["great value", "bad quality"]))
    assert _sides(good)[1] > _sides(good)[0]
    assert _sides(bad)[0] > _sides(bad)[1]


def test_probabilities_sum_to_one() -> None:
    features, labels = _split(OWN)
    head = fit_sentiment(features, labels, sources=["own"] * len(labels), options=OPTIONS)
    rows = head.probabilities(_features(["", "nice", "x" * 500]))
    assert np.allclose(rows.sum(axis=1), 1.0, atol=1e-5)


def test_label_that_is_no_level_is_named() -> None:
    with pytest.raises(ValueError, match="furious"):
        Targets.read(["furious"], ["own"])


def test_set_with_one_label_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two labels in own"):
        Targets.read(["neutral"] * 3, ["own"] * 3)


def test_company_file_may_outweigh_the_base() -> None:
    own, company = (
        sentiment_options(has_company_file=False),
        sentiment_options(has_company_file=True),
    )
    assert company.trust[0] < own.trust[0]


def test_weight_of_a_row_counts() -> None:
    features, _ = _split([("odd", "positive"), ("odd", "negative")] * 6)
    labels, sources = ["positive", "negative"] * 6, ["company"] * 12
    head = fit_sentiment(features, labels, sources=sources, options=OPTIONS, weights=[5.0, 1.0] * 6)
    bad, good = _sides(head.probabilities(features)[0])
    assert good > bad
