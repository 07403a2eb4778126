"""csv and xlsx → rows of text; `knowledge.parsing.grid` makes titles and records of them."""

import csv
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time
from io import BytesIO, StringIO
from itertools import islice
from pathlib import PurePath
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import range_boundaries
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from knowledge.errors import ParseFailed
from knowledge.parsing.archive import check_parts
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.grid import Row, SheetRow, add_tables
from knowledge.parsing.limits import ParseLimits
from knowledge.types import ParsedDocument

_DELIMITERS = ",;\t|"
_SNIFF_CHARS = 20_000
_SNIFF_ROWS = 30
_MAX_CELLS = 3_000_000  # empty ones too: a tiny file can place cells at the far edge of a sheet
_MERGED = re.compile(
    rb"<(?:\w{1,20}:)?mergeCell\s[^>]{0,50}?ref=\"([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})\""
)
_MAX_FILLED_CELLS = 100_000
_MAX_RANGES = 200  # that begin in one row
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})


def parse_csv(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a csv file; the delimiter is found out from the first rows.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: no rows, broken quoting, or more text than the limit.
    """
    text = decode_text(name, data)
    builder = DocumentBuilder(name, limits)
    rows = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text))
    stem = PurePath(name).stem
    try:
        add_tables(
            builder, (SheetRow([_one_line(cell) for cell in row]) for row in rows), name=stem
        )
    except csv.Error as error:
        raise ParseFailed(
            f"{name!r} is not a readable table ({error}, line {rows.line_num}); correct its "
            "quotation marks or save it again from a spreadsheet program."
        ) from error
    return builder.build(title=stem, heading_is_title=False)


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
                add_tables(builder, rows, name=sheet.title, heading=sheet.title)
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
                    return [row.cells for row in _SheetRows(name, sheet, merged, _MAX_CELLS)]
        finally:
            workbook.close()
    return []


@dataclass(frozen=True, slots=True)
class _Merged:
    """Cells of a sheet that share the value of another."""

    # (row, column) → the row above that holds the shared value
    down: dict[tuple[int, int], int] = field(default_factory=dict)
    # row → first and last columns of the ranges that begin in it
    across: dict[int, list[tuple[int, int]]] = field(default_factory=dict)


class _SheetRows:
    """Rows of one sheet as people read them; keeps count of the cells it went over."""

    def __init__(self, name: str, sheet: ReadOnlyWorksheet, merged: _Merged, n_left: int) -> None:
        self.n_left = n_left
        self._name = name
        self._sheet = sheet
        self._merged = merged

    def __iter__(self) -> Iterator[SheetRow]:
        shared: dict[tuple[int, int], str] = {}
        wanted = {(top, column) for (_, column), top in self._merged.down.items()}
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
                top = self._merged.down.get((n_row, column))
                if top is not None and not row[column]:
                    row[column] = shared.get((top, column), "")
            yield SheetRow(row, self._merged.across.get(n_row, ()))


def _merged_cells(data: bytes, part: str) -> _Merged:
    """Finds merged cells, which the streaming reader of openpyxl does not report."""
    merged = _Merged()
    n_ranges = 0
    with zipfile.ZipFile(BytesIO(data)) as archive:
        content = archive.read(part) if part in archive.namelist() else b""
    for match in _MERGED.finditer(content):
        column, top, last, bottom = range_boundaries(match.group(1).decode("ascii"))
        if column is None or top is None or last is None or bottom is None:
            continue
        n_ranges += 1
        if len(merged.down) + bottom - top > _MAX_FILLED_CELLS or n_ranges > _MAX_FILLED_CELLS:
            break
        merged.down.update({(row, column - 1): top for row in range(top + 1, bottom + 1)})
        across = merged.across.setdefault(top, [])
        if last > column and len(across) < _MAX_RANGES:
            across.append((column - 1, last - 1))
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
