"""Splitting: structure first, then sentences, then hard cuts; nothing is lost or doubled."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.chunking import split
from knowledge.parsing.registry import parse
from knowledge.types import Block, BlockKind, ChunkSpan, ParsedDocument
from tests.document_files import LIMITS

_TOKEN = re.compile(r"[\u3400-\u9fff]|[A-Za-z0-9]+|[^\s\w]")


def count(text: str) -> int:
    """Counts Chinese characters, words and marks: near enough to a real tokenizer."""
    return len(_TOKEN.findall(text))


def chunks(text: str, max_tokens: int, name: str = "x.md") -> list[ChunkSpan]:
    document = parse(name, text.encode(), LIMITS)
    return split(document, max_tokens=max_tokens, count_tokens=count)


def texts(text: str, max_tokens: int, name: str = "x.md") -> list[str]:
    return [chunk.text for chunk in chunks(text, max_tokens, name)]


def words(n: int, word: str = "word") -> str:
    return " ".join([word] * n)


def test_split_starts_a_passage_at_every_heading() -> None:
    text = f"# Club\n\n## Points\n\n{words(30)}\n\n## Levels\n\n{words(30)}\n"
    found = chunks(text, 100)
    assert [chunk.headings for chunk in found] == [("Club", "Points"), ("Club", "Levels")]
    assert found[0].text.startswith("# Club\n\n## Points\n\nword")
    assert found[1].text.startswith("## Levels\n\nword")


def test_split_keeps_small_neighbours_together() -> None:
    text = f"## A\n\n{words(20)}\n\n{words(20)}\n\n{words(40)}\n"
    assert [count(chunk) for chunk in texts(text, 50)] == [43, 40]


def test_split_cuts_long_paragraphs_at_sentences() -> None:
    text = (
        "今天下单明天到。" * 6
        + "运费多少？"
        + "Version 3.5 costs 10 euro, e.g. for Dr. Li. Next one!"
    )
    found = texts(text, 20)
    assert all(chunk[-1] in "。？.!" for chunk in found)
    assert any("3.5 costs 10 euro, e.g. for Dr. Li." in chunk for chunk in found)


def test_split_cuts_endless_text_at_spaces_or_anywhere() -> None:
    assert [chunk.strip("word ") for chunk in texts(words(45), 20)] == ["", "", ""]
    assert "".join(texts("字" * 95, 20)) == "字" * 95


@pytest.mark.parametrize("mark", ["- ", "| "])
def test_split_keeps_rows_and_items_whole(mark: str) -> None:
    end = " |" if mark == "| " else ""
    rows = [f"{mark}{words(12, f'r{i}. s{i}')}{end}" for i in range(8)]
    table = "\n".join(rows if mark == "- " else [rows[0], "|---|", *rows[1:]])
    for chunk in texts(table, 120):
        assert all(line in rows or line == "|---|" for line in chunk.split("\n"))


@pytest.mark.parametrize(("ask", "answer"), [("Q: ", "A: "), ("问：", "答：")])
def test_split_keeps_question_and_answer_together(ask: str, answer: str) -> None:
    pairs = [f"{ask}{words(4, f'q{i}')}?\n{answer}{words(25, f'a{i}')}." for i in range(4)]
    assert texts("\n".join(pairs), 60, "faq.txt") == pairs


def test_split_keeps_plain_question_with_its_answer() -> None:
    text = f"{words(30)}.\n\nCan I return it?\n\n{words(18, 'yes')}.\n"
    assert texts(text, 50)[1].startswith("Can I return it?")


def test_split_gives_each_record_of_an_faq_sheet_a_passage() -> None:
    text = "分类,问题,回答\n配送,多久？,三天\n配送,运费？,八元\n"
    assert texts(text, 200, "faq.csv") == [
        "分类: 配送; 问题: 多久？; 回答: 三天",
        "分类: 配送; 问题: 运费？; 回答: 八元",
    ]


def test_split_leaves_no_heading_alone() -> None:
    text = f"# Returns\n\n{'One two three four. ' * 12}\n"
    found = texts(text, 40)
    assert found[0].startswith("# Returns\n\nOne two")
    assert count(found[0]) > 20


def test_split_joins_a_tiny_rest() -> None:
    text = f"# A\n\n{words(30)}\n\n{words(15)}\n\n{words(30)}\n\nlast words\n"
    assert [count(chunk) for chunk in texts(text, 50)] == [47, 32]


def test_split_joins_a_tiny_preface_to_what_follows() -> None:
    found = chunks(f"Heguang\n\n# Fees\n\n{words(10)}\n", 50)
    assert [chunk.headings for chunk in found] == [("Fees",)]


def test_split_respects_pages() -> None:
    text = f"{words(30)}\n{words(30)}\n{words(30)}"
    size = len(words(30))
    blocks = tuple(
        Block(BlockKind.PARAGRAPH, i * (size + 1), i * (size + 1) + size, page=page)
        for i, page in enumerate((1, 1, 2))
    )
    document = ParsedDocument(text, "t", blocks, n_pages=2)
    found = split(document, max_tokens=200, count_tokens=count)
    assert [(chunk.page, count(chunk.text)) for chunk in found] == [(1, 60), (2, 30)]


def test_split_reports_headings_without_marks() -> None:
    found = chunks(f"Big **one**\n===\n\n### `Small` ###\n\n{words(5)}\n", 50)
    assert found[0].headings == ("Big one", "Small")


def test_split_counts_each_stretch_about_once() -> None:
    counted: list[int] = []

    def counting(text: str) -> int:
        counted.append(len(text))
        return count(text)

    text = "今天下单明天到。" * 2000
    document = parse("x.txt", text.encode(), LIMITS)
    split(document, max_tokens=100, count_tokens=counting)
    assert sum(counted) < 3 * len(text)


def test_split_checks_the_limit() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        split(ParsedDocument("", "", ()), max_tokens=0, count_tokens=count)


_LINES = st.sampled_from(
    [
        "# Head",
        "## 标题",
        "- item one",
        "1. 第一",
        "Q: why?",
        "A: so.",
        "问：吗？",
        "答：是。",
        "",
        "  ",
    ]
) | st.text("ab 字。？!.;\n|-#'é\u0301\u200b", max_size=80)


@given(
    lines=st.lists(_LINES, max_size=15),
    max_tokens=st.integers(1, 40),
    suffix=st.sampled_from(["txt", "md"]),
)
@settings(max_examples=150, deadline=None)
def test_split_covers_everything_once(lines: list[str], max_tokens: int, suffix: str) -> None:
    text = "\n".join(["start", *lines])
    document = parse(f"x.{suffix}", text.encode(), LIMITS)
    found = split(document, max_tokens=max_tokens, count_tokens=count)
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in found)
    assert all(count(chunk.text) <= max_tokens for chunk in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    covered = {i for chunk in found for i in range(chunk.start, chunk.end)}
    needed = {i for b in document.blocks for i in range(b.start, b.end) if not text[i].isspace()}
    assert needed <= covered


@given(text=st.text(min_size=1, max_size=300), max_tokens=st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_split_holds_with_any_counter(text: str, max_tokens: int) -> None:
    document = ParsedDocument(text, "t", (Block(BlockKind.PARAGRAPH, 0, len(text)),))
    found = split(document, max_tokens=max_tokens, count_tokens=lambda piece: len(piece.encode()))
    assert all(len(c.text.encode()) <= max_tokens or len(c.text) == 1 for c in found)
    assert "".join("".join(c.text.split()) for c in found) == "".join(text.split())
