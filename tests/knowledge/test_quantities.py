"""Figures are equal when they say the same in other words, units or languages."""

import pytest

from knowledge.quantities import quantities
from knowledge.quantity import Quantity


def only(text: str) -> Quantity:
    (found,) = quantities(text)
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("七天", "7 天"),
        ("3 days", "72 hours"),
        ("九折", "10% off"),
        ("8.5折", "15 percent"),
        ("半年", "6 months"),
        ("12 个月", "一年"),
        ("两百五十元", "¥250"),
        ("1.5万元", "15,000 yuan"),
        ("晚上十点半", "22:30"),
        ("6.30 am", "06:30"),
        ("5 月 24 日", "24 May 2026"),
        ("5 个工作日", "7 days"),
        ("3 至 5 天", "4 days"),
        ("1.2 米", "120 cm"),
        ("a fortnight", "14 days"),
        ("一刻钟", "a quarter of an hour"),
        ("一个半小时", "90 minutes"),
        ("an hour and a half", "90 minutes"),
        ("thirty-six months", "3 years"),
        ("6 分 30 秒", "6.5 minutes"),
        ("half past five", "17:30"),
        ("six in the evening", "18:00"),
        ("nine o'clock", "09:00"),
        ("每月 8 号", "the 8th of the month"),
        ("三成", "30%"),
        ("只收七成", "打七折"),
        ("万分之五", "0.05%"),
        ("每年 2 次", "every six months"),
        ("twice a week", "每周两次"),
        ("存满三千", "3,000 元"),
        ("half the price", "五折"),
        ("seats ten", "十个座"),
        ("两三个月", "2 to 3 months"),
        ("半天", "4 hours"),
        ("每月除垢一次", "once a month"),
        ("3 to 6 April", "4月3日至6日"),
    ],
)
def test_equal_figures_agree(one: str, other: str) -> None:
    assert only(one).agrees(only(other))
    assert only(other).agrees(only(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("七天", "15 天"),
        ("九折", "20% off"),
        ("£5", "€5"),
        ("09:00-21:00", "09:00-22:00"),
        ("24 May 2026", "17 May 2026"),
        ("10 个工作日", "5 个工作日"),
        ("5 天", "5 次"),
        ("twelve digits", "twelve people"),
        ("every 2 weeks", "2 weeks"),
        ("half past five", "18:00"),
    ],
)
def test_different_figures_do_not_agree(one: str, other: str) -> None:
    assert not only(one).agrees(only(other))


@pytest.mark.parametrize(
    "text",
    [
        "HG-K1702",
        "0571-8800 1001",
        "2025 年",
        "第一次",
        "第 3 次",
        "周一至周五",
        "一位顾客",
        "a card",
    ],
)
def test_names_are_not_quantities(text: str) -> None:
    assert quantities(text) == []


def test_offsets_are_of_the_given_text() -> None:
    text = "签收后７天内，运费 12 元"
    assert [text[q.start : q.end] for q in quantities(text)] == ["７天", "12 元"]


def test_price_per_hour_is_one_figure() -> None:
    (price,) = quantities("The hall costs £95 an hour.")
    assert (price.dimension, price.low) == ("gbp", 95.0)


def test_opening_hours_are_one_range() -> None:
    found = only("from nine to half past five on weekdays")
    assert (found.low, found.high) == (540.0, 1050.0)


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("Two years on the frame, three on the motor.", [24, 36]),
        ("The frame is guaranteed for 12 months, the motor for 36.", [12, 36]),
        ("The others 1 and 2 months later.", [1, 2]),
    ],
)
def test_unit_left_out_is_read(text: str, months: list[float]) -> None:
    assert [one.low / 43200 for one in quantities(text)] == months
