"""csv and xlsx → one block per row, a record that names its columns: `Model: K1; Price: 199`.

A row is searched and quoted on its own, so it carries the header's words with it.
"""

import csv
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time
from io import BytesIO, StringIO
from itertools import chain, islice, zip_longest
from pathlib import PurePath
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import range_boundaries
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from knowledge.errors import ParseFailed
from knowledge.parsing.archive import check_parts
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.limits import ParseLimits
from knowledge.types import BlockKind, ParsedDocument

_DELIMITERS = ",;\t|"
_SNIFF_CHARS = 20_000
_SNIFF_ROWS = 30
_HEADER_SEARCH_ROWS = 10
_MAX_CELLS = 3_000_000  # empty ones too: a tiny file can place cells at the far edge of a sheet
_MERGED = re.compile(
    rb"<(?:\w{1,20}:)?mergeCell\s[^>]{0,50}?ref=\"([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})\""
)
_MAX_FILLED_CELLS = 100_000
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
_NUMBER = re.compile(r"[-+]?[\d.,%\s¥$€£]+(?:元|%)?")

Row = Sequence[str]


def parse_csv(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a csv file; the delimiter is found out from the first rows.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: no rows, broken quoting, or more text than the limit.
    """
    text = decode_text(name, data)
    builder = DocumentBuilder(name, limits)
    rows = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        _add_table(builder, ([_one_line(cell) for cell in row] for row in rows))
    except csv.Error as error:
        raise ParseFailed(
            f"{name!r} is not a readable table ({error}, line {rows.line_num}); correct its "
            "quotation marks or save it again from a spreadsheet program."
        ) from error
    return builder.build(title=PurePath(name).stem)


def parse_xlsx(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses an xlsx file: every visible sheet is a heading and its rows.

    Raises:
        ParseFailed: broken, a decompression bomb, without text, or with too much of it.
    """
    check_parts(name, data, limits)
    builder = DocumentBuilder(name, limits)
    n_left = _MAX_CELLS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions, which carry no text
        workbook = load_workbook(BytesIO(data), read_only=True, data_only=True)
        try:
            for sheet in workbook.worksheets:
                if sheet.sheet_state != "visible":
                    continue
                merged = _merged_cells(data, getattr(sheet, "_worksheet_path", ""))
                rows = _SheetRows(name, sheet, merged, n_left)
                _add_table(builder, rows, heading=sheet.title)
                n_left = rows.n_left
        finally:
            workbook.close()
    return builder.build(title=PurePath(name).stem, heading_is_title=False)


def read_first_sheet(name: str, data: bytes, limits: ParseLimits) -> list[Row]:
    """Returns the rows of an xlsx file's first visible sheet, blank ones too; formulas never run.

    Raises:
        ParseFailed: broken, a decompression bomb, or spread over too many cells.
    """
    check_parts(name, data, limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        workbook = load_workbook(BytesIO(data), read_only=True, data_only=True)
        try:
            for sheet in workbook.worksheets:
                if sheet.sheet_state == "visible":
                    merged = _merged_cells(data, getattr(sheet, "_worksheet_path", ""))
                    return list(_SheetRows(name, sheet, merged, _MAX_CELLS))
        finally:
            workbook.close()
    return []


class _SheetRows:
    """Rows of one sheet as people read them; keeps count of the cells it went over."""

    def __init__(
        self, name: str, sheet: ReadOnlyWorksheet, merged: dict[tuple[int, int], int], n_left: int
    ) -> None:
        self.n_left = n_left
        self._name = name
        self._sheet = sheet
        self._merged = merged  # (row, column) → the row above that holds the shared value

    def __iter__(self) -> Iterator[Row]:
        shared: dict[tuple[int, int], str] = {}
        wanted = {(top, column) for (_, column), top in self._merged.items()}
        sheet: Any = self._sheet  # the stubs give its methods the full worksheet's types
        sheet.reset_dimensions()  # the declared size can be wrong or hostile
        for n_row, cells in enumerate(sheet.iter_rows(), start=1):
            self.n_left -= len(cells) + 1
            if self.n_left < 0:
                raise ParseFailed(
                    f"{self._name!r} spreads over more than {_MAX_CELLS:,} cells, the limit; "
                    "delete the empty rows and columns around its tables and upload it again."
                )
            row = [_cell_text(cell.value, cell) for cell in cells]
            for column in range(len(row)) if wanted else ():
                if (n_row, column) in wanted:
                    shared[n_row, column] = row[column]
                top = self._merged.get((n_row, column))
                if top is not None and not row[column]:
                    row[column] = shared.get((top, column), "")
            yield row


def _merged_cells(data: bytes, part: str) -> dict[tuple[int, int], int]:
    """Finds cells merged downwards, which the streaming reader of openpyxl does not report."""
    merged: dict[tuple[int, int], int] = {}
    with zipfile.ZipFile(BytesIO(data)) as archive:
        content = archive.read(part) if part in archive.namelist() else b""
    for match in _MERGED.finditer(content):
        column, top, _, bottom = range_boundaries(match.group(1).decode("ascii"))
        if column is None or top is None or bottom is None:
            continue
        if len(merged) + bottom - top > _MAX_FILLED_CELLS:
            break
        merged.update({(row, column - 1): top for row in range(top + 1, bottom + 1)})
    return merged


def _delimiter(text: str) -> str:
    """Picks the delimiter that gives the most rows of one width, the widest among equals."""
    sample = text[:_SNIFF_CHARS]
    best, best_score = ",", (0, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(StringIO(sample, newline=""), delimiter=delimiter)
        try:
            widths = Counter(len(row) for row in islice(reader, _SNIFF_ROWS) if len(row) > 1)
        except csv.Error:
            continue
        if widths:
            width, n_rows = widths.most_common(1)[0]
            if (n_rows, width) > best_score:
                best, best_score = delimiter, (n_rows, width)
    return best


def _add_table(builder: DocumentBuilder, rows: Iterable[Row], *, heading: str = "") -> None:
    filled = (row for row in rows if any(row))
    first = list(islice(filled, _HEADER_SEARCH_ROWS))
    if not first:
        return
    if heading:
        builder.add(BlockKind.HEADING, heading, level=1)
    n_header = _header_index(first)
    header: Row = first[n_header] if n_header is not None else ()
    for row in first[:n_header] if n_header is not None else ():
        builder.add(BlockKind.PARAGRAPH, " ".join(cell for cell in row if cell))
    start = n_header + 1 if n_header is not None else 0
    for row in chain(first[start:], filled):
        if len(header) > 2 and row[0] and not any(row[1:]):
            builder.add(BlockKind.PARAGRAPH, row[0])  # a note or a divider between records
        else:
            builder.add(BlockKind.TABLE_ROW, _record(header, row))


def _header_index(rows: Sequence[Row]) -> int | None:
    """Finds the first row that names columns: several words, no numbers, and rows below it."""
    for i, row in enumerate(rows[:-1]):
        words = [cell for cell in row if cell]
        if len(words) > 1:
            is_header = len(set(words)) == len(words) and not any(map(_NUMBER.fullmatch, words))
            return i if is_header else None
    return None


def _record(header: Row, row: Row) -> str:
    if not header:
        return " | ".join(row).strip(" |")
    named = zip_longest(header[: len(row)], row, fillvalue="")
    return "; ".join(f"{name}: {value}" if name else value for name, value in named if value)


def _cell_text(value: object, cell: object) -> str:
    """Writes a value as the sheet shows it to people: 3 rather than 3.0, days without midnight."""
    if value is None or (isinstance(value, str) and value in _ERRORS):
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _number_text(value, str(getattr(cell, "number_format", "")))
    if isinstance(value, datetime):
        is_day = value.time() == time()
        return value.strftime("%Y-%m-%d" if is_day else "%Y-%m-%d %H:%M")
    if isinstance(value, time):
        return value.strftime("%H:%M:%S" if value.second else "%H:%M")
    return _one_line(str(value))  # text, dates and durations


def _number_text(value: float, number_format: str) -> str:
    if "%" in number_format:
        return f"{value * 100:.10g}%"
    if isinstance(value, int) or (abs(value) < 1e15 and value == int(value)):
        return str(int(value))
    return f"{value:.10g}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
