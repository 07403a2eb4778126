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
#: Letters from which on a text counts as a whole one; below, heads lean towards what is usual.
_ENOUGH_UNITS = 3.0
SIZE = 22


def surface(texts: Sequence[str]) -> Vectors:
    """Returns (n, SIZE) float32, each value about in [0, 1]."""
    if not texts:
        return np.zeros((0, SIZE), np.float32)
    return np.asarray([_describe(text) for text in texts], np.float32)


def substance(text: str) -> float:
    """Returns how much there is to judge by, in [0, 1]: 0 without letters, 1 for a few words.

    Chinese characters and words count once each, so one character said a thousand times is little.
    """
    han = set(_SCRIPTS["han"].findall(text))
    words = set(re.findall(r"[^\W\d_\u3400-\u9fff\uf900-\ufaff]+", text.lower()))
    units = len(han) + sum(min(len(set(word)), 4) / 2 for word in words)
    n_letters = sum(char.isalpha() for char in text)
    variety = min(1.0, 12.0 * len({*text.lower()}) / n_letters) if n_letters > 24 else 1.0
    return min(1.0, units / _ENOUGH_UNITS) * variety


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
