"""Describes how a text looks, not what it says: its scripts, its punctuation, its length.

Scripts decide the language head; capitals and exclamation marks help anger and urgency.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from bot.dialogue.language import detect_language
from knowledge.embedding import Vectors

_SCRIPTS = {
    "han": re.compile(r"[\u3400-\u9fff\uf900-\ufaff]"),
    "latin": re.compile(r"[a-zA-Z\u00c0-\u024f]"),
    "kana": re.compile(r"[\u3040-\u30ff]"),
    "hangul": re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "right_to_left": re.compile(r"[\u0590-\u08ff]"),
}
_LANGUAGES = ("zh-Hans", "zh-Hant", "en", "mixed", "other")
_ACCENTED = re.compile(r"[\u00c0-\u024f]")
#: Different letters that any sentence has; fewer in a longer text are a key held down.
_ENOUGH_LETTERS = 6
SIZE = 22


def surface(texts: Sequence[str]) -> Vectors:
    """Returns (n, SIZE) float32, each value about in [0, 1]."""
    if not texts:
        return np.zeros((0, SIZE), np.float32)
    return np.asarray([_describe(text) for text in texts], np.float32)


def substance(text: str) -> float:
    """Returns how much there is to judge by, in [0, 1]: 0 without letters, 1 for a word.

    The same character said a thousand times is little.
    """
    letters = [char for char in text.lower() if char.isalpha()]
    is_han = _SCRIPTS["han"].search(text) is not None  # one of these is a word already
    amount = 1.0 if is_han else min(1.0, len(set(letters)) / 2)
    variety = len(set(letters)) / _ENOUGH_LETTERS if len(letters) > 2 * _ENOUGH_LETTERS else 1.0
    return amount * min(1.0, variety)


def _describe(text: str) -> list[float]:
    letters = [char for char in text if char.isalpha()]
    n_letters = max(1, len(letters))
    counts = [len(pattern.findall(text)) for pattern in _SCRIPTS.values()]
    n_han = max(1, counts[0])
    traditional, simplified = _converted(text, "t2s"), _converted(text, "s2t")
    verdict = detect_language(text, "en") if letters else ""
    n_upper = sum(char.isupper() for char in letters)
    return [
        *(count / n_letters for count in counts),
        max(0.0, 1.0 - sum(counts) / n_letters) if letters else 0.0,  # other scripts
        traditional / n_han,
        simplified / n_han,
        *(float(verdict == language) for language in _LANGUAGES),
        len(_ACCENTED.findall(text)) / n_letters,
        n_upper / n_letters if n_upper > 1 else 0.0,
        sum(char.isdigit() for char in text) / max(1, len(text)),
        _damped(text.count("!") + text.count("！")),
        _damped(text.count("?") + text.count("？")),
        _damped(sum(unicodedata.category(char) == "So" for char in text)),
        _damped(len(re.findall(r"(.)\1\1", text))),
        min(1.0, math.log1p(len(text)) / 7.0),
    ]


def _damped(count: int) -> float:
    return min(1.0, math.log1p(count) / 2.0)


def _converted(text: str, direction: str) -> int:
    """Counts the Chinese characters that the conversion would change."""
    if not _SCRIPTS["han"].search(text):
        return 0
    changed = str(_converter(direction).convert(text))
    return sum(old != new for old, new in zip(text, changed, strict=False))


@lru_cache(maxsize=2)
def _converter(direction: str) -> Any:  # OpenCC has no types
    import opencc

    return opencc.OpenCC(direction)
