"""Follow-ups become stand-alone questions; new topics stay as they are."""

import pytest

from bot.dialogue.query import contextualize
from bot.dialogue.state import Exchange
from bot.types import Action


def queries(*questions: str) -> list[str]:
    """What each question of a conversation is searched as."""
    history: list[Exchange] = []
    for question in questions:
        query = contextualize(question, history)
        history.append(Exchange(question, query, "…", Action.ANSWER))
    return [exchange.query for exchange in history]


@pytest.mark.parametrize(
    ("first", "follow_up", "expected"),
    [
        ("怎么退货？", "那运费呢？", ["退货", "运费"]),
        ("怎么退货？", "为什么？", ["退货", "为什么"]),
        ("怎么退货？", "那如果超过7天呢", ["退货", "超过7天"]),
        ("咖啡机怎么除垢？", "它多少钱？", ["咖啡机", "多少钱"]),
        ("配送到新疆要几天？", "西藏呢", ["配送", "西藏"]),
        ("怎麼退貨？", "那運費呢？", ["退貨", "運費"]),
        ("How do I return a kettle?", "and for the black one?", ["kettle", "black one"]),
        ("How do I return a kettle?", "What about shipping to France?", ["return", "France"]),
        ("How long is the warranty?", "Does it cover limescale?", ["warranty", "limescale"]),
        ("How do I return a kettle?", "how long?", ["return", "how long"]),
        ("Do you ship to Spain?", "for free?", ["Spain", "free"]),
    ],
)
def test_follow_up_carries_its_topic(first: str, follow_up: str, expected: list[str]) -> None:
    query = queries(first, follow_up)[1]
    assert all(part in query for part in expected), query


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("怎么退货？", "你们支持微信支付吗？"),
        ("怎么退货？", "这个月有什么活动"),
        ("怎么退货？", "我买了水壶，它漏水怎么办"),
        ("怎么退货？", "会员积分什么时候过期"),
        ("How do I return a kettle?", "How do I pay by card?"),
        ("How do I return a kettle?", "How long does it take to get an invoice?"),
        ("How do I return a kettle?", "My air fryer smells, can I wash it in the dishwasher?"),
        ("How do I return a kettle?", "Is it possible to pay in instalments?"),
    ],
)
def test_new_topic_leaves_the_old_one_behind(first: str, second: str) -> None:
    assert queries(first, second)[1] == second


def test_first_question_stays_as_it_is() -> None:
    assert queries("那运费呢？", "它多少钱") == ["那运费呢？", "那运费呢？ 它多少钱"]


def test_other_product_takes_the_place_of_the_first() -> None:
    assert queries("HG-K1702 保修多久？", "HG-C2020 呢？")[1] == "HG-C2020 保修多久？"
    asked = queries("How long is the warranty on the HG-K1702?", "And the HG-C2020?")
    assert asked[1] == "How long is the warranty on the HG-C2020?"


def test_parallel_follow_ups_do_not_pile_up() -> None:
    last = queries("怎么退货？", "那运费呢？", "那包装呢？")[2]
    assert "退货" in last
    assert "包装" in last
    assert "运费" not in last


def test_small_talk_gives_no_topic() -> None:
    history = [Exchange("你好", "", "您好", Action.SMALLTALK)]
    assert contextualize("那运费呢？", history) == "那运费呢？"


def test_query_stays_short() -> None:
    history = [Exchange("长" * 390, "长" * 390, "…", Action.ANSWER)]
    assert contextualize("那运费是多少钱呢？它贵吗", history) == "运费是多少钱呢？它贵吗"
