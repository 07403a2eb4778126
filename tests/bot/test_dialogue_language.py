"""Language of messages by script and words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.language import detect_language, reply_language, to_simplified

LABELS = {"zh-Hans", "zh-Hant", "en", "mixed", "other"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("怎么退货？", "zh-Hans"),
        ("請問這個怎麼退貨", "zh-Hant"),
        ("How do I return it?", "en"),
        ("refund", "en"),
        ("HG-K1702 保修多久", "zh-Hans"),
        ("支持 PayPal 吗", "zh-Hans"),
        ("打不开app怎么办", "zh-Hans"),
        ("我的order什么时候ship", "mixed"),
        ("please 帮我 check 一下", "mixed"),
        ("Does the 电热水壶 come with a UK plug?", "mixed"),
        ("How much is delivery to Zürich?", "en"),
        ("Wie kann ich das zurückgeben?", "other"),
        ("Bonjour, comment retourner un article ?", "other"),
        ("¿Cómo puedo devolverlo?", "other"),
        ("これはいくらですか", "other"),
        ("반품하고 싶어요", "other"),
        ("Как вернуть товар", "other"),
    ],
)
def test_language_of_messages(text: str, label: str) -> None:
    assert detect_language(text, "zh") == label


@pytest.mark.parametrize(("default", "label"), [("zh", "zh-Hans"), ("en", "en")])
def test_language_without_letters_is_the_default(default: str, label: str) -> None:
    assert detect_language("123 😀 ?!", default) == label


@given(st.text(max_size=100), st.sampled_from(["zh", "en"]))
def test_language_is_total(text: str, default: str) -> None:
    label = detect_language(text, default)
    assert label in LABELS
    assert reply_language(label, text, default) in {"zh", "en"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我的order什么时候ship", "zh"),
        ("Does the 电热水壶 come with a UK plug?", "en"),
    ],
)
def test_mixed_is_answered_in_the_language_of_its_grammar(text: str, expected: str) -> None:
    assert reply_language("mixed", text, "en") == expected


def test_to_simplified_keeps_length() -> None:
    assert to_simplified("請轉人工客服，謝謝 abc") == "请转人工客服，谢谢 abc"
