"""Names inside a ZIP file → names of documents: decoded, and never a way out of a folder.

A ZIP entry marks its name as UTF-8 or leaves open what it is: code page 437 by the book, GBK or
Big5 where Windows packed it in Chinese, UTF-8 without the mark on a Mac.
"""

import re
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath

from knowledge.errors import UnsupportedFormat
from knowledge.parsing.encoding import guess_encoding

MAX_NAME_CHARS = 255
_UTF8_FLAG = 0x800
_DRIVE = re.compile(r"[A-Za-z]:")
_UNSEEN = ("Cc", "Cf", "Cs")  # controls, marks such as the one that reverses text, surrogates
_JUNK = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


def decode_names(parts: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Returns the names as they were meant; unmarked ones are judged together.

    One name has too few letters to tell GBK from Big5, and all come from one machine.
    """
    unmarked = [_raw(part) for part in parts if not part.flag_bits & _UTF8_FLAG]
    foreign = [raw for raw in unmarked if not raw.isascii()]
    encoding = guess_encoding(b"\n".join(foreign)) or "cp437"
    return [_decode(part, encoding) for part in parts]


def clean_path(path: str) -> str:
    """Returns a path of visible characters and forward slashes that stays below its root.

    Raises:
        UnsupportedFormat: it is absolute, climbs with `..`, is too long, or nothing is left.
    """
    plain = unicodedata.normalize("NFC", path).replace("\\", "/")
    plain = "".join(c for c in plain if unicodedata.category(c) not in _UNSEEN)
    if plain.startswith("/") or _DRIVE.match(plain):
        raise UnsupportedFormat(
            f"{path[:MAX_NAME_CHARS]!r} is an absolute path; pack the files by relative paths."
        )
    folders = [" ".join(folder.split()) for folder in plain.split("/")]
    if any(folder.startswith("..") and not folder.strip(". ") for folder in folders):
        raise UnsupportedFormat(
            f"{path[:MAX_NAME_CHARS]!r} leads out of its folder by '..'; pack the files by "
            "relative paths."
        )
    kept = "/".join(folder for folder in folders if folder not in ("", "."))
    if len(kept) > MAX_NAME_CHARS:
        raise UnsupportedFormat(
            f"{kept[:MAX_NAME_CHARS]!r}… is a path of {len(kept)} characters, more than the "
            f"{MAX_NAME_CHARS} that are allowed; shorten its folders."
        )
    if not PurePosixPath(kept).name.strip(". "):
        raise UnsupportedFormat(f"Expected a file name such as 'returns.pdf', got {path!r}.")
    return kept


def is_junk(path: str) -> bool:
    """True for what systems and office programs leave in folders, which nobody would miss."""
    folders = path.replace("\\", "/").split("/")
    name = folders[-1].lower()
    return "__MACOSX" in folders or name in _JUNK or name.startswith(("._", "~$"))


def _raw(part: zipfile.ZipInfo) -> bytes:
    return part.orig_filename.encode("cp437")  # how zipfile decoded it


def _decode(part: zipfile.ZipInfo, encoding: str) -> str:
    if part.flag_bits & _UTF8_FLAG:
        return part.orig_filename
    raw = _raw(part)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(encoding, errors="replace")
