"""PDF: lines to paragraphs, headings, tables, pages, and what cannot be read."""

import pytest

from knowledge.errors import ParseFailed
from knowledge.parsing.registry import parse
from knowledge.types import BlockKind
from tests.document_files import ENCRYPTED, LIMITS, PdfLine, make_pdf
from tests.knowledge.test_parsing_text import outline

LONG = "Customers may return unused items within thirty days of the delivery, if the"


def test_pdf_joins_lines_into_paragraphs() -> None:
    lines: list[PdfLine] = [
        (50, 780, 20, "Returns"),
        (50, 740, 12, LONG),
        (50, 725, 12, "packaging is complete."),
        (50, 690, 12, "A second paragraph."),
    ]
    document = parse("r.pdf", make_pdf([lines]), LIMITS)
    assert outline(document) == [
        ("heading", "Returns"),
        ("paragraph", f"{LONG} packaging is complete."),
        ("paragraph", "A second paragraph."),
    ]
    assert (document.title, document.n_pages) == ("Returns", 1)


def test_pdf_joins_chinese_lines_without_a_space() -> None:
    above, below = (
        "自签收之日起七天内可以无理由退货，商品须保持完好，附件齐全，发票和赠品一并退",
        "回。",
    )
    lines: list[PdfLine] = [(50, 740, 12, above), (50, 722, 12, below)]
    assert parse("r.pdf", make_pdf([lines]), LIMITS).text == above + below


def test_pdf_joins_hyphenated_words() -> None:
    lines: list[PdfLine] = [(50, 740, 12, LONG + " pack-"), (50, 725, 12, "aging is complete.")]
    assert parse("r.pdf", make_pdf([lines]), LIMITS).text == f"{LONG} packaging is complete."


def test_pdf_finds_table_rows() -> None:
    rows = [("Model", "Price", "Weight"), ("K1", "199", "2 kg"), ("K2 Pro", "299", "3 kg")]
    lines: list[PdfLine] = [
        (50 + 120 * column, 700 - 20 * row, 12, text)
        for row, cells in enumerate(rows)
        for column, text in enumerate(cells)
    ]
    document = parse("t.pdf", make_pdf([lines]), LIMITS)
    assert document.text == "Model | Price | Weight\nK1 | 199 | 2 kg\nK2 Pro | 299 | 3 kg"
    assert {block.kind for block in document.blocks} == {BlockKind.TABLE_ROW}


def test_pdf_blocks_know_their_page() -> None:
    pages: list[list[PdfLine]] = [[(50, 700, 12, "First page.")], [(50, 700, 12, "Next page.")]]
    assert [block.page for block in parse("p.pdf", make_pdf(pages), LIMITS).blocks] == [1, 2]


def test_pdf_paragraph_goes_on_over_the_page() -> None:
    pages: list[list[PdfLine]] = [[(50, 60, 12, LONG)], [(50, 780, 12, "box is whole.")]]
    document = parse("p.pdf", make_pdf(pages), LIMITS)
    assert outline(document) == [("paragraph", f"{LONG} box is whole.")]
    assert document.blocks[0].page == 1


def test_pdf_drops_running_lines_and_page_numbers() -> None:
    pages: list[list[PdfLine]] = [
        [
            (50, 810, 9, "Heguang terms of service"),
            (50, 700, 12, f"Text of page {word}."),
            (50, 650, 12, f"More of {word}."),
            (280, 30, 9, f"Page {i} of 3"),
        ]
        for i, word in enumerate(("one", "two", "three"), start=1)
    ]
    document = parse("h.pdf", make_pdf(pages), LIMITS)
    assert "Heguang" not in document.text
    assert "Page" not in document.text
    assert document.text.count("Text of page") == 3


def test_pdf_keeps_numbered_headings_atop_pages() -> None:
    pages: list[list[PdfLine]] = [
        [(50, 780, 20, f"Step {i}"), (50, 700, 12, f"Do the thing called {word}.")]
        for i, word in enumerate(("one", "two", "three"), start=1)
    ]
    headings = [
        text for kind, text in outline(parse("s.pdf", make_pdf(pages), LIMITS)) if kind == "heading"
    ]
    assert headings == ["Step 1", "Step 2", "Step 3"]


def test_pdf_heading_levels_follow_sizes() -> None:
    lines: list[PdfLine] = [
        (50, 780, 24, "Terms"),
        (50, 740, 16, "Payment"),
        (50, 710, 11, "Cards and bank transfer are accepted."),
        (50, 680, 16, "Delivery"),
        (50, 650, 11, "Parcels leave within one working day."),
    ]
    blocks = parse("l.pdf", make_pdf([lines]), LIMITS).blocks
    assert [block.level for block in blocks] == [1, 2, 0, 2, 0]


def test_pdf_title_comes_from_metadata_without_headings() -> None:
    pdf = make_pdf([[(50, 700, 12, "Just one sentence.")]], title="Price list")
    assert parse("x.pdf", pdf, LIMITS).title == "Price list"


@pytest.mark.parametrize(
    ("pdf", "message"),
    [
        (make_pdf([[(50, 700, 12, "Hi")]], trailer=ENCRYPTED), "protected by a password"),
        (make_pdf([[]]), "no text layer"),
        (make_pdf([[(50, 700, 12, "Hi")]] * 6), "6 pages, more than the limit of 5"),
        (b"%PDF-1.7\nnothing that follows is a PDF", "damaged"),
        (make_pdf([[(50, 700, 12, "x" * 5000)]] * 5), "more than 20,000 characters"),
    ],
)
def test_pdf_that_cannot_be_read_says_why(pdf: bytes, message: str) -> None:
    with pytest.raises(ParseFailed, match=message):
        parse("x.pdf", pdf, LIMITS)
