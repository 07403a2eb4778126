"""What sentences claim: words and figures."""

import pytest

from knowledge.claims import Figure, figures, is_chinese, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("运费 10 元", {("10", "cny")}),
        ("¥1,299.00", {("1299", "cny")}),
        ("€6.90 or £5.90", {("6.9", "eur"), ("5.9", "gbp")}),
        ("7 天内，两年保修", {("7", "day"), ("2", "year")}),
        ("十五天", {("15", "day")}),
        ("within 5 working days", {("5", "workday")}),
        ("5 个工作日", {("5", "workday")}),
        ("a two-year guarantee", {("2", "year")}),
        ("before 4 p.m.", {("16:00", "time")}),
        ("16:00 前付款", {("16:00", "time")}),
        ("HG-K1702 has 1.7 L and 2200 W", {("hg-k1702", "code"), ("1.7", "l"), ("2200", "w")}),
        ("最多退 10%", {("10", "percent")}),
        ("no figures here", set()),
    ],
)
def test_figures_with_units(text: str, expected: set[tuple[str, str]]) -> None:
    assert {(figure.value, figure.unit) for figure in figures(text)} == expected


def test_figures_agree_by_value_and_unit() -> None:
    assert Figure("7", "day").agrees(Figure("7"))
    assert Figure("7", "day").agrees(Figure("7", "day"))
    assert not Figure("7", "day").agrees(Figure("7", "hour"))
    assert not Figure("7", "day").agrees(Figure("8", "day"))


def test_words_are_stems_and_bigrams() -> None:
    assert words("The returned kettles") == words("return kettle")
    assert words("退货运费") == {"退货", "货运", "运费"}
    assert not words("the of 的 了")


@pytest.mark.parametrize(
    ("text", "expected"), [("退货 label", True), ("return the 水壶", False), ("123", False)]
)
def test_is_chinese(text: str, expected: bool) -> None:
    assert is_chinese(text) is expected
