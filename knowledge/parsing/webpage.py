"""HTML → blocks: the words a visitor of the page reads, without its menus and scripts."""

import codecs
import contextlib
import re
from itertools import islice
from pathlib import PurePath

from lxml import etree

from knowledge.errors import ParseFailed
from knowledge.parsing.builder import DocumentBuilder, no_text
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.limits import ParseLimits
from knowledge.types import BlockKind, ParsedDocument

_SKIPPED_TAGS = frozenset(
    {
        "script",
        "style",
        "noscript",
        "template",
        "nav",
        "footer",
        "aside",
        "head",
        "svg",
        "math",
        "iframe",
        "object",
        "canvas",
        "video",
        "audio",
        "button",
        "select",
        "textarea",
        "input",
        "datalist",
        "dialog",
    }
)
_SKIPPED_ROLES = frozenset({"navigation", "contentinfo", "complementary", "search", "menu"})
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCK_TAGS = frozenset(
    {
        "address",
        "article",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "form",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    }
) | frozenset(_HEADINGS)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]{2,20})", re.IGNORECASE)
_MAX_LOOK_AHEAD = 500  # elements; hostile nesting would be read again at every level
_SPACE = re.compile(r"[ \t\r\n\f\u00a0\u200b]+")


def parse_html(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses an html file; nothing it refers to is fetched.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: the page shows no text, or more of it than the limit.
    """
    root = _parse_page(name, data)
    if root is None:
        raise no_text(name)
    builder = DocumentBuilder(name, limits)
    _PageReader(builder).read(root)
    title = root.findtext(".//head/title") or ""
    return builder.build(title=title.strip() or PurePath(name).stem)


def read_page(builder: DocumentBuilder, data: bytes) -> None:
    """Appends a page's words to a document that others write to as well."""
    root = _parse_page("page", data)
    if root is not None:
        _PageReader(builder).read(root)


def _parse_page(name: str, data: bytes) -> etree._Element | None:
    text = _decode(name, data)
    parser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True
    )
    try:
        return etree.fromstring(text.encode("utf-8", errors="replace"), parser)
    except etree.XMLSyntaxError as error:
        raise ParseFailed(
            f"{name!r} holds no HTML that can be read; open it in a browser, save it again "
            "and upload the new file."
        ) from error


def _decode(name: str, data: bytes) -> str:
    """Decodes as the page declares, where that holds, else by the bytes."""
    marked = data.startswith(codecs.BOM_UTF8)  # the mark goes before the declaration, as in HTML
    declared = None if marked else _CHARSET.search(data[:2048])
    if declared:
        charset = declared.group(1).decode("ascii").lower()
        charset = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252"}.get(
            charset, charset
        )
        # Where the declaration is wrong, the bytes decide.
        with contextlib.suppress(LookupError, UnicodeError):
            return decode_text(name, data.decode(charset).encode("utf-8"))
    return decode_text(name, data)


class _PageReader:
    """Walks the tree once, without recursion, and hands finished blocks to the builder."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._pieces: list[str] = []
        self._lists: list[int | None] = []  # next number of each open list; None: bullets
        self._item_mark = ""
        self._n_items = 0  # open list items
        self._pre: etree._Element | None = None
        self._row: list[str] | None = None  # cells of the open table row
        self._row_element: etree._Element | None = None

    def read(self, root: etree._Element) -> None:
        """Adds every block of the page."""
        walker = etree.iterwalk(root, events=("start", "end"))
        skipped: etree._Element | None = None
        for event, element in walker:
            if event == "start":
                if _is_skipped(element):
                    skipped = element
                    walker.skip_subtree()
                    continue
                self._open(element)
                self._append(element.text)
            else:
                if element is not skipped:
                    self._close(element)
                skipped = None if element is skipped else skipped
                self._append(element.tail)
        self._flush()

    def _open(self, element: etree._Element) -> None:
        tag = element.tag
        if self._row is not None:
            self._open_in_row(tag)
            return
        if tag == "br":
            self._pieces.append("\n")
        if tag not in _BLOCK_TAGS:
            return
        self._flush()
        if tag == "tr" and not _is_layout(element):
            self._row, self._row_element = [], element
        elif tag in ("ul", "ol"):
            self._lists.append(_first_number(element) if tag == "ol" else None)
        elif tag == "li":
            self._n_items += 1
            self._item_mark = self._next_mark()
        elif tag == "pre":
            self._pre = element

    def _open_in_row(self, tag: str) -> None:
        if tag == "br" or tag in _BLOCK_TAGS:
            self._pieces.append(" ")

    def _close(self, element: etree._Element) -> None:
        tag = element.tag
        if self._row is not None:
            self._close_in_row(element, self._row)
            return
        if tag not in _BLOCK_TAGS:
            return
        self._flush(level=_HEADINGS.get(tag, 0))
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._n_items -= 1
            self._item_mark = ""
        elif element is self._pre:
            self._pre = None

    def _close_in_row(self, element: etree._Element, row: list[str]) -> None:
        if element.tag in ("td", "th"):
            row.append(self._take().replace("\n", " "))
        elif element is self._row_element:
            rest = self._take()
            cells = [*row, rest] if rest else row
            self._row = self._row_element = None
            if any(cells):
                self._builder.add(BlockKind.TABLE_ROW, " | ".join(cells))
        elif element.tag in _BLOCK_TAGS:
            self._pieces.append(" ")

    def _append(self, text: str | None) -> None:
        if text:
            self._pieces.append(text if self._pre is not None else _SPACE.sub(" ", text))

    def _take(self) -> str:
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._pre is not None:
            return text.strip("\n")
        lines = (_SPACE.sub(" ", line).strip() for line in text.split("\n"))
        return "\n".join(line for line in lines if line)

    def _flush(self, *, level: int = 0) -> None:
        text = self._take()
        if not text.strip():
            return
        if level:
            self._builder.add(BlockKind.HEADING, text.replace("\n", " "), level=level)
        elif self._pre is not None:
            self._builder.add(BlockKind.CODE, text)
        elif self._n_items:
            self._builder.add(BlockKind.LIST_ITEM, self._item_mark + text)
            self._item_mark = ""
        else:
            self._builder.add(BlockKind.PARAGRAPH, text)

    def _next_mark(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "


def _is_skipped(element: etree._Element) -> bool:
    if element.tag in _SKIPPED_TAGS or element.get("hidden") is not None:
        return True
    if element.tag == "header" and not _is_layout(element):
        return True  # the site's name and slogan; a header with a heading belongs to the text
    if element.get("aria-hidden") == "true" or element.get("role") in _SKIPPED_ROLES:
        return True
    return _HIDDEN_STYLE.search(element.get("style", "")[:1000]) is not None


def _is_layout(element: etree._Element) -> bool:
    """Tells whether an element holds headings or tables of its own, as rows of old pages do."""
    inside = islice(element.iter("*"), 1, _MAX_LOOK_AHEAD)
    return any(inner.tag == "table" or inner.tag in _HEADINGS for inner in inside)


def _first_number(element: etree._Element) -> int:
    start = element.get("start", "1")
    return int(start) if start.isascii() and start.isdigit() and len(start) < 6 else 1
