"""Markdown → blocks; the stored text is the file's own, so blocks only point into it."""

import re
from pathlib import PurePath

from markdown_it import MarkdownIt
from markdown_it.token import Token

from knowledge.parsing.builder import no_text, too_long
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.limits import ParseLimits
from knowledge.types import Block, BlockKind, ParsedDocument

_NEWLINE = re.compile(r"\r\n|\r|\n")
_FRONT_MATTER = re.compile(
    r"---[ \t]*(\r\n|\r|\n)(?:.*?(?:\r\n|\r|\n))??---[ \t]*(?=[\r\n]|\Z)", re.DOTALL
)
_FRONT_TITLE = re.compile(r"^title[ \t]*:[ \t]*[\"']?([^\r\n]*?)[\"']?[ \t]*$", re.MULTILINE)
_FRONT_LINE = re.compile(r"[\w.-]+[ \t]*:|[ \t#-]")  # key, continuation, comment or list entry
_MAX_NESTING = 100  # of lists and quotes; deeper text is not seen
_MAX_FRONT_MATTER_CHARS = 4000
_HEADING_MARKS = re.compile(r"\A#{1,6}[ \t]+|[ \t]+#+[ \t]*\Z|[*_`]{1,3}")
_KINDS = {
    "heading_open": BlockKind.HEADING,
    "paragraph_open": BlockKind.PARAGRAPH,
    "fence": BlockKind.CODE,
    "code_block": BlockKind.CODE,
    "html_block": BlockKind.PARAGRAPH,
    "tr_open": BlockKind.TABLE_ROW,
}


def parse_markdown(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a md file.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: there is no text, or more of it than the limit.
    """
    text = decode_text(name, data)
    if len(text) > limits.max_text_chars:
        raise too_long(name, limits)
    front = _front_matter(text)
    # Inline rules are off: only the lines of each block matter here.
    tokens = (
        MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING})
        .enable("table")
        .disable("inline")
        .parse(_blank(text, front))
    )
    blocks = _blocks(text, tokens)
    if not blocks:
        raise no_text(name)
    return ParsedDocument(text, _title(name, text, front, blocks), tuple(blocks))


def _front_matter(text: str) -> str:
    match = _FRONT_MATTER.match(text[:_MAX_FRONT_MATTER_CHARS])
    if match is None:
        return ""
    lines = [line for line in _NEWLINE.split(match.group())[1:-1] if line.strip()]
    return match.group() if all(_FRONT_LINE.match(line) for line in lines) else ""


def _blank(text: str, front: str) -> str:
    """Empties the front matter's lines, so that line numbers stay right."""
    return "".join(_NEWLINE.findall(front)) + text[len(front) :] if front else text


def _blocks(text: str, tokens: list[Token]) -> list[Block]:
    starts = [0, *(match.end() for match in _NEWLINE.finditer(text)), len(text)]
    blocks: list[Block] = []
    list_depth = 0
    for token in tokens:
        if token.type in ("list_item_open", "list_item_close"):
            list_depth += token.nesting
        kind = _KINDS.get(token.type)
        if kind is None or token.map is None or _is_comment(token):
            continue
        if kind is BlockKind.PARAGRAPH and list_depth:
            kind = BlockKind.LIST_ITEM
        first, last = token.map
        start, end = starts[first], starts[min(last, len(starts) - 1)]
        end = start + len(text[start:end].rstrip())
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if start < end and (not blocks or start >= blocks[-1].end):
            level = int(token.tag[1]) if kind is BlockKind.HEADING else 0
            blocks.append(Block(kind, start, end, level=level))
    return blocks


def _is_comment(token: Token) -> bool:
    content = token.content.strip()
    return token.type == "html_block" and content.startswith("<!--") and content.endswith("-->")


def _title(name: str, text: str, front: str, blocks: list[Block]) -> str:
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            line = _NEWLINE.split(text[block.start : block.end])[0]
            return _HEADING_MARKS.sub("", line).strip() or PurePath(name).stem
    match = _FRONT_TITLE.search(front)
    return (match.group(1).strip() if match else "") or PurePath(name).stem
