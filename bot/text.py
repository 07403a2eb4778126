"""Text of messages: one normal form, length limits, and sentence boundaries.

Everything a customer writes passes `clean_message` before any other step sees it, so later
steps may rely on NFC, no control characters and single spaces.
"""

import re
import unicodedata

from bot.errors import MessageRejected

#: Kept although they are format characters: emoji are joined by it.
_ZERO_WIDTH_JOINER = "\u200d"
_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs"})
_SPACES = re.compile(r"[^\S\n\t]+")
_AROUND_NEWLINE = re.compile(r"[ \t]*\n[ \t]*")
_MANY_NEWLINES = re.compile(r"\n{3,}")

_HARD_END = "。！？!?…"
_CLOSERS = "”’」』》）)]\"'*_"
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|approx|no|nr|vs|mr|mrs|ms|dr|st|tel|inc|ltd|co|min|max)|\b[A-Za-z])$",
    re.IGNORECASE,
)
_LEAD = re.compile(r"(?:[\s>|#;；]|[*+\-•·](?=\s)|\d{1,2}[.)、](?=\s|[^\d\s])|[（(]\d{1,2}[)）])*")
_TRAIL = re.compile(r"[\s|]*$")


def normalize(text: str) -> str:
    """Returns the text in NFC without control characters and with single spaces.

    Newlines and tabs stay; more than one empty line becomes one. Idempotent.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = "".join(char for char in text if _is_kept(char))
    text = unicodedata.normalize("NFC", text)
    text = _SPACES.sub(" ", text)
    text = _AROUND_NEWLINE.sub("\n", text)
    return _MANY_NEWLINES.sub("\n\n", text).strip()


def clean_message(text: str, *, max_chars: int) -> str:
    """Returns a customer's message in normal form.

    Raises:
        MessageRejected: nothing is left of it, or it is longer than `max_chars`.
    """
    cleaned = normalize(text)
    if not any(char.isprintable() and not char.isspace() for char in cleaned):
        raise MessageRejected("The message is empty; write a question.")
    if len(cleaned) > max_chars:
        raise MessageRejected(
            f"The message has {len(cleaned)} characters; at most {max_chars} are accepted."
        )
    return cleaned


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Returns `[start, end)` of the sentences, ascending and without overlap.

    A line break always ends one, so list items, table rows and headings stand alone; list
    marks, table bars and outer spaces belong to no sentence. A semicolon ends none.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    index = 0
    while index < len(text):
        if text[index] == "\n" or _ends_sentence(text, index):
            end = index if text[index] == "\n" else _after_closers(text, index + 1)
            _add_trimmed(spans, text, (start, end))
            start = end
            index = max(end, index + 1)
        else:
            index += 1
    _add_trimmed(spans, text, (start, len(text)))
    return spans


def _is_kept(char: str) -> bool:
    if char in "\n\t" or char == _ZERO_WIDTH_JOINER:
        return True
    return unicodedata.category(char) not in _DROPPED_CATEGORIES


def _ends_sentence(text: str, index: int) -> bool:
    char = text[index]
    if char in _HARD_END:
        return index + 1 == len(text) or text[index + 1] not in _HARD_END
    if char != ".":
        return False
    following = text[index + 1 : index + 2]
    if following and not following.isspace() and following not in _CLOSERS:
        return False
    before = text[max(0, index - 8) : index]
    return not _ABBREVIATION.search(before) and not _is_list_mark(text, index)


def _is_list_mark(text: str, index: int) -> bool:
    """True for the point of `1. Open the app`."""
    line = text[text.rfind("\n", 0, index) + 1 : index].strip(" \t*>-")
    return line.isdigit() and len(line) <= 2


def _after_closers(text: str, index: int) -> int:
    while index < len(text) and text[index] in _CLOSERS:
        index += 1
    return index


def _add_trimmed(spans: list[tuple[int, int]], text: str, span: tuple[int, int]) -> None:
    start, end = span
    lead = _LEAD.match(text, start, end)
    start = lead.end() if lead else start
    trail = _TRAIL.search(text, start, end)
    end = trail.start() if trail else end
    if any(char.isalnum() for char in text[start:end]):
        spans.append((start, end))
