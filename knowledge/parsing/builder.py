"""Builds the stored text of formats whose own bytes are not text, together with its blocks."""

import re

from knowledge.errors import ParseFailed
from knowledge.parsing.limits import ParseLimits
from knowledge.types import Block, BlockKind, ParsedDocument

# Control characters but tab and newline, and lone surrogates: no database or page shows them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CLOSE_KINDS = frozenset({BlockKind.LIST_ITEM, BlockKind.TABLE_ROW})


def too_long(name: str, limits: ParseLimits) -> ParseFailed:
    """Makes the error for a file with more text than allowed."""
    return ParseFailed(
        f"{name!r} holds more than {limits.max_text_chars:,} characters of text, the limit; "
        "split it into smaller files and upload those."
    )


def no_text(name: str) -> ParseFailed:
    """Makes the error for a readable file in which there is nothing to read."""
    return ParseFailed(f"{name!r} can be read but holds no text; upload a file with text in it.")


def too_many_scans(name: str, n_pages: int, limits: ParseLimits) -> ParseFailed:
    """Makes the error for a file with more pictures of pages than are read."""
    return ParseFailed(
        f"{name!r} has {n_pages:,} scanned pages, more than the limit of "
        f"{limits.max_ocr_pages:,}; split it into smaller files and upload those."
    )


class DocumentBuilder:
    """Appends blocks to a text and keeps their offsets; refuses text over the limit at once."""

    def __init__(self, name: str, limits: ParseLimits) -> None:
        self._name = name
        self._limits = limits
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._first_heading = ""

    def add(self, kind: BlockKind, text: str, *, level: int = 0, page: int | None = None) -> None:
        """Appends one block; text without a visible character is left out.

        Raises:
            ParseFailed: the document is now over the limit of characters.
        """
        visible = _UNPRINTABLE.sub("", text).strip()
        if not visible:
            return
        separator = self._separator(kind)
        start = self._length + len(separator)
        self._length = start + len(visible)
        if self._length > self._limits.max_text_chars:
            raise too_long(self._name, self._limits)
        self._parts += [separator, visible]
        self._blocks.append(Block(kind, start, self._length, level=level, page=page))
        if kind is BlockKind.HEADING and not self._first_heading:
            self._first_heading = " ".join(visible.split())

    def build(
        self, *, title: str, n_pages: int | None = None, heading_is_title: bool = True
    ) -> ParsedDocument:
        """Gives the document; its first heading goes before `title` unless told otherwise.

        Raises:
            ParseFailed: no block was added.
        """
        if not self._blocks:
            raise no_text(self._name)
        if heading_is_title and self._first_heading:
            title = self._first_heading
        title = _UNPRINTABLE.sub("", " ".join(title.split()))
        return ParsedDocument("".join(self._parts), title, tuple(self._blocks), n_pages)

    def _separator(self, kind: BlockKind) -> str:
        if not self._blocks:
            return ""
        previous = self._blocks[-1].kind
        return "\n" if kind in _CLOSE_KINDS and previous is kind else "\n\n"
