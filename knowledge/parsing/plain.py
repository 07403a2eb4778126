"""Plain text → blocks; the stored text is the file's own, so blocks only point into it.

A line is a block, unless the file is wrapped at a column: then a line that goes on in the next
one belongs to it. Headings are recognised by numbering, underlining or standing alone.
"""

import re
from dataclasses import dataclass
from pathlib import PurePath

from knowledge.parsing.builder import no_text, too_long
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.signs import (
    display_width,
    ends_sentence,
    is_question,
    numbered_heading_level,
    starts_answer,
    starts_list_item,
    starts_question,
)
from knowledge.types import Block, BlockKind, ParsedDocument

_LINE = re.compile(r"[^\r\n]+")
_UNDERLINE = re.compile(r"(=|-|~|\*)\1{2,}")
_MAX_HEADING_WIDTH = 60
_MIN_WRAP_WIDTH = 56  # shorter lines were ended on purpose


@dataclass(frozen=True, slots=True)
class _Line:
    text: str  # without surrounding space
    start: int
    after_blank: bool

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def parse_plain(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a txt file.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: there is no text, or more of it than the limit.
    """
    text = decode_text(name, data)
    if len(text) > limits.max_text_chars:
        raise too_long(name, limits)
    lines = _lines(text)
    if not lines:
        raise no_text(name)
    blocks = _blocks(lines)
    first = next((block for block in blocks if block.kind is BlockKind.HEADING), None)
    title = text[first.start : first.end].lstrip("# ") if first else PurePath(name).stem
    return ParsedDocument(text, " ".join(title.split()), tuple(blocks))


def _lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    end = 0  # of the last line with something on it
    for match in _LINE.finditer(text):
        stripped = match.group().strip()
        if not stripped:
            continue
        start = match.start() + match.group().index(stripped[0])
        gap = text[end:start]
        after_blank = not lines or gap.replace("\r\n", "\n").count("\n") + gap.count("\r\r") > 1
        lines.append(_Line(stripped, start, after_blank))
        end = match.end()
    return lines


def _blocks(lines: list[_Line]) -> list[Block]:
    blocks: list[Block] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        level = _heading_level(lines, i)
        if level:
            blocks.append(Block(BlockKind.HEADING, line.start, line.end, level=level))
            i += 2 if _is_underlined(lines, i) else 1
            continue
        kind = BlockKind.LIST_ITEM if starts_list_item(line.text) else BlockKind.PARAGRAPH
        start = line.start
        while i + 1 < len(lines) and _is_wrapped(lines, i):
            i += 1
        blocks.append(Block(kind, start, lines[i].end))
        i += 1
    return blocks


def _is_wrapped(lines: list[_Line], i: int) -> bool:
    """Tells whether line `i` goes on in the next one."""
    line, following = lines[i], lines[i + 1]
    return (
        not following.after_blank
        and display_width(line.text) >= _MIN_WRAP_WIDTH
        and line.text[-1] not in "。！？；!?：:"
        and not (ends_sentence(line.text) and display_width(line.text) < _MIN_WRAP_WIDTH + 8)
        and not _opens_block(following.text)
        and not _heading_level(lines, i + 1)
    )


def _opens_block(text: str) -> bool:
    return starts_list_item(text) or starts_question(text) or starts_answer(text)


def _is_underlined(lines: list[_Line], i: int) -> bool:
    return (
        i + 1 < len(lines)
        and not lines[i + 1].after_blank
        and _UNDERLINE.fullmatch(lines[i + 1].text) is not None
    )


def _heading_level(lines: list[_Line], i: int) -> int:
    """Gives the heading level of a line, or 0 for a line of text."""
    text = lines[i].text
    if display_width(text) > _MAX_HEADING_WIDTH or _UNDERLINE.fullmatch(text):
        return 0
    if _is_underlined(lines, i):
        return 1 if lines[i + 1].text[0] == "=" else 2
    if is_question(text):
        return 2 if _asks_above_answer(lines, i) else 0
    if ends_sentence(text) or text[-1] in ",，、":
        return 0
    level = numbered_heading_level(text)
    if level:
        return level
    if _stands_alone(lines, i):
        return 1 if i == 0 else 2
    return 0


def _asks_above_answer(lines: list[_Line], i: int) -> bool:
    """Tells whether a question stands over a text of its own, as in a list of questions."""
    line = lines[i]
    if not line.after_blank or i + 1 == len(lines) or _opens_block(line.text):
        return False
    following = lines[i + 1]
    return not is_question(following.text) and not starts_answer(following.text)


def _stands_alone(lines: list[_Line], i: int) -> bool:
    """Tells whether a short line without a sentence end introduces what follows it."""
    line = lines[i]
    if not line.after_blank or i + 1 == len(lines) or _opens_block(line.text):
        return False
    if "：" in line.text or ":" in line.text or "|" in line.text:
        return False
    following = lines[i + 1]
    if following.after_blank:
        return i == 0 or ends_sentence(following.text) or _opens_block(following.text)
    return ends_sentence(following.text) and display_width(line.text) < _MIN_WRAP_WIDTH
