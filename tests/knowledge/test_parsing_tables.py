"""Titles, headers of two rows, several tables and notes on one sheet."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from knowledge.errors import ParseFailed
from knowledge.parsing.registry import parse
from tests.document_files import LIMITS, make_xlsx
from tests.knowledge.test_parsing_text import outline


def sheet(rows: list[list[object]], *merged: str) -> list[tuple[str, str]]:
    def write(workbook: Workbook) -> None:
        first = workbook.worksheets[0]
        for row in rows:
            first.append(row)
        for cells in merged:
            first.merge_cells(cells)

    return outline(parse("s.xlsx", make_xlsx(write), LIMITS))[1:]


def table(text: str) -> list[tuple[str, str]]:
    return outline(parse("t.csv", text.encode(), LIMITS))


def test_merged_title_and_two_header_rows() -> None:
    found = sheet(
        [
            ["Fees 2026"],
            ["Zone", "Shipping", None, "Remark"],
            [None, "Price", "Days", None],
            ["North", 8, 2, None],
            [None, 9, 3, None],
        ],
        *("A1:D1", "A2:A3", "B2:C2", "D2:D3", "A4:A5"),
    )
    assert found == [
        ("heading", "Fees 2026"),
        ("table_row", "Zone: North; Shipping › Price: 8; Shipping › Days: 2"),
        ("table_row", "Zone: North; Shipping › Price: 9; Shipping › Days: 3"),
        ("paragraph", "Remark"),
    ]


def test_header_merged_sideways_names_both_columns() -> None:
    found = sheet([["Model", "Fits", None], ["K1", "M1", "M2"], ["K2", "M3", 4]], "B1:C1")
    assert found[0] == ("table_row", "Model: K1; Fits: M1; Fits: M2")


def test_several_tables_have_their_own_titles() -> None:
    found = sheet(
        [
            ["Kettles"],
            ["Model", "Price"],
            ["K1", 199],
            ["Prices include tax."],
            [],
            ["* Ask for older models"],
            [],
            ["Couriers"],
            [],
            ["Name", "Zone", "Fee"],
            ["Fast", "North", 8],
            [],
            ["Model", "Weight"],
            ["K1", 1.2],
        ]
    )
    assert found == [
        ("heading", "Kettles"),
        ("table_row", "Model: K1; Price: 199"),
        ("table_row", "Model: Prices include tax."),
        ("paragraph", "* Ask for older models"),
        ("heading", "Couriers"),
        ("table_row", "Name: Fast; Zone: North; Fee: 8"),
        ("heading", "Sheet"),
        ("table_row", "Model: K1; Weight: 1.2"),
    ]


def test_csv_joins_two_header_rows_by_their_gaps() -> None:
    assert table("地区,运费,,备注\n,首重,续重,\n华东,8,2,无\n华北,9,3,无\n") == [
        ("table_row", "地区: 华东; 运费 › 首重: 8; 运费 › 续重: 2; 备注: 无"),
        ("table_row", "地区: 华北; 运费 › 首重: 9; 运费 › 续重: 3; 备注: 无"),
    ]


def test_unnamed_columns_are_no_second_header() -> None:
    assert table("name,colour,,\nK1,red,new,x\nK2,blue,old,y\n")[0] == (
        "table_row",
        "name: K1; colour: red; new; x",
    )


def test_rows_after_a_blank_one_keep_their_header() -> None:
    rows = table("question,answer\nHow long?,Three days\n\nHow much?,Nothing\nWhere?,Here\n")
    assert [text for _, text in rows] == [
        "question: How long?; answer: Three days",
        "question: How much?; answer: Nothing",
        "question: Where?; answer: Here",
    ]


WORDS = st.sampled_from(
    ["", "", "a1", "Price", "Zone", "8", "9.5", "运费", "Tax is included.", "x"]
)
GRIDS = st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=1, max_size=9)
RANGES = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(0, 3), st.integers(0, 2)),
    max_size=2,
)


@settings(max_examples=60, deadline=None)
@given(rows=GRIDS, ranges=RANGES)
@example(rows=[[""]], ranges=[(1, 1, 0, 1)])  # merging deletes the only text there is
def test_no_text_of_a_cell_is_lost(rows: list[list[str]], ranges: list[tuple[int, ...]]) -> None:
    rows = [*rows, ["end"]]

    def write(workbook: Workbook) -> None:
        for row in rows:
            workbook.worksheets[0].append(row)
        for column, top, right, down in ranges:
            workbook.worksheets[0].merge_cells(None, top, column, top + down, column + right)

    def kept(workbook: Workbook) -> set[str]:
        cells = (cell for row in workbook.worksheets[0].iter_rows() for cell in row)
        return {str(cell.value) for cell in cells if cell.value}

    workbook = Workbook()
    write(workbook)
    if words := kept(workbook):
        text = parse("p.xlsx", make_xlsx(write), LIMITS).text
        assert all(word in text for word in words)
    else:
        with pytest.raises(ParseFailed, match="holds no text"):
            parse("p.xlsx", make_xlsx(write), LIMITS)
    as_csv = "\n".join(",".join(row) for row in rows)
    text = parse("p.csv", as_csv.encode(), LIMITS).text
    assert all(word in text for row in rows for word in row)
