"""Which words tell two statements apart: a table of contrasts that people may read and extend.

`contrasts.toml` lists groups of alternatives in both languages. Statements that name different
alternatives of a group speak of different things, whatever their figures.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Contrast:
    """One group: its alternatives as patterns, and the special ones among their words."""

    members: tuple[re.Pattern[str], ...]
    special: re.Pattern[str] | None

    def named(self, text: str) -> frozenset[int]:
        """Returns which alternatives a lower-case text names."""
        return frozenset(n for n, member in enumerate(self.members) if member.search(text))

    def is_special(self, text: str) -> bool:
        """True where a lower-case text names what does not hold in general."""
        return self.special is not None and self.special.search(text) is not None


def load_contrasts() -> tuple[Contrast, ...]:
    """Reads the table that ships with the package."""
    content = tomllib.loads((files("knowledge") / "contrasts.toml").read_text("utf-8"))
    return tuple(
        Contrast(
            members=tuple(_pattern(words) for words in group["members"]),
            special=_pattern(group["special"]) if "special" in group else None,
        )
        for group in content["group"]
    )


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Latin words match at the start of a word, so that endings do not matter."""
    parts = [(r"(?<![a-z])" if word[0].isascii() else "") + re.escape(word) for word in words]
    return re.compile("|".join(sorted(parts, key=len, reverse=True)))
