"""Normal form, limits and sentence boundaries of messages."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import MessageRejected
from bot.text import clean_message, normalize, sentence_spans

ANY_TEXT = st.text(alphabet=st.characters(codec="utf-16", exclude_categories=()), max_size=200)


@given(ANY_TEXT)
def test_normalize_is_idempotent(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once


@given(ANY_TEXT)
def test_normalize_leaves_no_control_characters(text: str) -> None:
    cleaned = normalize(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not [c for c in cleaned if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    cleaned.encode("utf-8")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("  hello\u00a0\u3000 world ", "hello world"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("\u202eevil\u200b\x00\x1b[31m", "evil[31m"),
        ("e\u0301", "é"),
        ("keep\ttabs", "keep\ttabs"),
        ("👩\u200d🔧", "👩\u200d🔧"),
    ],
)
def test_normalize_examples(written: str, expected: str) -> None:
    assert normalize(written) == expected


@pytest.mark.parametrize("text", ["", "   \n\t", "\x00\x01\x02", "\u200b\u202e"])
def test_clean_message_rejects_empty(text: str) -> None:
    with pytest.raises(MessageRejected, match="empty"):
        clean_message(text, max_chars=10)


def test_clean_message_rejects_too_long() -> None:
    assert clean_message("问" * 10, max_chars=10) == "问" * 10
    with pytest.raises(MessageRejected, match="at most 10"):
        clean_message("问" * 11, max_chars=10)


@given(ANY_TEXT)
def test_sentence_spans_rise_and_say_something(text: str) -> None:
    last = 0
    for start, end in sentence_spans(text):
        assert last <= start < end <= len(text)
        assert any(char.isalnum() for char in text[start:end])
        last = end


@given(st.text(alphabet="ab1. ？。\n-|", max_size=80))
def test_sentence_spans_lose_no_word(text: str) -> None:
    spans = sentence_spans(text)
    kept = "".join(text[start:end] for start, end in spans)
    letters = [char for char in text if char in "ab"]
    assert [char for char in kept if char in "ab"] == letters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 3.5 L. Really?! Yes.", ["It is 3.5 L. Really?!", "Yes."]),
        ("e.g. tea. Then stop.", ["e.g. tea.", "Then stop."]),
        ("问题: 退吗？; 回答: 退；要快。", ["问题: 退吗？", "回答: 退；要快。"]),
        ("好的。不行！“可以。”然后", ["好的。", "不行！", "“可以。”", "然后"]),
        ("1. Open the app.\n2. Press *Return*.", ["Open the app.", "Press *Return*."]),
        ("- **30 days** from delivery", ["**30 days** from delivery"]),
        ("| EU | €6.90 |\n|---|---|\n| UK | £5.90 |", ["EU | €6.90", "UK | £5.90"]),
    ],
)
def test_sentence_spans_examples(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == expected
