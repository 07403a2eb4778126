"""Parsed document → passages, after parsing and before embedding.

Structure first: a heading starts a passage, a question stays with its answer, a table row or
list item stays whole, small neighbours under one heading go together. Only a block over the
limit is cut, at sentence ends, and only a sentence over the limit is cut anywhere.

Invariants: passages are ordered and do not overlap, each is exactly `document.text[start:end]`
and at most `max_tokens` long (a single character may exceed it), together they hold every
visible character of the blocks. Each block or sentence is counted once, each passage once more.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from knowledge.parsing.signs import holds_question, is_question, starts_answer, starts_question
from knowledge.types import Block, BlockKind, ChunkSpan, ParsedDocument, SplitKind

TokenCounter = Callable[[str], int]

_TINY_TOKENS = 20  # a rest below this joins the passage before it
_SURELY_LONG_CHARS = 12  # per token: a block longer than this is split without being counted
_MIN_SENTENCE_CHARS = 5  # shorter ones stay with the next: fewer counts, and nothing is lost
_WINDOW_CHARS = 6  # per token: where the search for a hard cut begins
_MAX_QUESTION_CHARS = 200
_SENTENCE = re.compile(r"[^。！？；!?;.\n]*(?:[。！？；!?;.\n]+[\"'”’」』）)】》]*|\Z)")
_HEADING_MARKS = re.compile(r"\A\s*#{1,6}\s+|\s+#+\s*\Z")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|No|vs|etc|e\.g|i\.e|approx|Inc|Ltd|Co)|\b[A-Z])\.\Z"
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A run of text that is not split further unless it has to be."""

    start: int
    end: int
    n_tokens: int
    kind: BlockKind
    page: int | None
    headings: tuple[str, ...]
    opens: bool = False  # starts a passage of its own
    glued: bool = False  # belongs to the unit before it: an answer to its question


