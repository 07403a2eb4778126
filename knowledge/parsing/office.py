"""docx → blocks, in the order of the body, paragraphs and tables interleaved."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import PurePath

from docx import Document as open_docx
from docx.oxml.ns import qn
from lxml import etree

from knowledge.parsing.archive import check_parts
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.limits import ParseLimits
from knowledge.types import BlockKind, ParsedDocument

_P, _TBL, _TR, _TC = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_VAL = qn("w:val")
# Deleted text, the fall-back copies of text boxes, and what only the editor shows.
_SKIPPED = frozenset(
    {
        qn("w:del"),
        qn("w:moveFrom"),
        qn("w:rPr"),
        qn("w:pPr"),
        qn("w:instrText"),
        "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
    }
)
_CHARS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_CONTAINERS = frozenset(
    {qn("w:sdt"), qn("w:sdtContent"), qn("w:ins"), qn("w:customXml"), qn("w:smartTag")}
)
_HEADING_STYLE = re.compile(r"(?:heading|标题|標題)\s*([1-9])", re.IGNORECASE)
_CONTENTS_STYLE = re.compile(r"(?:toc|目录|目錄)\s*(?:heading|标题|\d)?", re.IGNORECASE)
_LIST_STYLE = re.compile(r"list (?:bullet|number|continue)|(?:列表|项目符号|編號)", re.IGNORECASE)


def parse_docx(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a docx file.

    Raises:
        ParseFailed: broken, a decompression bomb, without text, or with too much of it.
    """
    check_parts(name, data, limits)
    document = open_docx(BytesIO(data))
    builder = DocumentBuilder(name, limits)
    reader = _BodyReader(builder, _style_levels(document.styles.element))
    for element in _children(document.element.body):
        if element.tag == _P:
            reader.add_paragraph(element)
        else:
            reader.add_table(element)
    title = (document.core_properties.title or "").strip()
    # The title that python-docx's own empty document carries says nothing.
    return builder.build(title=title if title and title != "Word Document" else PurePath(name).stem)


def _children(parent: etree._Element) -> Iterator[etree._Element]:
    """Gives paragraphs and tables in order, content controls opened, without recursion."""
    pending = list(reversed(parent))
    while pending:
        element = pending.pop()
        if element.tag in (_P, _TBL):
            yield element
        elif element.tag in _CONTAINERS:
            pending.extend(reversed(element))


def _style_levels(styles: etree._Element) -> dict[str, tuple[str, int]]:
    """Maps each paragraph style's id to its name and heading level (0: none)."""
    known: dict[str, tuple[str, int]] = {}
    for style in styles.iterchildren(qn("w:style")):
        label = style.find(qn("w:name"))
        title = (label.get(_VAL) or "") if label is not None else ""
        known[style.get(qn("w:styleId")) or ""] = (
            title,
            _heading_level(title, style.find(qn("w:pPr"))),
        )
    return known


def _heading_level(style_name: str, properties: etree._Element | None) -> int:
    if style_name.lower() in ("title", "标题", "標題"):
        return 1
    match = _HEADING_STYLE.fullmatch(style_name.strip())
    if match:
        return min(int(match.group(1)), 6)
    outline = properties.find(qn("w:outlineLvl")) if properties is not None else None
    value = (outline.get(_VAL) or "") if outline is not None else ""
    return min(int(value) + 1, 6) if value in set("012345678") else 0


class _BodyReader:
    """Turns body elements into blocks."""

    def __init__(self, builder: DocumentBuilder, styles: dict[str, tuple[str, int]]) -> None:
        self._builder = builder
        self._styles = styles

    def add_paragraph(self, element: etree._Element) -> None:
        """Adds a heading, list item or paragraph; entries of a table of contents are left out."""
        text = _text(element)
        if not text:
            return
        properties = element.find(qn("w:pPr"))
        style_name, level = self._style(properties)
        if _CONTENTS_STYLE.fullmatch(style_name.strip()):
            return
        level = _heading_level("", properties) or level
        if level:
            self._builder.add(BlockKind.HEADING, " ".join(text.split()), level=level)
        elif _LIST_STYLE.match(style_name) or _is_numbered(properties):
            self._builder.add(BlockKind.LIST_ITEM, f"- {text}")
        else:
            self._builder.add(BlockKind.PARAGRAPH, text)

    def add_table(self, table: etree._Element) -> None:
        """Adds one block per row; a cell merged downwards is repeated in each of its rows."""
        above: dict[int, str] = {}
        for row in table.iterchildren(_TR):
            cells: list[str] = []
            column = 0
            for cell in row.iterchildren(_TC):
                properties = cell.find(qn("w:tcPr"))
                text = above.get(column, "") if _continues_above(properties) else _cell_text(cell)
                above[column] = text
                cells.append(text)
                column += _span(properties)
            if any(cells):
                self._builder.add(BlockKind.TABLE_ROW, " | ".join(cells))

    def _style(self, properties: etree._Element | None) -> tuple[str, int]:
        style = properties.find(qn("w:pStyle")) if properties is not None else None
        return self._styles.get((style.get(_VAL) or "") if style is not None else "", ("", 0))


def _is_numbered(properties: etree._Element | None) -> bool:
    if properties is None:
        return False
    number = properties.find(f"{qn('w:numPr')}/{qn('w:numId')}")
    return number is not None and number.get(_VAL) != "0"


def _continues_above(properties: etree._Element | None) -> bool:
    merge = properties.find(qn("w:vMerge")) if properties is not None else None
    return merge is not None and merge.get(_VAL, "continue") == "continue"


def _span(properties: etree._Element | None) -> int:
    span = properties.find(qn("w:gridSpan")) if properties is not None else None
    value = (span.get(_VAL) or "") if span is not None else ""
    return int(value) if value.isascii() and value.isdigit() and 0 < len(value) < 4 else 1


def _cell_text(cell: etree._Element) -> str:
    return " ".join(_text(cell).split())


def _text(parent: etree._Element) -> str:
    """Gives the words of a paragraph or cell, insertions and text boxes included, no deletions."""
    pieces: list[str] = []
    pending = list(reversed(parent))
    while pending:
        element = pending.pop()
        if element.tag == qn("w:t"):
            pieces.append(element.text or "")
        elif element.tag in _CHARS:
            pieces.append(_CHARS[element.tag])
        elif element.tag not in _SKIPPED:
            pieces.append("\n" if element.tag == _P else "")
            pending.extend(reversed(element))
    return "".join(pieces).strip()
