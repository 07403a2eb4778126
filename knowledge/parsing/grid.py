"""Rows of a sheet → titles, records and notes; finds where tables begin, and their headers.

A row is searched and quoted on its own, so it carries the names of its columns with it:
`Model: K1; Price › Inland: 8`. Every cell's text comes out, also names of empty columns.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice, pairwise, zip_longest
from typing import NamedTuple

from knowledge.parsing.builder import DocumentBuilder
from knowledge.types import BlockKind

_HEAD_ROWS = 10  # looked at together to find titles and the header
_MAX_TITLE_ROWS = 3  # single cells before a blank row; more are a list
_MAX_TITLE_CHARS = 80
_NUMBER = re.compile(r"[-+]?[\d.,%\s¥$€£]+(?:元|%)?")
_NOTE = re.compile(r"^(?:[*※#]|注|备注|说明|note\b|nb\b)|[。.!！?？;；:：]$", re.IGNORECASE)

Row = Sequence[str]


class SheetRow(NamedTuple):
    """Cells of a row, and first and last column of those merged sideways, where known."""

    cells: Row
    spans: Sequence[tuple[int, int]] = ()


def add_tables(
    builder: DocumentBuilder, rows: Iterable[SheetRow], *, name: str, heading: str = ""
) -> None:
    """Adds the tables of one sheet; `name` heads untitled ones that follow a titled one."""
    writer = _TableWriter(builder, name, heading)
    for is_filled, region in groupby(rows, key=lambda row: any(row.cells)):
        if is_filled:
            writer.add(region)
    writer.close()


class _TableWriter:
    """Writes regions between blank rows; remembers the header for rows that go on below."""

    def __init__(self, builder: DocumentBuilder, name: str, heading: str) -> None:
        self._builder = builder
        self._name = name
        self._heading = heading  # of the sheet; written with its first text
        self._level = 2 if heading else 1
        self._header: Row = ()
        self._unused: dict[int, str] = {}
        self._pending: list[str] = []  # single cells since the last table
        self._is_titled = False

    def add(self, region: Iterator[SheetRow]) -> None:
        """Writes the rows of one region."""
        if self._heading:
            self._builder.add(BlockKind.HEADING, self._heading, level=1)
            self._heading = ""
        head = list(islice(region, _HEAD_ROWS))
        n_titles = _count_titles(head)
        titles = list(dict.fromkeys("".join(row.cells) for row in head[:n_titles]))
        body = head[n_titles:]
        if not body and len(head) <= _MAX_TITLE_ROWS:
            self._pending += titles
            return
        if not body:
            self._start(titles=(), header=())
            body = head
        else:
            body = self._open(titles, body)
        for row in chain(body, region):
            self._add_row(row.cells)

    def close(self) -> None:
        """Writes what is left: notes below the last table and names of empty columns."""
        self._leave()
        self._flush(self._pending)

    def _open(self, titles: list[str], body: list[SheetRow]) -> list[SheetRow]:
        """Finds header and title of a region; returns its rows below them."""
        names, n_rows = read_header(body)
        title = self._title(titles) if names else ""
        if names and self._header and not title and not self._is_new(names, body):
            names, n_rows = (), 0
        if names:
            self._start(titles=titles, header=names, title=title)
            return body[n_rows:]
        if self._header and _filled(body) <= {i for i, name in enumerate(self._header) if name}:
            self._flush([*self._pending, *titles])
            self._pending = []
        else:
            self._start(titles=titles, header=())
        return body

    def _title(self, titles: Sequence[str]) -> str:
        """A cell right above the header, else one before a blank row that looks like a title."""
        if titles:
            return titles[0] if len(titles[0]) <= _MAX_TITLE_CHARS else ""
        if not self._pending:
            return ""
        text = self._pending[-1] if self._header else self._pending[0]
        return "" if len(text) > _MAX_TITLE_CHARS or _NOTE.search(text) else text

    def _is_new(self, names: Row, body: Sequence[SheetRow]) -> bool:
        """True where a region has a header of its own rather than more rows of the last table."""
        if list(names) == list(self._header):
            return True
        columns = {i for i, name in enumerate(names) if name}
        if columns != {i for i, name in enumerate(self._header) if name}:
            return _filled(body[1:]) <= columns
        below = [row.cells for row in body[1:]]
        return any(
            all(i < len(cells) and _NUMBER.fullmatch(cells[i]) for cells in below) for i in columns
        )

    def _start(self, *, titles: Sequence[str], header: Row, title: str = "") -> None:
        self._leave()
        above = [*self._pending, *titles]
        if title:
            place = above.index(title)
            self._flush(above[:place])
            self._builder.add(BlockKind.HEADING, title, level=self._level)
            self._flush(above[place + 1 :])
        else:
            self._flush(above)
            if self._is_titled:
                self._builder.add(BlockKind.HEADING, self._name, level=1)
        self._is_titled = bool(title)
        self._pending = []
        self._header = header
        self._unused = {i: name for i, name in enumerate(header) if name}

    def _leave(self) -> None:
        """Ends a table; what it calls columns without a value is text of the sheet all the same."""
        self._flush([" | ".join(dict.fromkeys(self._unused.values()))])
        self._unused = {}

    def _flush(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._builder.add(BlockKind.PARAGRAPH, text)

    def _add_row(self, row: Row) -> None:
        if len(self._header) > 2 and row[0] and not any(row[1:]):
            self._builder.add(BlockKind.PARAGRAPH, row[0])  # a note or a divider between records
            return
        for column in [column for column in self._unused if column < len(row) and row[column]]:
            del self._unused[column]
        self._builder.add(BlockKind.TABLE_ROW, _record(self._header, row))


def read_header(body: Sequence[SheetRow]) -> tuple[Row, int]:
    """Returns the names of the columns and how many rows they take; none without a header."""
    if len(body) < 2:
        return (), 0
    joined = _joined_header(body) if len(body) > 2 else None
    if joined is not None:
        return joined, 2
    words = [cell for cell in body[0].cells if cell]
    is_header = len(words) > 1 and len(set(words)) == len(words) and not _has_number(words)
    return (_spread(body[0]), 1) if is_header else ((), 0)


def _joined_header(body: Sequence[SheetRow]) -> Row | None:
    """Joins two header rows, `Shipping` over `Inland` and `Abroad`; None where it is one row."""
    width = max(len(body[0].cells), len(body[1].cells))
    top, below = _padded(body[0].cells, width), _padded(body[1].cells, width)
    words = [cell for cell in top if cell]
    if len(set(words)) < len(words) or _has_number([*words, *below]):
        return None
    groups = [span for span in body[0].spans if span[1] < width] or _gaps(top, below)
    groups = [(a, b) for a, b in groups if set(below[a : b + 1]) - {"", top[a]}]
    grouped = {column for a, b in groups for column in range(a, b + 1)}
    alone = [column for column in range(width) if column not in grouped]
    for a, b in groups:
        names = [cell for cell in below[a : b + 1] if cell]
        if len(names) < 2 or len(set(names)) < len(names):
            return None
    if not groups or any(top[i] and below[i] not in ("", top[i]) for i in alone):
        return None
    if not any(top[i] for i in alone) and not _has_number(body[2].cells):
        return None  # nothing tells the second row from a record
    above = list(top)
    for a, b in groups:
        above[a : b + 1] = [top[a]] * (b + 1 - a)
    return [
        " › ".join(dict.fromkeys(filter(None, pair))) for pair in zip(above, below, strict=True)
    ]


def _gaps(top: Row, below: Row) -> list[tuple[int, int]]:
    """Groups of columns as they look in a file without merged cells: a name, then empty cells."""
    filled = [i for i, cell in enumerate(top) if cell]
    if len(filled) < 2:
        return []
    groups: list[tuple[int, int]] = []
    for first, following in pairwise([*filled, len(top)]):
        last = first
        while last + 1 < following and below[last] and below[last + 1]:
            last += 1
        if last > first:
            groups.append((first, last))
    return groups


def _spread(row: SheetRow) -> Row:
    """Returns the names of a header row, one merged sideways for all the columns below it."""
    names = list(row.cells)
    for first, last in row.spans:
        if first >= len(names):
            continue
        names[first : last + 1] = [names[first]] * (last + 1 - first)
    return names


def _count_titles(head: Sequence[SheetRow]) -> int:
    """Counts the first rows of a single cell; one right of where a table begins names columns."""
    n_titles = 0
    for row, following in zip_longest(head, head[1:]):
        first = _first_column(row.cells)
        if sum(map(bool, row.cells)) != 1:
            break
        if following is not None and first > _first_column(following.cells):
            break
        n_titles += 1
    return n_titles


def _first_column(cells: Row) -> int:
    return next(i for i, cell in enumerate(cells) if cell)


def _filled(rows: Sequence[SheetRow]) -> set[int]:
    return {i for row in rows for i, cell in enumerate(row.cells) if cell}


def _has_number(cells: Iterable[str]) -> bool:
    return any(map(_NUMBER.fullmatch, cells))


def _padded(cells: Row, width: int) -> list[str]:
    return [*cells, *[""] * (width - len(cells))]


def _record(header: Row, row: Row) -> str:
    if not header:
        return " | ".join(row).strip(" |")
    named = zip_longest(header[: len(row)], row, fillvalue="")
    return "; ".join(f"{name}: {value}" if name else value for name, value in named if value)
