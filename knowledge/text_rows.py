"""Table rows in the text of a passage, with what each cell is called, and what a list is of.

A spreadsheet's row is stored as `Pool: Riverside; Water: 28 °C`, a page's as
`| Riverside | 28 °C |` below a line of names. A cell alone says nothing:
the names are part of what it says.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowledge.quantity import Quantity

_RECORD = re.compile(r"^[^:：;；\n|]{1,40}[:：] ?[^;；\n|]{1,80}[;；] ?[^:：;；\n|]{1,40}[:：]")
_FIELD = re.compile(r"(?:^|[;；] ?)(?P<name>[^:：;；\n]{1,40})[:：] ?")
_RULE = re.compile(r"^\|?[\s:|-]*-{2,}[\s:|-]*$")
_BOLD = re.compile(
    r"^\W{0,4}\*\*(?P<text>[^*\n]{2,80})\*\*|^【(?P<zh>[^】\n]{2,40})】|^\*(?P<it>[^*\n]{4,90}[?？])\*"
)
_ASKED = re.compile(
    r"^(?:\W{0,6}(?:\d{1,2}[.、)]\s?)?(?:问|Q)?[:：]?\s?)(?P<text>[^\n。！？?]{2,80}[?？])"
)
_MAX_LABELS = 2
_LABEL_CHARS = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; offsets are into its row."""

    name: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; `start` is its offset in the passage."""

    text: str
    start: int
    cells: tuple[Cell, ...]

    @property
    def key(self) -> str:
        """The first cell, by which a row is known."""
        return self.cells[0].text

    def cell_at(self, position: int) -> Cell:
        """Returns the cell at an offset of the row."""
        return next((cell for cell in self.cells if position < cell.end), self.cells[-1])

    def labels(self, figures: Sequence[Quantity]) -> str:
        """Returns the cells that say what the row is of: the first, one more without figures."""
        plain = [
            cell.text
            for cell in self.cells[1:]
            if len(cell.text) <= _LABEL_CHARS
            and not any(cell.start <= one.start < cell.end for one in figures)
        ]
        return " ".join([self.key, *plain[: _MAX_LABELS - 1]]).strip()


def table_rows(text: str) -> Iterator[Row]:
    """Yields the rows of a passage that have two cells or more."""
    names: list[str] = []
    before, start = "", 0
    for line in text.split("\n"):
        if line.lstrip().startswith("|"):
            if _RULE.match(line):
                names = [cell.text for cell in _cells(before, [])]
            else:
                cells = _cells(line, names)
                if len(cells) > 1:
                    yield Row(line, start, tuple(cells))
        else:
            names = []
            if _RECORD.match(line):
                yield Row(line, start, tuple(_fields(line)))
        before, start = line, start + len(line) + 1


def topic_at(text: str, position: int) -> str:
    """Returns the question or bold line that the sentence at a position stands below, if any."""
    topic = ""
    start = 0
    for line in text.split("\n"):
        if start > position:
            break
        found = _BOLD.match(line) or _ASKED.match(line)
        if found and start + found.end() <= position + len(found[0]):
            topic = next(part for part in found.groups() if part)
        elif line.startswith("#"):
            topic = ""
        start += len(line) + 1
    return topic


def _cells(line: str, names: Sequence[str]) -> list[Cell]:
    cells: list[Cell] = []
    start = line.find("|") + 1
    for n, text in enumerate(line[start:].rstrip().rstrip("|").split("|")):
        name = names[n] if n < len(names) else ""
        lead = len(text) - len(text.lstrip())
        cells.append(Cell(name, text.strip(), start + lead, start + len(text)))
        start += len(text) + 1
    return cells


def _fields(line: str) -> Iterator[Cell]:
    found = list(_FIELD.finditer(line))
    for one, following in zip(found, [*found[1:], None], strict=True):
        end = following.start() if following else len(line)
        yield Cell(one["name"].strip(), line[one.end() : end].rstrip(), one.end(), end)
