"""Bytes of a text file → text, in the encodings that Chinese and English files come in."""

import codecs

from knowledge.errors import UnsupportedFormat

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_BYTES = 64_000
_MIN_PLAUSIBLE = 0.6  # share of everyday characters that a right decoding has at least
_MAX_CONTROL_SHARE = 0.01


def decode_text(name: str, data: bytes) -> str:
    """Decodes by byte order mark, then UTF-8, GB18030 or Big5 by plausibility, else Latin-1.

    The statistics of general detectors need more text than a short notice has. Both Chinese
    encodings put the everyday characters into a block of their own (GB 2312 level 1 from lead
    byte B0, Big5 level 1 from A4), so the share of characters in that block decides well from
    two characters on. A stray broken byte becomes U+FFFD instead of changing the encoding.
    A mark is removed; newlines stay as they are.

    Raises:
        UnsupportedFormat: the bytes are not text in any of these encodings.
    """
    text = _decode(data)
    n_controls = sum(ord(char) < 32 and char not in "\t\n\v\r\f" for char in text[:_SAMPLE_BYTES])
    if "\0" in text or n_controls > _MAX_CONTROL_SHARE * min(len(text), _SAMPLE_BYTES):
        raise UnsupportedFormat(
            f"{name!r} should be a text file by its suffix, but its content is binary; "
            "upload it with the suffix of its real format."
        )
    return text


def _decode(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        best = guess_encoding(data)
    if best is not None:
        return data.decode(best, errors="replace")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def guess_encoding(data: bytes) -> str | None:
    """Returns which of UTF-8, GB18030 and Big5 bytes are most plausibly in, or None for none."""
    sample = data[:_SAMPLE_BYTES]
    scores = {
        encoding: _plausibility(sample, encoding) for encoding in ("utf-8", "gb18030", "cp950")
    }
    best = max(scores, key=lambda encoding: scores[encoding])
    return best if scores[best] >= _MIN_PLAUSIBLE else None


def _plausibility(sample: bytes, encoding: str) -> float:
    decoded = sample.decode(encoding, errors="replace")
    foreign = [char for char in decoded if ord(char) > 127]
    n_everyday = sum(_is_everyday(char, encoding) for char in foreign)
    return n_everyday / len(foreign) if foreign else 0.0


def _is_everyday(char: str, encoding: str) -> bool:
    if char == "\ufffd":
        return False
    if encoding == "utf-8":
        return True
    pair = char.encode(encoding, errors="replace")
    if len(pair) != 2:
        return False
    if encoding == "gb18030":
        return (0xA1 <= pair[0] <= 0xA3 or 0xB0 <= pair[0] <= 0xD7) and pair[1] >= 0xA1
    return 0xA1 <= pair[0] <= 0xC6
