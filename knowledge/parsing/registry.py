"""Uploaded file → `ParsedDocument`: picks the parser by suffix and guards it.

First step of ingestion, before chunking. No file is trusted: its signature has to fit its
suffix, sizes are limited, and whatever a parsing library makes of hostile content leaves this
module as a `KnowledgeError` with one sentence for the person who uploaded it.
"""

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import PurePath

from knowledge.errors import FileTooLarge, KnowledgeError, ParseFailed, UnsupportedFormat
from knowledge.parsing.archive import list_parts
from knowledge.parsing.limits import ParseLimits
from knowledge.types import ParsedDocument

__all__ = ["PICTURE_SUFFIXES", "SUFFIXES", "ParseLimits", "check_upload", "parse"]


_Parser = Callable[[str, bytes, ParseLimits], ParsedDocument]
_logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_PARSERS = {
    ".txt": ("plain", "parse_plain"),
    ".md": ("markup", "parse_markdown"),
    ".markdown": ("markup", "parse_markdown"),
    ".html": ("webpage", "parse_html"),
    ".htm": ("webpage", "parse_html"),
    ".pdf": ("pdf", "parse_pdf"),
    ".docx": ("office", "parse_docx"),
    ".pptx": ("slides", "parse_pptx"),
    ".xlsx": ("tabular", "parse_xlsx"),
    ".json": ("records", "parse_json"),
    ".jsonl": ("records", "parse_jsonl"),
    ".eml": ("mail", "parse_eml"),
    ".epub": ("book", "parse_epub"),
    ".csv": ("tabular", "parse_csv"),
    **dict.fromkeys(PICTURE_SUFFIXES, ("pictures", "parse_picture")),
}
SUFFIXES = frozenset(_PARSERS)

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_SIGNATURES = (
    (b"%PDF-", "a PDF file"),
    (_ZIP, "a ZIP archive or an office file"),
    (_OLE, "an old office file or one protected by a password"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"{\\rtf", "a rich text file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
)
_PICTURE_MARKS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")
_MAIN_PARTS = {
    ".docx": ("word/", "a Word document"),
    ".xlsx": ("xl/", "an Excel workbook"),
    ".pptx": ("ppt/", "a PowerPoint presentation"),
    ".epub": ("META-INF/container.xml", "an EPUB book"),
}
_HINTS = {
    ".zip": "unpack it, choose one of its files",
    ".doc": "save it as .docx",
    ".xls": "save it as .xlsx",
    ".ppt": "save it as .pptx",
    ".rtf": "save it as .docx",
    ".odt": "save it as .docx",
    ".ods": "save it as .xlsx",
}


def check_upload(name: str, data: bytes, limits: ParseLimits) -> None:
    """Refuses at once what parsing would refuse anyway, without inflating or reading it all.

    Args:
        name: the file's name; its suffix, in any case, decides the format.
        data: the whole file.
        limits: `max_bytes` and `max_unpacked_bytes` are looked at.

    Raises:
        UnsupportedFormat: unknown suffix, or the content is of another format.
        FileTooLarge: more bytes than allowed.
        ParseFailed: empty, or an office file that unpacks to too much.
    """
    suffix = _suffix(name)
    if suffix not in SUFFIXES:
        known = ", ".join(sorted(SUFFIXES))
        raise UnsupportedFormat(
            f"{name!r} has the suffix {suffix!r}, but only {known} can be read; "
            f"{_HINTS.get(suffix, 'convert it to one of these')} and upload it again."
        )
    if not data:
        raise ParseFailed(f"{name!r} is empty (0 bytes); upload the file with its content.")
    if len(data) > limits.max_bytes:
        raise FileTooLarge(
            f"{name!r} has {len(data):,} bytes, more than the limit of {limits.max_bytes:,}; "
            "split it into smaller files and upload those."
        )
    _check_signature(name, suffix, data)
    if suffix in _MAIN_PARTS:
        _check_office_file(name, suffix, data, limits)


def parse(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Reads a file's text and structure.

    Args:
        name: the file's name; its suffix, in any case, decides the format.
        data: the whole file.
        limits: how much of everything is allowed.

    Raises:
        UnsupportedFormat: unknown suffix, or the content is of another format.
        FileTooLarge: more bytes than allowed.
        ParseFailed: empty, broken, encrypted, without words, or beyond another limit.
    """
    check_upload(name, data, limits)
    try:
        return _parser(_suffix(name))(name, data, limits)
    except KnowledgeError:
        raise
    except Exception as error:
        # Parsing libraries meet hostile bytes with errors of every type; the upload is at fault.
        _logger.info("Parsing failed with %s", type(error).__name__)
        raise ParseFailed(
            f"{name!r} is damaged and cannot be read as {_suffix(name)}; open it in the program "
            "that made it, save it again and upload the new file."
        ) from error


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _parser(suffix: str) -> _Parser:
    """Loads a format's library only when a file of it comes."""
    module, function = _PARSERS[suffix]
    parser: _Parser = getattr(import_module(f"knowledge.parsing.{module}"), function)
    return parser


def _check_signature(name: str, suffix: str, data: bytes) -> None:
    found = next((label for mark, label in _SIGNATURES if data.startswith(mark)), None)
    if suffix == ".pdf":
        if b"%PDF-" in data[:1024]:
            return
        expected = "a PDF file"
    elif suffix in _MAIN_PARTS:
        if data.startswith(_ZIP):
            return
        expected = _MAIN_PARTS[suffix][1]
    elif suffix in PICTURE_SUFFIXES:  # its own suffix or that of another picture
        if data.startswith(_PICTURE_MARKS) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
            return
        expected = "a picture"
    else:
        if found is None:
            return
        expected = "a text file"
    raise UnsupportedFormat(
        f"{name!r} should be {expected} by its suffix, but its content is "
        f"{found or 'something else'}; upload the unprotected file with the suffix of its format."
    )


def _check_office_file(name: str, suffix: str, data: bytes, limits: ParseLimits) -> None:
    folder, expected = _MAIN_PARTS[suffix]
    if not any(part.startswith(folder) for part in list_parts(name, data, limits)):
        raise UnsupportedFormat(
            f"{name!r} should be {expected} by its suffix, but it is another kind of archive; "
            "upload it with the suffix of its real format."
        )
