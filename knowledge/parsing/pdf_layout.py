"""Lines of PDF pages → headings, paragraphs and table rows.

Works on positions and font sizes only. Running headers, footers and page numbers go; lines of
one paragraph are joined, without a space between Chinese characters, also over a page break.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.signs import (
    display_width,
    ends_sentence,
    is_cjk,
    numbered_heading_level,
    starts_answer,
    starts_list_item,
    starts_question,
)
from knowledge.types import BlockKind

_EDGE_LINES = 2  # lines at the top and bottom of a page that may be running ones
_MIN_REPEATS = 2
_MIN_REPEAT_SHARE = 0.5
_HEADING_RATIO = 1.15  # of the body's font size
_MAX_HEADING_WIDTH = 100
_MAX_NUMBERED_WIDTH = 60
_PARAGRAPH_PITCH = 1.35  # of the usual distance of lines
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"[-–—\s]*(?:page|第)?\s*\d{1,4}\s*(?:页|頁)?"
    r"\s*(?:(?:of|/|[，,]?\s?共)\s*\d{1,4}\s*(?:页|頁)?)?[-–—\s]*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page; coordinates in points, the origin at the bottom left."""

    cells: tuple[str, ...]  # one, or several where wide gaps part the line
    page: int
    size: float
    left: float
    right: float
    top: float
    bottom: float

    @property
    def text(self) -> str:
        """The line's words as running text."""
        return " ".join(self.cells)


def add_blocks(builder: DocumentBuilder, pages: Sequence[Sequence[Line]]) -> None:
    """Adds the blocks of a whole document.

    Args:
        builder: receives the blocks.
        pages: each page's lines in drawing order; a page may have none.
    """
    kept = [_flatten_lone_rows(_join_rows(page)) for page in _without_running_lines(pages)]
    lines = [line for page in kept for line in page]
    if not lines:
        return
    layout = _Layout(lines)
    block = [lines[0]]
    for line in lines[1:]:
        if not layout.continues(block[-1], line):
            _add(builder, block, layout.level(block[0]))
            block = []
        block.append(line)
    _add(builder, block, layout.level(block[0]))


def _without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Drops edge lines that are page numbers or repeat, numbers aside, on many pages."""
    edges = [_edge_lines(page) for page in pages]
    body = _body_size([line for page in pages for line in page])
    repeats = Counter(key for page in edges for key in {_running_key(line, body) for line in page})
    n_needed = max(_MIN_REPEATS, _MIN_REPEAT_SHARE * len(pages))
    kept = []
    for page, edge in zip(pages, edges, strict=True):
        dropped = {
            id(line)
            for line in edge
            if repeats[_running_key(line, body)] >= n_needed
            or (len(page) > 1 and _PAGE_NUMBER.fullmatch(line.text))
        }
        kept.append([line for line in page if id(line) not in dropped])
    return kept


def _edge_lines(page: Sequence[Line]) -> list[Line]:
    by_height = sorted(page, key=lambda line: -line.top)
    return by_height[:_EDGE_LINES] + by_height[_EDGE_LINES:][-_EDGE_LINES:]


def _running_key(line: Line, body: float) -> tuple[str, int]:
    """Gives what is equal for one running line on all pages: its words and its height.

    Numbers count in large print: `Step 1` and `Step 2` atop two pages are headings.
    """
    text = line.text if line.size > 1.05 * body else _DIGITS.sub("#", line.text)
    return text, round(line.top / 4)


def _body_size(lines: Sequence[Line]) -> float:
    """Gives the font size in which most characters are set, 0 where there are none."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _join_rows(lines: Sequence[Line]) -> list[Line]:
    """Joins neighbours that stand side by side: cells of one table row."""
    rows: list[Line] = []
    for line in lines:
        if rows and _is_beside(rows[-1], line):
            last = rows[-1]
            rows[-1] = replace(
                last,
                cells=last.cells + line.cells,
                right=line.right,
                top=max(last.top, line.top),
                bottom=min(last.bottom, line.bottom),
            )
        else:
            rows.append(line)
    return rows


def _is_beside(line: Line, following: Line) -> bool:
    overlap = min(line.top, following.top) - max(line.bottom, following.bottom)
    height = min(line.top - line.bottom, following.top - following.bottom)
    return following.left > line.right and overlap > 0.6 * height > 0


