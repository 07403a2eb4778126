"""docx, xlsx and csv."""

from datetime import datetime, time

import pytest
from docx.document import Document as WordDocument
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from openpyxl import Workbook

from knowledge.errors import ParseFailed
from knowledge.parsing.registry import parse
from knowledge.types import BlockKind
from tests.document_files import LIMITS, make_docx, make_xlsx, replace_part
from tests.knowledge.test_parsing_text import outline


def test_docx_keeps_the_order_of_the_body() -> None:
    def write(document: WordDocument) -> None:
        document.add_heading("Warranty", level=1)
        document.add_paragraph("Before the table.")
        table = document.add_table(rows=2, cols=2)
        for i, text in enumerate(("Part", "Months", "Motor", "36")):
            table.cell(i // 2, i % 2).text = text
        document.add_heading("Claims", level=2)
        document.add_paragraph("Call us.", style="List Bullet")

    document = parse("w.docx", make_docx(write), LIMITS)
    assert outline(document) == [
        ("heading", "Warranty"),
        ("paragraph", "Before the table."),
        ("table_row", "Part | Months"),
        ("table_row", "Motor | 36"),
        ("heading", "Claims"),
        ("list_item", "- Call us."),
    ]
    assert [b.level for b in document.blocks if b.level] == [1, 2]


def test_docx_repeats_cells_merged_downwards() -> None:
    def write(document: WordDocument) -> None:
        table = document.add_table(rows=3, cols=3)
        table.cell(1, 0).merge(table.cell(2, 0)).text = "EU"
        for (row, column), text in {(1, 1): "DE", (2, 1): "FR", (1, 2): "4", (2, 2): "7"}.items():
            table.cell(row, column).text = text
        table.cell(0, 0).merge(table.cell(0, 2)).text = "Fees"

    assert parse("m.docx", make_docx(write), LIMITS).text == "Fees\nEU | DE | 4\nEU | FR | 7"


def test_docx_reads_insertions_and_controls_but_no_deletions() -> None:
    word = nsdecls("w")
    paragraph = (
        f"<w:p {word}><w:r><w:t>Ship</w:t></w:r><w:ins><w:r><w:t>ping</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        "<w:hyperlink><w:r><w:t> rules</w:t></w:r></w:hyperlink></w:p>"
    )
    inside = "<w:p><w:r><w:t>Inside.</w:t></w:r></w:p>"
    control = f"<w:sdt {word}><w:sdtContent>{inside}</w:sdtContent></w:sdt>"

    def write(document: WordDocument) -> None:
        body = document.element.body
        body.insert(0, parse_xml(control))
        body.insert(0, parse_xml(paragraph))

    assert parse("i.docx", make_docx(write), LIMITS).text == "Shipping rules\n\nInside."


def test_docx_leaves_out_the_table_of_contents() -> None:
    def write(document: WordDocument) -> None:
        style = document.styles.add_style("toc 1", 1)
        document.add_paragraph("Fees ... 3", style=style)
        document.add_paragraph("Text.")

    assert parse("t.docx", make_docx(write), LIMITS).text == "Text."


def test_docx_title_falls_back_to_properties_then_name() -> None:
    def titled(document: WordDocument) -> None:
        document.core_properties.title = "House rules"
        document.add_paragraph("No heading here.")

    def untitled(document: WordDocument) -> None:
        document.add_paragraph("No heading here.")

    assert parse("a.docx", make_docx(titled), LIMITS).title == "House rules"
    assert parse("b.docx", make_docx(untitled), LIMITS).title == "b"


def test_xlsx_rows_are_records_with_headers() -> None:
    def write(workbook: Workbook) -> None:
        sheet = workbook.worksheets[0]
        sheet.title = "Prices"
        sheet.append(["Model", "Price", "Since", "Opens", "Share", "In stock"])
        sheet.append(["K1", 3.0, datetime(2026, 5, 1), time(9, 30), 0.15, True])  # noqa: DTZ001
        sheet.append(["K2", 3.25, datetime(2026, 5, 1, 8, 0), None, "#N/A", False])  # noqa: DTZ001
        sheet["E2"].number_format = "0%"

    document = parse("p.xlsx", make_xlsx(write), LIMITS)
    assert document.title == "p"
    assert outline(document) == [
        ("heading", "Prices"),
        (
            "table_row",
            "Model: K1; Price: 3; Since: 2026-05-01; Opens: 09:30; Share: 15%; In stock: TRUE",
        ),
        ("table_row", "Model: K2; Price: 3.25; Since: 2026-05-01 08:00; In stock: FALSE"),
    ]


def test_xlsx_fills_merged_cells_and_keeps_notes() -> None:
    def write(workbook: Workbook) -> None:
        sheet = workbook.worksheets[0]
        for row in (
            ["配送费用表"],
            [],
            ["地区", "省市", "运费"],
            ["华东", "上海", 8],
            [None, "江苏\n南京", 9],
        ):
            sheet.append(row)
        sheet.append(["偏远地区另计"])
        sheet.merge_cells("A4:A5")
        hidden = workbook.create_sheet("内部")
        hidden.append(["secret"])
        hidden.sheet_state = "hidden"

    document = parse("f.xlsx", make_xlsx(write), LIMITS)
    assert [text for _, text in outline(document)][1:] == [
        "配送费用表",
        "地区: 华东; 省市: 上海; 运费: 8",
        "地区: 华东; 省市: 江苏 南京; 运费: 9",
        "偏远地区另计",
    ]


def test_xlsx_without_header_keeps_cells() -> None:
    def write(workbook: Workbook) -> None:
        workbook.worksheets[0].append(["K1", 199])
        workbook.worksheets[0].append(["K2", 299])

    assert parse("n.xlsx", make_xlsx(write), LIMITS).text.endswith("K1 | 199\nK2 | 299")


def test_xlsx_with_cells_at_the_far_edge_is_refused_quickly() -> None:
    rows = "".join(f'<row r="{i}"><c r="XFD{i}"><v>1</v></c></row>' for i in range(1, 2000))
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{rows}</sheetData></worksheet>"
    )
    data = replace_part(make_xlsx(lambda _: None), "xl/worksheets/sheet1.xml", sheet.encode())
    with pytest.raises(ParseFailed, match="cells, the limit"):
        parse("wide.xlsx", data, LIMITS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_finds_the_delimiter(delimiter: str) -> None:
    text = "\r\n".join(
        delimiter.join(row) for row in (("问题", "回答"), ("多久？", "三天"), ("运费", "8元"))
    )
    document = parse("f.csv", text.encode("gb18030"), LIMITS)
    assert document.text == "问题: 多久？; 回答: 三天\n问题: 运费; 回答: 8元"


def test_csv_reads_quotes_and_uneven_rows() -> None:
    data = b'name,note\r\n"a, b","two\nlines"\r\nshort\r\nx,y,extra\r\n'
    document = parse("q.csv", data, LIMITS)
    assert document.text == "name: a, b; note: two lines\nname: short\nname: x; note: y; extra"
    assert {block.kind for block in document.blocks} == {BlockKind.TABLE_ROW}


def test_csv_with_an_endless_quote_is_refused() -> None:
    limits = LIMITS.__class__(5, 1_000_000, 1 << 20, 1 << 20)
    with pytest.raises(ParseFailed, match="quotation marks"):
        parse("q.csv", b'a,"' + b"x" * 200_000, limits)
