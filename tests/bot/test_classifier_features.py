import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.classifiers.features import Featurizer, normalize
from bot.classifiers.fitting import fit, options_for
from bot.classifiers.head import Head
from bot.classifiers.ngrams import spans
from bot.classifiers.surface import substance
from tests.bot.test_classifier_fitting import examples
from tests.fakes import FakeEmbedder

_ODD = ["", "   ", "😡😡", "啊" * 300, "a" * 20_000, "0123456789", "<b></b>", "\0\ud800", "?!?!"]


@pytest.fixture(scope="module")
def featurizer() -> Featurizer:
    return Featurizer(FakeEmbedder(), FakeEmbedder(id="english"), n_buckets=1 << 10)


@pytest.fixture(scope="module")
def head(featurizer: Featurizer) -> Head:
    texts, labels = examples()
    return fit("intent", featurizer.features(texts), labels, options=options_for("intent"))


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(max_size=40), max_size=6))
def test_batch_equals_one_by_one(texts: list[str], head: Head, featurizer: Featurizer) -> None:
    together = head.probabilities(featurizer.features(texts))
    for row, text in zip(together, texts, strict=True):
        alone = head.probabilities(featurizer.features([text]))[0]
        np.testing.assert_allclose(row, alone, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_probabilities_sum_to_one(texts: list[str], head: Head, featurizer: Featurizer) -> None:
    found = head.probabilities(featurizer.features(texts))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", _ODD)
def test_odd_text_gets_little_confidence(text: str, head: Head, featurizer: Featurizer) -> None:
    prediction = head.predict(featurizer.features([text]))[0]
    assert prediction.label == "oos"
    assert prediction.confidence < 0.6


def test_right_to_left_text_is_read(head: Head, featurizer: Featurizer) -> None:
    assert head.predict(featurizer.features(["أين طلبي من فضلك"]))[0].label in head.labels


def test_english_block_is_empty_for_chinese(featurizer: Featurizer) -> None:
    found = featurizer.features(["我要退款", "refund please"]).block("english")
    assert list(found.any(axis=1)) == [False, True]


def test_unknown_block_is_named(featurizer: Featurizer) -> None:
    with pytest.raises(ValueError, match="'multilingual', 'english', 'surface'"):
        featurizer.features(["x"]).block("french")


def test_rows_are_taken_in_order(featurizer: Featurizer) -> None:
    found = featurizer.features(["one", "two", "three"])
    picked = found[np.asarray([2, 0])]
    np.testing.assert_array_equal(picked.dense, found.dense[[2, 0]])
    assert (picked.sparse != found.sparse[[2, 0]]).nnz == 0


def test_id_names_what_features_depend_on(featurizer: Featurizer) -> None:
    assert featurizer.id == "fake-64+english+ngrams1024+v1"
    assert Featurizer(FakeEmbedder(), None).id.startswith("fake-64+none+ngrams16384")


@given(st.text(max_size=50))
def test_ngrams_lie_inside_the_text(text: str) -> None:
    text = text.lower()
    for start, end, gram in spans(text):
        assert 0 <= start < end <= len(text)
        assert gram


def test_words_and_characters_are_cut() -> None:
    grams = {gram for _, _, gram in spans("退款 fee 42")}
    assert {"退", "退款", "=fee", " fe", "ee ", "fee #2", "=#2"} <= grams


def test_tags_and_spaces_are_dropped() -> None:
    assert normalize("<p class='x'>My\n  order</p>", max_chars=6) == "My ord"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("", 0, 0), ("谢谢", 1, 1), ("hi", 1, 1), ("a", 0.5, 0.5), ("啊" * 99, 0, 0.2), ("#42", 0, 0)],
)
def test_substance_counts_what_differs(text: str, least: float, most: float) -> None:
    assert least <= substance(text) <= most
