"""The labelled messages that ship: well-formed, varied, enough of each, and apart from the test."""

import json
import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "bot" / "classifiers" / "examples"
SETS = ROOT / "tests" / "sets"
LANGUAGES = {"zh-Hans", "zh-Hant", "en", "mixed"}
INTENTS = {
    "order_status", "change_order", "cancel_order", "delivery", "return", "exchange", "refund",
    "payment_problem", "invoice", "account", "membership_points", "coupon", "product_question",
    "stock_price", "repair_warranty", "complaint", "feedback_praise", "privacy_request",
    "ask_for_person", "greeting", "thanks", "goodbye", "small_talk", "oos",
}  # fmt: skip
SENTIMENTS = {"very_negative", "negative", "neutral", "positive", "very_positive"}
TYPES = {
    "product_quality", "wrong_or_missing_item", "delivery", "price_or_promotion", "refund",
    "staff_attitude", "repair", "privacy_or_security", "legal_threat", "other",
}  # fmt: skip
MINIMUM = 60
NEAR = 0.6  # share of character n-grams in common that makes two messages near duplicates
FILES = ("zh", "en")


@pytest.mark.parametrize("name", FILES)
def test_every_row_is_well_formed(name: str) -> None:
    for row in _messages(name):
        assert list(row) == [
            "text", "language", "intent", "sentiment",
            "complaint", "complaint_type", "severity", "urgent",
        ]  # fmt: skip
        assert row["text"].strip() == row["text"] != ""
        assert row["language"] in LANGUAGES
        assert row["intent"] in INTENTS
        assert row["sentiment"] in SENTIMENTS
        assert isinstance(row["urgent"], bool)


@pytest.mark.parametrize("name", FILES)
def test_only_complaints_have_type_and_severity(name: str) -> None:
    for row in _messages(name):
        if row["complaint"]:
            assert row["complaint_type"] in TYPES, row
            assert row["severity"] in {1, 2, 3, 4}, row
        else:
            assert row["complaint_type"] is row["severity"] is None, row
        assert row["complaint"] or row["intent"] != "complaint", row


@pytest.mark.parametrize("name", FILES)
def test_every_label_has_enough_messages(name: str) -> None:
    rows = _messages(name)
    for field, labels in {
        "intent": INTENTS,
        "sentiment": SENTIMENTS,
        "complaint_type": TYPES,
        "severity": {1, 2, 3, 4},
        "urgent": {True, False},
        "complaint": {True, False},
    }.items():
        counts = Counter(row[field] for row in rows)
        assert {one: counts[one] for one in labels if counts[one] < MINIMUM} == {}, field


def test_every_language_has_enough_messages() -> None:
    rows = [row["language"] for name in FILES for row in _messages(name)]
    counts = Counter(rows) + Counter(row["label"] for row in _languages())
    assert {one for one, n in counts.items() if n >= 2 * MINIMUM} == {*LANGUAGES, "other"}


def test_no_two_messages_repeat() -> None:
    texts = [_plain(row["text"]) or row["text"] for name in FILES for row in _messages(name)]
    assert [text for text, n in Counter(texts).items() if n > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_no_message_nears_the_held_out(name: str) -> None:
    texts = _texts(name)
    similar = _similarity(texts, _held_out())
    assert [texts[row] for row in np.unique(np.nonzero(similar >= NEAR)[0])] == []


def test_no_language_example_is_held_out() -> None:
    held_out = {(_plain(text) or text) for text in _held_out()}
    texts = [str(row["text"]) for row in _languages()]
    assert [text for text in texts if (_plain(text) or text) in held_out] == []


@pytest.mark.parametrize("name", FILES)
def test_messages_follow_no_template(name: str) -> None:
    texts = _texts(name)
    similar = np.triu(_similarity(texts, texts), 1)
    assert [(texts[a], texts[b]) for a, b in zip(*np.nonzero(similar >= NEAR), strict=True)] == []


@pytest.mark.parametrize("name", FILES)
def test_messages_name_no_real_contact(name: str) -> None:
    contact = re.compile(
        r"(?<!\d)1[3-9]\d{9}(?!\d)|\d{17}[\dXx]|[\w.]+@(?!example\.)\w+\.\w+|https?://"
    )
    assert [text for text in _texts(name) if contact.search(text)] == []


def _texts(name: str) -> list[str]:
    return [row["text"] for row in _messages(name)]


@cache
def _messages(name: str) -> list[dict[str, object]]:
    return _rows(EXAMPLES / f"messages_{name}.jsonl")


@cache
def _languages() -> list[dict[str, object]]:
    return _rows(EXAMPLES / "languages.jsonl")


def _held_out() -> list[str]:
    return [str(row["text"]) for name in FILES for row in _rows(SETS / f"nlu_{name}.jsonl")]


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if char.isalnum())


def _grams(text: str) -> set[str]:
    """Pairs of characters for Chinese, triples for other scripts."""
    plain = _plain(text)
    n = 2 if any("\u3040" <= char <= "\u9fff" for char in plain) else 3
    return {plain[at : at + n] for at in range(max(1, len(plain) - n + 1))}


def _similarity(left: list[str], right: list[str]) -> np.ndarray:
    """Jaccard similarity of the character n-grams, (n_left, n_right)."""
    number: dict[str, int] = {}
    sides = [_incidence([_grams(text) for text in side], number) for side in (left, right)]
    for side in sides:
        side.resize((side.shape[0], len(number)))
    shared = (sides[0] @ sides[1].T).toarray()
    sizes = [np.asarray(side.sum(axis=1)).ravel() for side in sides]
    return shared / (sizes[0][:, None] + sizes[1][None] - shared)


def _incidence(grams: list[set[str]], number: dict[str, int]) -> scipy.sparse.csr_matrix:
    columns = [number.setdefault(one, len(number)) for row in grams for one in row]
    starts = np.cumsum([0, *map(len, grams)])
    return scipy.sparse.csr_matrix(
        (np.ones(len(columns), np.float32), columns, starts), shape=(len(grams), len(number))
    )
