"""EPUB books: chapters in reading order, and nothing of them trusted."""

import zipfile
from io import BytesIO

import pytest

from knowledge.errors import ParseFailed, UnsupportedFormat
from knowledge.parsing.registry import parse
from tests.knowledge_kit import LIMITS

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
BOOK = (
    '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    "<metadata><dc:title>产品手册</dc:title></metadata><manifest>"
    '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
    '<item id="a" href="a%20b.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="b" href="b.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="x" href="../../../etc/passwd" media-type="application/xhtml+xml"/></manifest>'
    '<spine><itemref idref="n"/><itemref idref="b"/><itemref idref="a"/><itemref idref="x"/>'
    "</spine></package>"
)
DOCTYPE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<!DOCTYPE html [<!ENTITY secret SYSTEM "file:///etc/hostname"><!ENTITY lol "lollol">]>'
)


def page(body: str) -> str:
    return f'{DOCTYPE}<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'


def book(**changes: str | bytes) -> bytes:
    parts: dict[str, str | bytes] = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": BOOK,
        "OEBPS/nav.xhtml": page("<p>contents</p>"),
        "OEBPS/a b.xhtml": page("<h1>Second</h1><p>保修两年。</p>"),
        "OEBPS/b.xhtml": page("<h1>First</h1><p>Hello &secret; &lol; world.</p>"),
        **changes,
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in parts.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def test_chapters_come_in_reading_order() -> None:
    parsed = parse("book.epub", book(), LIMITS)
    assert parsed.title == "产品手册"
    assert parsed.text.index("First") < parsed.text.index("Second") < parsed.text.index("保修两年")
    assert "contents" not in parsed.text


def test_entities_of_chapters_stay_unresolved() -> None:
    text = parse("book.epub", book(), LIMITS).text
    assert "lollol" not in text
    assert "&secret;" in text


def test_protected_book_is_named_so() -> None:
    content = book(**{"META-INF/encryption.xml": "<x/>", "OEBPS/b.xhtml": bytes(range(256)) * 9})
    with pytest.raises(ParseFailed, match="protected"):
        parse("book.epub", content, LIMITS)


@pytest.mark.parametrize("path", ["META-INF/container.xml", "OEBPS/book.opf"])
def test_broken_package_is_refused(path: str) -> None:
    with pytest.raises(ParseFailed, match="damaged"):
        parse("book.epub", book(**{path: "<not"}), LIMITS)


def test_bomb_chapter_is_refused() -> None:
    with pytest.raises(ParseFailed, match="unpack"):
        parse("book.epub", book(**{"OEBPS/b.xhtml": b"a" * (5 << 20)}), LIMITS)


def test_other_archive_is_no_book() -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(UnsupportedFormat, match="EPUB"):
        parse("book.epub", buffer.getvalue(), LIMITS)
