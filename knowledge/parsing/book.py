"""EPUB → blocks: the chapters in reading order, each read as a page of HTML."""

import re
from pathlib import PurePath
from posixpath import dirname, join, normpath
from urllib.parse import unquote

from lxml import etree

from knowledge.errors import ParseFailed, UnsupportedFormat
from knowledge.parsing.archive import broken, read_parts
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.webpage import read_page
from knowledge.types import ParsedDocument

_CONTAINER = "META-INF/container.xml"
_RIGHTS = "META-INF/encryption.xml"
_PAGE_SUFFIXES = (".xhtml", ".html", ".htm", ".xml", ".opf")
_PAGE_TYPES = frozenset({"application/xhtml+xml", "text/html"})
#: With its internal subset, where entities are declared; nothing of it is ever resolved.
_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]{0,2000}(?:\[[^\]]{0,20000}\]\s*)?>", re.IGNORECASE)


def parse_epub(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses an electronic book without pictures, styles and its own table of contents.

    Raises:
        ParseFailed: damaged, protected, without text, or beyond a limit.
    """
    parts = read_parts(name, data, limits, suffixes=_PAGE_SUFFIXES)
    if _CONTAINER not in parts:
        raise broken(name)
    package = _xml(name, parts[_CONTAINER]).find(".//{*}rootfile")
    path = package.get("full-path", "") if package is not None else ""
    if path not in parts:
        raise broken(name)
    book = _xml(name, parts[path])
    builder = DocumentBuilder(name, limits)
    title = (book.findtext(".//{*}metadata/{*}title") or "").strip() or PurePath(name).stem
    try:
        for chapter in _chapters(book, dirname(path)):
            if chapter in parts:
                read_page(builder, _DOCTYPE.sub(b"", parts[chapter], count=1))
    except UnsupportedFormat as error:  # a chapter that is no text
        raise (_protected(name) if _RIGHTS in parts else broken(name)) from error
    return builder.build(title=title, heading_is_title=False)


def _protected(name: str) -> ParseFailed:
    return ParseFailed(
        f"{name!r} is protected against copying; upload an edition without protection."
    )


def _xml(name: str, content: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(_DOCTYPE.sub(b"", content, count=1), parser)
    except etree.XMLSyntaxError as error:
        raise broken(name) from error


def _chapters(book: etree._Element, folder: str) -> list[str]:
    """Gives the parts of the spine, each once, in reading order."""
    pages = {
        item.get("id"): normpath(join(folder, unquote(item.get("href", ""))))
        for item in book.iterfind(".//{*}manifest/{*}item")
        if item.get("media-type") in _PAGE_TYPES and "nav" not in item.get("properties", "").split()
    }
    spine = [item.get("idref") for item in book.iterfind(".//{*}spine/{*}itemref")]
    return list(dict.fromkeys(pages[one] for one in spine if one in pages))
