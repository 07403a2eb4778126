"""Answers are tied to the documents' own words."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.grounding import Checked, Grounder
from bot.runs import MAX_QUOTE_CHARS
from tests.bot.chat_kit import RETURNS_EN, RETURNS_ZH, SHOP, hits_of

HITS = hits_of(SHOP)
DOCUMENTS = {f"doc{n}": text for n, text in enumerate(SHOP.values(), start=1)}


def check(answer: str, query: str = "?", grounder: Grounder | None = None) -> Checked:
    return (grounder or Grounder(embed=None)).check(answer, query, HITS)


def assert_quotes_are_exact(checked: Checked, documents: dict[str, str]) -> None:
    for citation in checked.citations:
        assert citation.start is not None
        assert citation.end is not None
        text = documents[citation.document_id]
        assert citation.quote == text[citation.start : citation.end]
        assert 0 < len(citation.quote) <= MAX_QUOTE_CHARS


def test_each_sentence_gets_its_own_passage() -> None:
    checked = check("签收后 7 天内可以退货。满 99 元包邮。", "怎么退货，包邮吗")
    assert checked.text == "签收后 7 天内可以退货 [1]。满 99 元包邮 [2]。"
    assert [citation.document for citation in checked.citations] == ["退货说明.txt", "配送说明.txt"]
    assert checked.citations[0].quote == "签收后 7 天内可以无理由退货。"
    assert checked.grounding.verdict == "supported"
    assert_quotes_are_exact(checked, DOCUMENTS)


def test_marks_of_the_model_are_replaced() -> None:
    checked = check("答案：退货运费由顾客承担，每单 10 元[3]【2】。", "退货运费")
    assert checked.text == "退货运费由顾客承担，每单 10 元 [1]。"


def test_invented_figures_are_cut() -> None:
    checked = check("签收后 7 天内可以退货。运费是 25 元。", "怎么退货")
    assert "25" not in checked.text
    assert "7 天" in checked.text


@pytest.mark.parametrize(
    "answer", ["You have 45 days.", "运费 99 天。", "It costs $6.90.", "", "。。。", "[1]"]
)
def test_nothing_carries_invented_or_empty_answers(answer: str) -> None:
    assert not check(answer, "returns").is_carried


def test_admission_of_ignorance_is_not_carried() -> None:
    assert not check("资料里没有提到学生优惠。", "学生证有优惠吗").is_carried
    assert not check("The documents do not mention this.", "student discount?").is_carried


def test_repeated_sentences_are_said_once() -> None:
    checked = check("满 99 元包邮。满 99 元包邮。满 99 元包邮。", "包邮吗")
    assert checked.text == "满 99 元包邮 [1]。"


def test_list_keeps_its_form() -> None:
    checked = check("1. 签收后 7 天内可以退货。\n2. 每单运费 10 元。", "怎么退货")
    assert checked.text.splitlines()[0].startswith("1. 签收后")
    assert checked.text.splitlines()[1].startswith("2. 每单运费 10 元 [")


def test_shortest_run_is_quoted() -> None:
    checked = check("The return label costs €6.90.", "label cost")
    assert [citation.quote for citation in checked.citations] == [
        "The return label costs €6.90 in the EU."
    ]


def test_equal_sources_share_a_number() -> None:
    checked = check("每单 10 元。退货运费由顾客承担。", "退货运费")
    assert len(checked.citations) == 1
    assert checked.text.count("[1]") == 1


def test_figures_tie_an_answer_to_a_foreign_passage() -> None:
    checked = check("退货标签需要 6.90 欧元。", "欧盟退货多少钱")
    assert checked.is_carried
    assert checked.citations[0].document == "returns.md"


def test_meaning_ties_an_answer_to_a_foreign_passage() -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        about = [[1.0, 0.0] if "仓库" in t or "warehouse" in t else [0.1, 0.99] for t in texts]
        return np.array(about, dtype=np.float32)

    checked = check("包裹到达仓库后很快退款。", "什么时候收到钱", Grounder(embed=embed))
    assert checked.citations[0].quote.startswith("We refund within")


def test_long_sentence_is_quoted_in_part() -> None:
    text = "长句\n" + "，".join(f"第{n}条规定适用于编号 A{n:04d} 的产品" for n in range(60)) + "。"
    hits = hits_of({"long.txt": text})
    checked = Grounder(embed=None).check("第42条规定适用于编号 A0042 的产品。", "编号", hits)
    assert "A0042" in checked.citations[0].quote
    assert_quotes_are_exact(checked, {"doc1": text})


WORDS = st.sampled_from(
    [*RETURNS_EN.split(), "退货", "运费", "10", "元", "。", "\n", "- ", "|", "[1]", "99", "?", "，"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=60), st.lists(WORDS, max_size=120))
def test_quotes_are_always_word_for_word(answer: list[str], passage: list[str]) -> None:
    text = "T\n" + " ".join(passage) + RETURNS_ZH
    checked = Grounder(embed=None).check(" ".join(answer), "退货", hits_of({"a.txt": text}))
    assert_quotes_are_exact(checked, {"doc1": text})
    numbers = {citation.n for citation in checked.citations}
    assert {c.citation for c in checked.grounding.sentences if c.citation} == numbers
    assert all(f"[{n}]" in checked.text for n in numbers)


def test_echo_of_the_question_is_no_answer() -> None:
    checked = check("退货运费由谁承担？", "退货运费由谁承担")
    assert not checked.is_carried
    assert not checked.is_evasive


def test_evasion_is_told_from_a_bare_or_wrong_answer() -> None:
    assert check("资料里没有提到学生优惠。", "学生证有优惠吗").is_evasive
    assert not check("能。", "能退货吗").is_evasive
    assert not check("99 天。", "能退货吗").is_evasive


def test_layout_of_the_prompt_is_not_part_of_the_answer() -> None:
    checked = check("[1] 退货说明 › 运费\n每单 10 元。\n[2] 配送说明\n满 99 元包邮。", "运费")
    assert checked.text == "每单 10 元 [1]。\n满 99 元包邮 [2]。"


def test_copied_heading_is_no_claim() -> None:
    checked = check("退货说明\n每单 10 元。", "运费")
    assert checked.text == "每单 10 元 [1]。"
