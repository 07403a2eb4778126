"""Opens office containers without trusting them: bombs and hostile XML stay outside.

The central directory is checked before a byte is inflated, and every XML part is then inflated
in small steps and counted, because the directory can lie.
"""

import zipfile
import zlib
from io import BytesIO

from knowledge.errors import ParseFailed
from knowledge.parsing.limits import ParseLimits

_STEP_BYTES = 1 << 20
_MAX_PARTS = 10_000
_MAX_ENTRIES = 1 << 16  # a directory of more is not even read into memory
_ENTRY = b"PK\x01\x02"
_MAX_RATIO = 150  # deflate cannot pass 1032; office files stay under about 50
_RATIO_FROM_BYTES = 4 << 20  # small parts may repeat themselves as they like
#: What `zipfile` raises on bytes that are not what it hopes for.
READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
)


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Opens a zip archive for reading.

    Raises:
        zipfile.BadZipFile: no archive, or with far more entries than anybody packs.
    """
    if data.count(_ENTRY) > _MAX_ENTRIES:
        raise zipfile.BadZipFile("too many entries")
    return zipfile.ZipFile(BytesIO(data))


def list_parts(name: str, data: bytes, limits: ParseLimits) -> list[str]:
    """Checks the declared sizes, without inflating, and gives the names of the parts.

    Raises:
        ParseFailed: not a whole zip archive, or it would unpack to too much.
    """
    try:
        with open_archive(data) as archive:
            parts = archive.infolist()
    except (*READ_ERRORS, ValueError, UnicodeError) as error:
        raise broken(name) from error
    n_bytes = sum(part.file_size for part in parts)
    if n_bytes > limits.max_unpacked_bytes or len(parts) > _MAX_PARTS:
        raise _bomb(name, limits)
    if any(is_bomb(part.file_size, part.compress_size) for part in parts):
        raise _bomb(name, limits)
    return [part.filename for part in parts]


def check_parts(name: str, data: bytes, limits: ParseLimits) -> None:
    """Inflates every XML part once, in steps, so that the real parser meets no surprise.

    Raises:
        ParseFailed: broken or encrypted data, too much of it, or XML with a document type,
            which office files never have and entity bombs and external entities need.
    """
    n_left = limits.max_unpacked_bytes
    try:
        with open_archive(data) as archive:
            for part in archive.infolist():
                if not part.filename.lower().endswith((".xml", ".rels", ".vml")):
                    continue
                content = inflate(archive, part, n_left)
                n_left -= len(content)
                if n_left < 0 or is_bomb(len(content), part.compress_size):
                    raise _bomb(name, limits)
                _check_xml(name, content)
    except (*READ_ERRORS, ValueError) as error:
        raise broken(name) from error


def read_parts(
    name: str, data: bytes, limits: ParseLimits, *, suffixes: tuple[str, ...]
) -> dict[str, bytes]:
    """Inflates the parts of these suffixes within the limit; their XML is the caller's to guard.

    Raises:
        ParseFailed: broken or encrypted data, or too much of it.
    """
    list_parts(name, data, limits)
    contents: dict[str, bytes] = {}
    n_left = limits.max_unpacked_bytes
    try:
        with open_archive(data) as archive:
            for part in archive.infolist():
                if not part.filename.lower().endswith(suffixes):
                    continue
                content = inflate(archive, part, n_left)
                n_left -= len(content)
                if n_left < 0 or is_bomb(len(content), part.compress_size):
                    raise _bomb(name, limits)
                contents[part.filename] = content
    except (*READ_ERRORS, ValueError) as error:
        raise broken(name) from error
    return contents


def broken(name: str) -> ParseFailed:
    """Makes the error for a container that cannot be read."""
    return ParseFailed(
        f"{name!r} is damaged and cannot be opened; open it in its office program, "
        "save it again and upload the new file."
    )


def inflate(archive: zipfile.ZipFile, part: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """Inflates one part step by step, until its end or past `max_bytes`."""
    steps, n_bytes = [], 0
    with archive.open(part) as stream:
        while n_bytes <= max_bytes and (step := stream.read(_STEP_BYTES)):
            steps.append(step)
            n_bytes += len(step)
    return b"".join(steps)


def _check_xml(name: str, content: bytes) -> None:
    plain = content.replace(b"\0", b"") if content[:4].count(0) else content  # UTF-16 → ASCII
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise ParseFailed(
            f"{name!r} holds XML with a document type, which office programs do not write; "
            "save it again in an office program and upload the new file."
        )


def is_bomb(n_unpacked: int, n_packed: int) -> bool:
    """True where so much comes out of so little that no honest file does it."""
    return n_unpacked > _RATIO_FROM_BYTES and n_unpacked > _MAX_RATIO * max(n_packed, 1)


def _bomb(name: str, limits: ParseLimits) -> ParseFailed:
    return ParseFailed(
        f"{name!r} would unpack to more than the limit of {limits.max_unpacked_bytes:,} bytes or "
        f"{_MAX_RATIO} times its size; remove large or repeated content and upload it again."
    )
