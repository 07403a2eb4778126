"""Signs by which plain text shows its structure: list marks, questions, sentence ends.

Used by the parsers of formats without markup and by the splitter. Every pattern is anchored
or free of nested repeats, so that hostile text cannot make it slow.
"""

import re

SENTENCE_END = "。！？；…!?;."
_CLOSERS = "\"'”’」』）)】》"

_LIST_MARK = re.compile(
    r"\s*(?:[-*+•·▪●○◦]\s|\(?\d{1,3}[.)、）]\s?(?!\d)|（\d{1,3}）|[a-zA-Z][.)]\s|[①-⑳])"
)
_QUESTION_MARK = re.compile(
    r"\s*[*_#\s]{0,8}(?:Q|Question|问|問|问题|問題|提问|提問)\s?\d{0,4}\s?[*_]{0,3}\s?[:：.、．]",
    re.IGNORECASE,
)
_ANSWER_MARK = re.compile(
    r"\s*[*_#\s]{0,8}(?:A|Answer|答|答案|回答|解答)\s?\d{0,4}\s?[*_]{0,3}\s?[:：.、．]",
    re.IGNORECASE,
)
_QUESTION_FIELD = re.compile(r"(?:^|; )(?:问题|問題|提问|Question|FAQ|Q|问)\s?[:：]", re.IGNORECASE)
_CJK = re.compile(
    r"[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]"
)

_DIGITS = "一二三四五六七八九十百零〇\\d"
_NUMBERED = (
    (re.compile(r"#{1,6}\s+\S"), 0),  # level = number of marks
    (re.compile(rf"第[{_DIGITS}]{{1,5}}(?:章|部分|篇|编|編)"), 1),
    (re.compile(rf"第[{_DIGITS}]{{1,5}}(?:节|節)"), 2),
    (re.compile(r"[一二三四五六七八九十]{1,3}[、.．]"), 2),
    (re.compile(r"【[^】]{1,40}】$"), 2),
    (re.compile(r"[(（][一二三四五六七八九十]{1,3}[)）]"), 3),
    (re.compile(r"\d{1,2}\.\d{1,2}(?:\.\d{1,2})?[.、]?\s*[^\d\s.]"), 3),
    (re.compile(r"(?:Chapter|Section|Part)\s+(?:\d{1,3}|[IVXLC]{1,6})\b"), 1),
)


def is_cjk(char: str) -> bool:
    """Tells whether a character is Chinese, Japanese or full-width, and so needs no spaces."""
    return _CJK.match(char) is not None


def ends_sentence(text: str) -> bool:
    """Tells whether the last character, closing quotes aside, ends a sentence."""
    stripped = text.rstrip().rstrip(_CLOSERS)
    return bool(stripped) and stripped[-1] in SENTENCE_END + ":："


def starts_list_item(text: str) -> bool:
    """Tells whether the text begins with a bullet or an item number."""
    return _LIST_MARK.match(text) is not None


def starts_question(text: str) -> bool:
    """Tells whether the text begins with a mark such as `Q:` or `问：`."""
    return _QUESTION_MARK.match(text) is not None


def holds_question(record: str) -> bool:
    """Tells whether a table record has a column of questions, as a row of an FAQ sheet has."""
    return _QUESTION_FIELD.search(record) is not None


def starts_answer(text: str) -> bool:
    """Tells whether the text begins with a mark such as `A:` or `答：`."""
    return _ANSWER_MARK.match(text) is not None


def is_question(text: str) -> bool:
    """Tells whether the text is one line that asks something."""
    stripped = text.strip()
    return "\n" not in stripped and stripped.rstrip("*_` ").endswith(("?", "？"))


def display_width(text: str) -> int:
    """Counts columns as a terminal would: two for a full-width character, else one."""
    return len(text) + len(_CJK.findall(text))


def numbered_heading_level(text: str) -> int:
    """Gives the level of a line numbered like a heading (`第一章`, `一、`, `2.1`), else 0."""
    for pattern, level in _NUMBERED:
        if pattern.match(text):
            return level or len(text) - len(text.lstrip("#"))
    return 0
