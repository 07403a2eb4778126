"""Sorts out proposed questions that a person need not read: repeats of others or of the passage.

A passage is found by its own words anyway, so a question in those words adds nothing.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_TOKEN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u4dbf\u4e00-\u9fff]+")
#: Two questions are the same when this share of their words is.
_SAME = 0.8
#: A question repeats the passage when this share of it stands there word for word.
_REPEATED = 0.7


def screen(questions: Iterable[str], *, passage: str, known: Iterable[str]) -> list[str]:
    """Returns the questions worth reading, in their order.

    Args:
        questions: Proposed.
        passage: With its headings.
        known: Questions that the passage has already.
    """
    stands = _tokens(passage)
    seen = [_tokens(question) for question in known]
    kept = []
    for question in questions:
        words = _tokens(question)
        if not words or _repeats(words, stands) or any(_is_same(words, one) for one in seen):
            continue
        seen.append(words)
        kept.append(question)
    return kept


def _tokens(text: str) -> list[str]:
    """Returns words in lower case; Chinese is taken character by character."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def _is_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whatever the order of the words."""
    first, second = Counter(one), Counter(other)
    return (first & second).total() >= _SAME * (first | second).total()


def _repeats(question: Sequence[str], passage: Sequence[str]) -> bool:
    longest = SequenceMatcher(None, question, passage, autojunk=False).find_longest_match()
    return longest.size >= _REPEATED * len(question)
