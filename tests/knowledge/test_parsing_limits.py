"""What is refused at upload or while parsing, and that nothing else ever escapes."""

import zipfile
from io import BytesIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from knowledge.errors import FileTooLarge, KnowledgeError, ParseFailed, UnsupportedFormat
from knowledge.parsing.registry import SUFFIXES, ParseLimits, check_upload, parse
from tests.document_files import LIMITS, make_docx, make_pdf, make_xlsx, replace_part

DOCX = make_docx(lambda document: document.add_paragraph("Text."))
XLSX = make_xlsx(lambda workbook: workbook.worksheets[0].append(["Text", "here"]))
PDF = make_pdf([[(50, 700, 12, "Text.")]])
BODY = "word/document.xml"
ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:body><w:p><w:r><w:t>&b;</w:t></w:r></w:p></w:body></w:document>"""


def test_suffixes_are_those_documented() -> None:
    documented = {".txt", ".md", ".html", ".htm", ".pdf", ".docx", ".xlsx", ".csv"}
    assert documented <= SUFFIXES


@pytest.mark.parametrize("name", ["A.TXT", "x.y.Md", "册.CSV"])
def test_check_upload_accepts_known_files(name: str) -> None:
    assert check_upload(name, b"text", LIMITS) is None


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.exe", b"MZ", UnsupportedFormat, r"'\.exe', but only \.bmp, .* can be read"),
        ("noend", b"text", UnsupportedFormat, "suffix ''"),
        ("old.doc", b"\xd0\xcf\x11\xe0", UnsupportedFormat, r"save it as \.docx"),
        ("a.txt", b"", ParseFailed, r"empty \(0 bytes\)"),
        ("a.txt", b"x" * (LIMITS.max_bytes + 1), FileTooLarge, "more than the limit of 2,097,152"),
        ("a.pdf", b"plain words", UnsupportedFormat, "should be a PDF file"),
        ("a.txt", PDF, UnsupportedFormat, "is a PDF file"),
        ("a.csv", XLSX, UnsupportedFormat, "ZIP archive or an office file"),
        ("a.docx", PDF, UnsupportedFormat, "should be a Word document"),
        ("a.docx", XLSX, UnsupportedFormat, "another kind of archive"),
        ("a.xlsx", DOCX, UnsupportedFormat, "another kind of archive"),
        (
            "a.docx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            UnsupportedFormat,
            "protected by a password",
        ),
        ("a.md", b"\x89PNG\r\n", UnsupportedFormat, "a PNG picture"),
        ("a.docx", DOCX[: len(DOCX) // 2], ParseFailed, "damaged"),
    ],
)
def test_check_upload_refuses(name: str, data: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        check_upload(name, data, LIMITS)
    assert name in str(caught.value)


def test_check_upload_sees_a_bomb_before_inflating_it() -> None:
    bomb = replace_part(DOCX, "word/media/x.bin", bytes(5 << 20))
    with pytest.raises(ParseFailed, match="150 times its size"):
        check_upload("b.docx", bomb, LIMITS)


def test_check_upload_adds_up_declared_sizes() -> None:
    small = ParseLimits(5, 1000, max_unpacked_bytes=5000, max_bytes=1 << 20)
    with pytest.raises(ParseFailed, match="limit of 5,000 bytes"):
        check_upload("b.docx", DOCX, small)


def test_parse_does_not_believe_declared_sizes() -> None:
    bomb = bytearray(replace_part(XLSX, "xl/styles.xml", bytes(8 << 20)))
    honest = (8 << 20).to_bytes(4, "little")
    assert honest in bomb
    with pytest.raises(ParseFailed):
        parse("b.xlsx", bytes(bomb.replace(honest, (900).to_bytes(4, "little"))), LIMITS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_parse_refuses_xml_with_entities(encoding: str) -> None:
    data = replace_part(DOCX, BODY, ENTITIES.decode().encode(encoding))
    with pytest.raises(ParseFailed, match="document type"):
        parse("e.docx", data, LIMITS)


def test_parse_refuses_encrypted_parts() -> None:
    data = bytearray(DOCX)
    with zipfile.ZipFile(BytesIO(DOCX)) as archive:
        offsets = [part.header_offset for part in archive.infolist()]
    central = data.index(b"PK\x01\x02")
    data[offsets[0] + 6] |= 1
    data[central + 8] |= 1
    with pytest.raises(ParseFailed, match="damaged"):
        parse("e.docx", bytes(data), LIMITS)


@pytest.mark.parametrize("content", [b"<no-end", b"<a/>", b""])
def test_parse_of_a_broken_body_says_so(content: bytes) -> None:
    with pytest.raises(ParseFailed, match=r"damaged|no text"):
        parse("e.docx", replace_part(DOCX, BODY, content), LIMITS)


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "csv"])
def test_parse_limits_text(suffix: str) -> None:
    with pytest.raises(ParseFailed, match="more than 20,000 characters"):
        parse(f"x.{suffix}", "字,词\n".encode() * 10_000, LIMITS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b" \r\n\t"),
        ("a.md", b"---\ntitle: x\n---\n"),
        ("a.html", b"<script>x</script>"),
        ("a.csv", b",,\n,,\n"),
        ("a.docx", make_docx(lambda _: None)),
        ("a.xlsx", make_xlsx(lambda _: None)),
    ],
)
def test_parse_refuses_files_without_text(name: str, data: bytes) -> None:
    with pytest.raises(ParseFailed, match="no text"):
        parse(name, data, LIMITS)


def test_limits_have_to_be_positive() -> None:
    with pytest.raises(ValueError, match="max_pdf_pages must be positive"):
        ParseLimits(0, 1, 1, 1)


@given(data=st.binary(min_size=1, max_size=300), suffix=st.sampled_from(sorted(SUFFIXES)))
@example(data=b"\xff\xfe\x00\xd8", suffix=".txt")
@example(data=b"%PDF-", suffix=".pdf")
@settings(max_examples=150, deadline=None)
def test_parse_raises_only_its_own_errors(data: bytes, suffix: str) -> None:
    _parses_or_refuses("x" + suffix, data)


@given(
    file=st.sampled_from([("x.pdf", PDF), ("x.docx", DOCX), ("x.xlsx", XLSX)]),
    position=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_parse_of_damaged_files_raises_only_its_own_errors(
    file: tuple[str, bytes], position: float, patch: bytes
) -> None:
    name, data = file
    at = int(position * len(data))
    _parses_or_refuses(name, data[:at] + patch + data[at + len(patch) :])


def _parses_or_refuses(name: str, data: bytes) -> None:
    try:
        document = parse(name, data, LIMITS)
    except KnowledgeError as error:
        assert name in str(error)  # noqa: PT017
        return
    assert document.title
    ends = [0]
    for block in document.blocks:
        assert ends[-1] <= block.start < block.end <= len(document.text)
        ends.append(block.end)
