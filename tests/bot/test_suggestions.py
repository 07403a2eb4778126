"""Suggested questions are such that retrieval answers them."""

from dataclasses import replace

from bot.suggestions import Suggester
from tests.bot.chat_kit import SHOP, WordRetriever, hits_of

FAQ = (
    "常见问题\n问题：退货要多久到账？答案：5 个工作日。\n问题：运费谁出？\n"
    "Question: How long is the warranty?\nChanged your mind?\n"
)


def suggester(retriever: WordRetriever) -> Suggester:
    return Suggester(retriever, remember_s=60.0, limit=3)


def test_questions_come_from_other_passages_in_the_same_language() -> None:
    hits = hits_of({**SHOP, "faq.txt": FAQ})
    found = suggester(WordRetriever(SHOP)).follow_ups(hits, [], ["怎么退货？"])
    assert found == ("退货要多久到账？", "运费谁出？")


def test_english_questions_need_a_question_word() -> None:
    hits = hits_of({**SHOP, "faq.txt": FAQ})
    found = suggester(WordRetriever(SHOP)).follow_ups(hits, [], ["How do I pay?"])
    assert found == ("How long is the warranty?",)


def test_heading_in_question_form_is_suggested() -> None:
    hits = hits_of(SHOP)
    heading = replace(hits[1], chunk=replace(hits[1].chunk, headings=("物流长时间不动怎么办",)))
    found = suggester(WordRetriever(SHOP)).follow_ups([hits[0], heading], [], ["包邮吗"])
    assert found == ("物流长时间不动怎么办？",)


def test_own_suggestions_are_tried_once_and_not_repeated() -> None:
    retriever = WordRetriever(SHOP)
    chosen = suggester(retriever)
    own = ["怎么退货？", "卫星多高？"]
    assert chosen.starters(own) == ("怎么退货？",)
    assert chosen.starters(own) == ("怎么退货？",)
    assert retriever.queries == own
    assert chosen.follow_ups([], own, ["我想退货，怎么退货"]) == ()
