"""A ZIP file of many documents → its members, each with its content or with why it is refused.

Comes before ingestion. Nothing is written to disk, and one member at a time is in memory; what
the archive says of itself is checked before a byte is inflated, and counted while inflating.
"""

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from knowledge.bundle_names import clean_path, decode_names, is_junk
from knowledge.errors import FileTooLarge, KnowledgeError, ParseFailed, UnsupportedFormat
from knowledge.parsing.archive import READ_ERRORS, inflate, is_bomb, open_archive
from knowledge.parsing.limits import ParseLimits
from knowledge.types import DocumentId, JobId

BUNDLE_SUFFIX = ".zip"
MAX_MEMBERS = 2_000
_MAX_ENTRIES = 10_000
_ENCRYPTED = 0x1
#: Other methods take memory that the archive chooses, or libraries that a server may lack.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_OFFICE_PARTS = frozenset({"[Content_Types].xml", "META-INF/container.xml"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bundle: its path, and its content or the reason for having none."""

    name: str
    content: bytes = b""
    error: KnowledgeError | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One file of an upload: the document and job that it became, or why it was refused."""

    name: str
    document_id: DocumentId | None = None
    job_id: JobId | None = None
    error: KnowledgeError | None = None


def is_bundle(name: str) -> bool:
    """True for a file that holds several documents, by its suffix as for every format."""
    return PurePath(name).suffix.lower() == BUNDLE_SUFFIX


def unpack(name: str, data: bytes, limits: ParseLimits) -> Iterator[Member]:
    """Yields the files of a bundle in its order; folders and systems' leftovers are left out.

    Raises:
        ParseFailed: no whole ZIP archive, without files, or with a directory beyond the limit.
        UnsupportedFormat: an office file or a book with the suffix of a ZIP archive.
    """
    try:
        with open_archive(data) as archive:
            parts = archive.infolist()
            if _OFFICE_PARTS & {part.filename for part in parts}:
                raise UnsupportedFormat(
                    f"{name!r} is an office file or a book with the suffix '.zip'; upload it with "
                    "the suffix of its real format."
                )
            if len(parts) > _MAX_ENTRIES:
                raise ParseFailed(
                    f"{name!r} holds {len(parts):,} entries, more than the limit of "
                    f"{_MAX_ENTRIES:,}; pack fewer files into one archive."
                )
            files = [
                (part, path)
                for part, path in zip(parts, decode_names(parts), strict=True)
                if not path.endswith(("/", "\\")) and not is_junk(path)
            ]
            if not files:
                raise ParseFailed(f"{name!r} holds no files; pack the documents and upload it.")
            reader = _Reader(archive, limits)
            for part, path in files:
                yield reader.read(part, path)
    except (*READ_ERRORS, ValueError, UnicodeError) as error:
        raise ParseFailed(
            f"{name!r} is damaged and cannot be opened as a ZIP archive; pack the files again "
            "and upload the new archive."
        ) from error


class _Reader:
    """Reads members within the limits of their archive, which it keeps account of."""

    def __init__(self, archive: zipfile.ZipFile, limits: ParseLimits) -> None:
        self._archive = archive
        self._limits = limits
        self._n_left = limits.max_unpacked_bytes
        self._names: set[str] = set()

    def read(self, part: zipfile.ZipInfo, path: str) -> Member:
        """Returns a member, with its content or with the first reason against it."""
        try:
            name = clean_path(path)
        except UnsupportedFormat as error:
            return Member(_shown(path), error=error)
        try:
            self._check(part, name)
            self._names.add(name)
            return Member(name, self._content(part, name))
        except KnowledgeError as error:
            return Member(name, error=error)

    def _check(self, part: zipfile.ZipInfo, name: str) -> None:
        limits = self._limits
        if len(self._names) >= MAX_MEMBERS:
            raise ParseFailed(
                f"{name!r} comes after the {MAX_MEMBERS:,} files that one archive may bring; "
                "upload the others in an archive of their own."
            )
        if name in self._names:
            raise UnsupportedFormat(f"{name!r} is in the archive twice; the first one was taken.")
        kind = stat.S_IFMT(part.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise UnsupportedFormat(
                f"{name!r} is a link or a device, not a file; pack the file that it stands for."
            )
        if is_bundle(name):
            raise UnsupportedFormat(
                f"{name!r} is an archive within an archive; unpack it and pack its files."
            )
        if part.flag_bits & _ENCRYPTED:
            raise ParseFailed(f"{name!r} is protected by a password; pack it without one.")
        if part.compress_type not in _METHODS:
            raise ParseFailed(
                f"{name!r} is packed by a method that is not read (number {part.compress_type}); "
                "pack the files by the usual one (deflate)."
            )
        if part.file_size > limits.max_bytes:
            raise FileTooLarge(
                f"{name!r} has {part.file_size:,} bytes, more than the limit of "
                f"{limits.max_bytes:,}; split it into smaller files and upload those."
            )
        if is_bomb(part.file_size, part.compress_size) or part.file_size > self._n_left:
            raise _bomb(name, limits)

    def _content(self, part: zipfile.ZipInfo, name: str) -> bytes:
        """Inflates one member; however it ends, what it took counts."""
        try:
            content = inflate(self._archive, part, min(self._n_left, self._limits.max_bytes))
        except (*READ_ERRORS, ValueError) as error:
            self._n_left -= part.file_size
            raise ParseFailed(
                f"{name!r} is damaged and cannot be unpacked; pack it again and upload it."
            ) from error
        self._n_left -= len(content)
        if self._n_left < 0 or is_bomb(len(content), part.compress_size):
            raise _bomb(name, self._limits)
        return content


def _bomb(name: str, limits: ParseLimits) -> ParseFailed:
    return ParseFailed(
        f"{name!r} would unpack to more than the limit of {limits.max_unpacked_bytes:,} bytes "
        "for all files of an archive, or to many times its size; upload it on its own."
    )


def _shown(path: str) -> str:
    """Gives a refused name as it can be shown: no control characters, not endless."""
    return "".join(char if char.isprintable() else "\ufffd" for char in path[:255]) or "?"