def split(
    document: ParsedDocument,
    *,
    max_tokens: int,
    count_tokens: TokenCounter,
    kind: SplitKind = SplitKind.STRUCTURE,
) -> list[ChunkSpan]:
    """Splits a document into passages.

    Args:
        document: text with its blocks.
        max_tokens: limit of one passage, at least 1.
        count_tokens: the embedder's count; called once or twice per stretch of text.
        kind: what starts a passage besides headings and questions.

    Returns:
        Passages in order; `page` is the page of the first character, `headings` the path of
        headings that enclose the passage, its own heading included.

    Raises:
        ValueError: `max_tokens` is not positive.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1; got {max_tokens!r}")
    splitter = _Splitter(document.text, max_tokens, count_tokens, kind)
    groups = splitter.pack(splitter.units(document.blocks))
    return [span for group in splitter.join_rests(groups) for span in splitter.spans(group)]


class _Splitter:
    """The text, the limit and the counter, which every step needs."""

    def __init__(
        self, text: str, max_tokens: int, count_tokens: TokenCounter, kind: SplitKind
    ) -> None:
        self._kind = kind
        self._text = text
        self._max_tokens = max_tokens
        self._count = count_tokens

    def units(self, blocks: Sequence[Block]) -> list[_Unit]:
        """Turns blocks into units within the limit, each with its path of headings."""
        units: list[_Unit] = []
        path: list[tuple[int, str]] = []
        previous: Block | None = None
        for block in blocks:
            content = self._text[block.start : block.end]
            if block.kind is BlockKind.HEADING:
                path = [*((level, title) for level, title in path if level < block.level)]
                path.append((block.level, _heading_title(content)))
            unit = _Unit(
                block.start,
                block.end,
                0,
                block.kind,
                block.page,
                tuple(title for _, title in path if title),
                opens=_opens(block.kind, content) or self._starts(block.kind),
                glued=previous is not None and self._answers(previous, content, block.kind),
            )
            units.extend(self._fit(unit))
            previous = block
        return units

    def pack(self, units: Sequence[_Unit]) -> list[list[_Unit]]:
        """Groups units into passages by their sizes."""
        groups: list[list[_Unit]] = [[]]
        n_tokens = 0  # of the last group, kept because a sum per unit would be slow
        for atom in self._atoms(units):
            group = groups[-1]
            if group and self._breaks(group, n_tokens, atom):
                if _is_heading_only(group):
                    atom = self._fill(group, atom)
                groups.append([])
                n_tokens = 0
            for unit in atom:
                if n_tokens + unit.n_tokens > self._max_tokens:
                    groups.append([])
                    n_tokens = 0
                groups[-1].append(unit)
                n_tokens += unit.n_tokens
        return [group for group in groups if group]

    def join_rests(self, groups: Sequence[list[_Unit]]) -> list[list[_Unit]]:
        """Joins a tiny rest of a section, or a last heading without text, to what precedes it."""
        joined: list[list[_Unit]] = []
        for i, group in enumerate(groups):
            is_rest = (
                bool(joined)
                and _size(group) < _TINY_TOKENS
                and joined[-1][-1].headings == group[0].headings
                and not group[0].opens
            )
            is_bare = bool(joined) and i == len(groups) - 1 and _is_heading_only(group)
            if (is_rest or is_bare) and _size(joined[-1]) + _size(group) <= self._max_tokens:
                joined[-1] = [*joined[-1], *group]
            else:
                joined.append(group)
        return joined

    def spans(self, group: Sequence[_Unit]) -> Iterator[ChunkSpan]:
        """Makes the passage of a group, or several where the whole counts more than its parts."""
        start, end = group[0].start, group[-1].end
        text = self._text[start:end]
        if len(group) > 1 and self._count(text) > self._max_tokens:
            middle = len(group) // 2
            yield from self.spans(group[:middle])
            yield from self.spans(group[middle:])
        else:
            yield ChunkSpan(text, start, end, group[0].page, _headings(group))

    def _starts(self, kind: BlockKind) -> bool:
        if self._kind is SplitKind.ROWS:
            return kind is BlockKind.TABLE_ROW
        return self._kind is SplitKind.PARAGRAPHS

    def _size_of(self, start: int, end: int) -> int:
        return max(1, self._count(self._text[start:end]))  # what counts nothing is not free

    def _answers(self, previous: Block, content: str, kind: BlockKind) -> bool:
        question = self._text[previous.start : previous.end]
        if previous.kind is BlockKind.HEADING or kind is BlockKind.HEADING:
            return False  # a heading is kept with its text anyway
        if starts_question(question) and not starts_question(content):
            return starts_answer(content) or is_question(question)
        is_short = len(question) <= _MAX_QUESTION_CHARS
        return is_short and is_question(question) and not is_question(content)

    def _fit(self, unit: _Unit) -> Iterator[_Unit]:
        """Gives the unit with its size, or its sentences if it is over the limit."""
        length = unit.end - unit.start
        if length <= _SURELY_LONG_CHARS * self._max_tokens:
            n_tokens = self._size_of(unit.start, unit.end)
            if n_tokens <= self._max_tokens or length == 1:
                yield replace(unit, n_tokens=n_tokens)
                return
        yield from self._sentences(unit)

    def _sentences(self, unit: _Unit) -> Iterator[_Unit]:
        first = True
        for start, end in _sentence_spans(self._text, unit.start, unit.end):
            for piece_start, piece_end, n_tokens in self._pieces(start, end):
                part = replace(unit, start=piece_start, end=piece_end, n_tokens=n_tokens)
                yield part if first else replace(part, opens=False, glued=False)
                first = False

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Cuts a sentence over the limit at spaces or, failing that, between characters."""
        while start < end:
            size = min(end - start, _WINDOW_CHARS * self._max_tokens)
            n_tokens = self._size_of(start, start + size)
            while n_tokens > self._max_tokens and size > 1:
                size = max(1, min(size - 1, int(size * 0.95 * self._max_tokens / n_tokens)))
                n_tokens = self._size_of(start, start + size)
            if start + size < end:
                size = self._good_cut(start, size)
            stop = start + size
            piece = self._text[start:stop]
            if piece.strip():
                visible_end = stop - (len(piece) - len(piece.rstrip()))
                yield start + len(piece) - len(piece.lstrip()), visible_end, n_tokens
            start = stop

    def _good_cut(self, start: int, size: int) -> int:
        """Moves a cut back to a space in the last quarter, or off a combining mark."""
        for i in range(size, size * 3 // 4, -1):
            if self._text[start + i - 1].isspace():
                return i
        while size > 1 and unicodedata.combining(self._text[start + size]):
            size -= 1
        return size

    def _atoms(self, units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
        """Puts a question and its answer together where both fit into one passage."""
        atom: list[_Unit] = []
        for unit in units:
            if atom and unit.glued and _size(atom) + unit.n_tokens <= self._max_tokens:
                atom.append(unit)
                continue
            if atom:
                yield atom
            atom = [unit]
        if atom:
            yield atom

    def _breaks(self, group: Sequence[_Unit], n_tokens: int, atom: Sequence[_Unit]) -> bool:
        if n_tokens + _size(atom) > self._max_tokens:
            return True
        is_preface = not group[-1].headings and n_tokens < _TINY_TOKENS
        if (is_preface and atom[0].headings) or _is_heading_only(group):
            return False
        turns_page = atom[0].page != group[0].page and n_tokens >= _TINY_TOKENS
        return atom[0].opens or turns_page

    def _fill(self, group: list[_Unit], atom: Sequence[_Unit]) -> list[_Unit]:
        """Moves what still fits to the heading above it, so that no heading stands alone."""
        first, others = atom[0], atom[1:]
        rest = list(self._sentences(first)) if first.kind is BlockKind.PARAGRAPH else [first]
        n_free = self._max_tokens - _size(group)
        while rest and rest[0].n_tokens <= n_free:
            n_free -= rest[0].n_tokens
            group.append(rest.pop(0))
        return [*rest, *others]


def _opens(kind: BlockKind, content: str) -> bool:
    if kind is BlockKind.TABLE_ROW:
        return holds_question(content)
    return kind is BlockKind.HEADING or starts_question(content)


def _size(units: Sequence[_Unit]) -> int:
    return sum(unit.n_tokens for unit in units)


def _headings(units: Sequence[_Unit]) -> tuple[str, ...]:
    """Gives the path over the first text of a passage; one without text has its last heading's."""
    texts = (unit for unit in units if unit.kind is not BlockKind.HEADING and unit.headings)
    return next(texts, units[-1]).headings


def _is_heading_only(units: Sequence[_Unit]) -> bool:
    return all(unit.kind is BlockKind.HEADING for unit in units)


def _heading_title(content: str) -> str:
    lines = content.strip().splitlines()
    if len(lines) > 1 and set(lines[-1].strip()) <= set("=-"):  # underlined
        lines.pop()
    title = _HEADING_MARKS.sub("", " ".join(lines))
    return " ".join(title.replace("**", "").replace("`", "").split())


def _sentence_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Gives the sentences between two offsets, without the space around them."""
    sentence_start = start
    for match in _SENTENCE.finditer(text, start, end):
        stop = match.end()
        is_short = stop - sentence_start < _MIN_SENTENCE_CHARS
        if stop < end and (is_short or not _is_sentence_end(text, sentence_start, stop)):
            continue
        sentence = text[sentence_start:stop]
        if sentence.strip():
            left = len(sentence) - len(sentence.lstrip())
            yield sentence_start + left, sentence_start + len(sentence.rstrip())
        sentence_start = stop
        if stop >= end:
            return


def _is_sentence_end(text: str, start: int, stop: int) -> bool:
    """Tells a full stop from the point in 3.5, kefu.example, `e.g.` or a numbered item."""
    mark = text[stop - 1]
    if mark != "." and mark != ";":
        return True
    if not text[stop].isspace():
        return False
    before = text[max(start, stop - 8) : stop]
    is_number = stop - start < 8 and text[start:stop].strip(" .").isdigit()
    return not (is_number or _ABBREVIATION.search(before))
