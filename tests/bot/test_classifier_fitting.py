from collections.abc import Sequence

import numpy as np
import pytest

from bot.classifiers.features import Features, Featurizer
from bot.classifiers.fitting import FitOptions, fit, options_for
from bot.classifiers.head import Head
from tests.fakes import FakeEmbedder

_ASKED = {
    "refund": "money back refund return payment credit reimburse",
    "delivery": "parcel courier shipping arrive delivery late",
    "invoice": "invoice receipt tax bill document print",
    "发票": "开 发票 税号 抬头 专票 电子",
}
_FRAMES = ["please help with {} and {}", "{} {}", "where is my {} {}?", "I need {} for {} now"]


def examples(per_label: int = 12) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(7)
    texts, labels = [], []
    for label, words in _ASKED.items():
        for n in range(per_label):
            pair = random.choice(words.split(), 2, replace=False)
            texts.append(_FRAMES[n % len(_FRAMES)].format(*pair))
            labels.append(label)
    return texts, labels


@pytest.fixture(scope="module")
def featurizer() -> Featurizer:
    return Featurizer(FakeEmbedder(), FakeEmbedder(id="english"), n_buckets=1 << 10)


@pytest.fixture(scope="module")
def head(featurizer: Featurizer) -> Head:
    texts, labels = examples()
    return fit("intent", featurizer.features(texts), labels, options=options_for("intent"))


def _predicted(head: Head, features: Features) -> list[str]:
    return [prediction.label for prediction in head.predict(features)]


def test_recognizes_other_wordings(head: Head, featurizer: Featurizer) -> None:
    asked = ["refund my payment", "is the parcel late", "print the tax bill", "专票 抬头"]
    found = _predicted(head, featurizer.features(asked))
    assert found == ["refund", "delivery", "invoice", "发票"]


def test_labels_are_sorted(head: Head) -> None:
    assert head.labels == tuple(sorted([*_ASKED, "oos"]))


def test_order_of_examples_does_not_matter(featurizer: Featurizer, head: Head) -> None:
    texts, labels = examples()
    other = fit(
        "intent", featurizer.features(texts[::-1]), labels[::-1], options=options_for("intent")
    )
    asked = featurizer.features(["refund", "courier"])
    assert _predicted(other, asked) == _predicted(head, asked)


def test_strange_messages_are_outliers(head: Head, featurizer: Featurizer) -> None:
    texts, _ = examples()
    inside = head.outlier_scores(featurizer.features(texts))
    outside = head.outlier_scores(featurizer.features(["quantum zebra opera", "宇宙 飞船"]))
    assert outside.min() > np.median(inside)


@pytest.mark.parametrize("task", ["sentiment", "complaint", "severity"])
def test_two_labels_make_a_head(task: str, featurizer: Featurizer) -> None:
    texts, labels = examples()
    yes = ["yes" if label == "refund" else "no" for label in labels]
    head = fit(task, featurizer.features(texts), yes, options=options_for(task))
    found = _predicted(head, featurizer.features(["refund money", "courier late"]))
    assert (head.labels, found) == (("no", "yes"), ["yes", "no"])


def test_weightless_rows_teach_nothing(featurizer: Featurizer) -> None:
    texts, labels = examples()
    wrong = [*labels, *["refund"] * 6]
    asked = [*texts, *["parcel delivery courier"] * 6]
    weights = [1.0] * len(labels) + [1e-4] * 6
    head = fit("intent", featurizer.features(asked), wrong, options=FitOptions(), weights=weights)
    assert _predicted(head, featurizer.features(["parcel courier"])) == ["delivery"]


def test_few_examples_are_enough(featurizer: Featurizer) -> None:
    texts, labels = examples(5)
    head = fit("intent", featurizer.features(texts), labels, options=options_for("intent"))
    assert _predicted(head, featurizer.features(["refund money"])) == ["refund"]


def test_description_alone_makes_a_label(featurizer: Featurizer) -> None:
    described = featurizer.features(["warranty", "repair a broken guarantee warranty"])
    texts, labels = examples()
    head = fit(
        "intent",
        featurizer.features(texts),
        labels,
        options=FitOptions(),
        descriptions=(described, ["warranty", "warranty"]),
    )
    found = _predicted(head, featurizer.features(["repair under guarantee", "refund money"]))
    assert found == ["warranty", "refund"]


def test_descriptions_are_enough_for_a_head(featurizer: Featurizer) -> None:
    words = list(_ASKED.values())
    nothing = featurizer.features([])
    head = fit(
        "intent",
        nothing,
        [],
        options=FitOptions(),
        descriptions=(featurizer.features(words), list(_ASKED)),
    )
    assert _predicted(head, featurizer.features(["the courier", "税号"])) == ["delivery", "发票"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a", "a"], "at least two labels, found \\['a'\\]"),
        (["a", "a", "b"], "at least two examples of each label, found one of b"),
        (["a", "b"], "for each of 3 messages, found 2 labels"),
    ],
)
def test_unusable_labels_are_refused(
    labels: Sequence[str], message: str, featurizer: Featurizer
) -> None:
    with pytest.raises(ValueError, match=message):
        fit("intent", featurizer.features(["x", "y", "z"]), labels, options=FitOptions())
