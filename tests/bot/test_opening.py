"""The first words of an answer: shown once they say more than the question."""

import pytest

from bot.opening import Opening
from tests.bot.chat_kit import SHOP, hits_of

HITS = hits_of(SHOP)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("How long may I keep it before returning?", "You have 30 days"),
        ("Who pays the label?", "The return label costs"),
        ("退货运费谁出", "退货运费由顾客承担"),
        ("多久能退", "签收后 7 天"),
    ],
)
def test_opening_with_the_passages_words_is_an_answer(query: str, text: str) -> None:
    assert Opening(query, HITS).is_answer(text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Who pays the label?", "Who pays"),
        ("退货运费由谁承担", "退货运费由谁承担？"),
        ("Do you sell microwaves?", "Yes, you sell microwaves"),
        ("退货多少钱", "答案："),
    ],
)
def test_repeating_the_question_is_no_answer_yet(query: str, text: str) -> None:
    assert not Opening(query, HITS).is_answer(text)


def test_sentence_that_repeats_the_question_is_empty() -> None:
    opening = Opening("能无理由退货吗", HITS)
    assert opening.is_empty("能无理由退货。")
    assert not opening.is_empty("能无理由")
    assert not opening.is_empty("签收后 7 天内能无理由退货。")
    assert not Opening("What does the label cost?", HITS).is_empty("The label costs 6.")


def test_empty_sentence_is_seen_although_more_follows() -> None:
    assert Opening("Is it safe?", HITS).is_empty("It is safe. It is")


@pytest.mark.parametrize(
    ("query", "text", "empty"),
    [
        ("快递好几天没动静了，是不是丢了", "快递好几天没", True),
        ("快递好几天没动静了，是不是丢了", "快递好几", False),
        ("Nobody was home when the driver came", "Nobody was home when th", True),
        ("Nobody was home when the driver came", "Nobody was home", False),
        ("Nobody was home when the driver came", "The driver will come again to", False),
    ],
)
def test_word_for_word_echo_is_cut_early(query: str, text: str, empty: bool) -> None:
    assert Opening(query, HITS).is_empty(text) is empty