def _flatten_lone_rows(lines: Sequence[Line]) -> list[Line]:
    """Undoes cells where no neighbour has any: a wide gap in running text is no table."""
    flat: list[Line] = []
    for i, line in enumerate(lines):
        neighbours = (*lines[max(i - 1, 0) : i], *lines[i + 1 : i + 2])
        is_row = len(line.cells) > 2 or any(len(other.cells) > 1 for other in neighbours)
        flat.append(line if is_row else replace(line, cells=(line.text,)))
    return flat


class _Layout:
    """What is usual in this document: sizes of headings, distance of lines, ends of columns."""

    def __init__(self, lines: Sequence[Line]) -> None:
        body = _body_size(lines)
        sizes = {round(line.size, 1) for line in lines}
        large = sorted((size for size in sizes if size >= body * _HEADING_RATIO), reverse=True)
        self._levels = {size: min(i, 6) for i, size in enumerate(large, start=1)}
        self._pitch = _usual_pitch(lines, body)
        self._edges: dict[tuple[int, int], float] = {}
        for line in lines:
            key = line.page, _column(line)
            self._edges[key] = max(self._edges.get(key, 0.0), line.right)

    def level(self, line: Line) -> int:
        """Gives the heading level of a line, or 0 for a line of text."""
        text = line.text
        if len(line.cells) > 1 or not any(char.isalpha() for char in text):
            return 0
        if display_width(text) > _MAX_HEADING_WIDTH or text[-1] in "。.;；,，:：":
            return 0
        level = self._levels.get(round(line.size, 1), 0)
        if level or display_width(text) > _MAX_NUMBERED_WIDTH or ends_sentence(text):
            return level
        numbered = numbered_heading_level(text)
        return min(len(self._levels) + numbered, 6) if numbered else 0

    def continues(self, last: Line, line: Line) -> bool:
        """Tells whether `line` belongs to the block that ends with `last`."""
        level = self.level(line)
        if len(last.cells) > 1 or len(line.cells) > 1 or level != self.level(last):
            return False
        distance = last.bottom - line.bottom
        if level:
            is_near = line.page == last.page and 0 < distance < 1.6 * last.size
            return is_near and not numbered_heading_level(line.text)
        if _opens_block(line.text) or not 0.85 < line.size / last.size < 1.18:
            return False
        gap = self._edge(last) - last.right
        if line.page != last.page or distance <= 0:  # the next page or column
            return not ends_sentence(last.text) and gap < 2 * last.size
        if distance > self._pitch * _PARAGRAPH_PITCH:
            return False
        is_short = gap > 0.3 * (self._edge(last) - last.left)
        return not is_short and not (ends_sentence(last.text) and gap > 2 * last.size)

    def _edge(self, line: Line) -> float:
        column = _column(line)
        return max(self._edges.get((line.page, column + i), 0.0) for i in (-1, 0, 1))


def _column(line: Line) -> int:
    return int(line.left // 40)


def _usual_pitch(lines: Sequence[Line], body: float) -> float:
    """Gives the distance of neighbouring lines of one paragraph, the lower quartile of all."""
    distances = sorted(
        above.bottom - below.bottom
        for above, below in pairwise(lines)
        if above.page == below.page and above.bottom - below.bottom > 0.5 * body
    )
    usual = distances[len(distances) // 4] if distances else 1.2 * body
    return min(usual, 2.2 * body)


def _opens_block(text: str) -> bool:
    return starts_list_item(text) or starts_question(text) or starts_answer(text)


def _add(builder: DocumentBuilder, block: Sequence[Line], level: int) -> None:
    first = block[0]
    if len(first.cells) > 1:
        builder.add(BlockKind.TABLE_ROW, " | ".join(first.cells), page=first.page)
        return
    text = _join_lines([line.text for line in block])
    if level:
        kind = BlockKind.HEADING
    else:
        kind = BlockKind.LIST_ITEM if starts_list_item(text) else BlockKind.PARAGRAPH
    builder.add(kind, text, level=level, page=first.page)


def _join_lines(lines: Sequence[str]) -> str:
    pieces = [lines[0]]
    for above, below in pairwise(lines):
        if above.endswith(("-", "\u00ad")) and above[-2:-1].islower() and below[0].islower():
            pieces[-1] = pieces[-1][:-1]
        elif not (is_cjk(above[-1]) or is_cjk(below[0])):
            pieces.append(" ")
        pieces.append(below)
    return "".join(pieces)
