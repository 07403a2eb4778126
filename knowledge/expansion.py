"""What a question is searched as: simplified characters, joined codes, the company's own terms.

Before embedding and the lexical search. Customers write 電熱水壺 where documents say 电热水壶,
`HG K 1702` for `HG-K1702`, and their own word for a thing; none of that changes what they mean.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from knowledge.simplified import to_simplified

_CODE = re.compile(
    r"(?<![a-z0-9])((?:[a-z]{1,3}[\s\-‐-―_./]*){1,2}\d{2,6}[a-z]?)(?![a-z0-9])", re.I
)
_GAP = re.compile(r"[\s\-‐-―_./]+")
_MAX_WORDS = 12


@dataclass(frozen=True, slots=True)
class Expansion:
    """A question as it is searched.

    Args:
        text: In simplified characters; what is embedded.
        other_words: Words of the same meaning and joined codes; searched besides.
    """

    text: str
    other_words: tuple[str, ...] = ()

    @property
    def widened(self) -> str:
        """The question with its other words behind it."""
        return " ".join((self.text, *self.other_words))


def expand(
    query: str, groups: Sequence[Sequence[str]], *, is_known: Callable[[str], bool]
) -> Expansion:
    """Returns what to search for.

    Args:
        query: As the customer wrote it.
        groups: Words that mean the same, one group each.
        is_known: Whether a passage has a code; made-up ones would only add noise.
    """
    text = to_simplified(query)
    words: list[str] = []
    for group in groups:
        if any(_mentions(text, word) for word in group):
            words += [word for word in group if not _mentions(text, word)]
    codes = dict.fromkeys(_GAP.sub("", found).lower() for found in _CODE.findall(text))
    words += [code for code in codes if code not in text.lower() and is_known(code)]
    return Expansion(text, tuple(dict.fromkeys(words))[:_MAX_WORDS])


def _mentions(text: str, word: str) -> bool:
    """Whole words for Latin letters, anywhere in Chinese, which has no spaces."""
    if not word.isascii():
        return to_simplified(word).lower() in text.lower()
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text, re.I) is not None
