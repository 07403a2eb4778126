"""Holds an answer's first words back until they are more than the question said again.

A small model that has nothing to say often repeats the question. Such an opening is never shown,
and writing stops at its end, so that a quotation can take its place.
"""

from collections.abc import Sequence

from bot.grounding import clean_answer
from bot.text import sentence_spans
from knowledge.claims import figures, is_chinese, words
from knowledge.types import ScoredChunk

_ENDS = ("。", "？", "?", "!", "！")  # a point may be the beginning of 3.20
_LEAST_OWN = 1  # words that the passages have and the question has not, one more in Chinese
# Letters of the question said again, word for word, after which hardly anything is to be expected:
# of 60 development questions 15 were answered like that, and 13 of these answers said no more.
_ECHO_LETTERS = 18
_ECHO_LETTERS_ZH = 6


class Opening:
    """Judges the beginning of one answer as it grows."""

    def __init__(self, query: str, hits: Sequence[ScoredChunk]) -> None:
        self._asked = words(query)
        self._asked_figures = figures(query)
        self._asked_letters = _letters(query)
        texts = [hit.chunk.text for hit in hits]
        headings = [" ".join((hit.title, *hit.chunk.headings)) for hit in hits]
        self._headings = frozenset[str]().union(*map(words, headings))
        self._known = frozenset[str]().union(*map(words, texts)) - self._asked
        self._known_figures = frozenset(figure for text in texts for figure in figures(text))

    def is_answer(self, text: str) -> bool:
        """True once the text says something that the passages say and the question does not.

        A whole sentence that is no repetition will do: it may be in another language.
        """
        said = clean_answer(text)
        if _has_whole_sentence(said) and not self._is_repetition(said):
            return True
        new = figures(said) - self._asked_figures
        if any(figure.agrees(known) for figure in new for known in self._known_figures):
            return True
        own = words(said) & self._known
        least = _LEAST_OWN + 1 if is_chinese(said) else _LEAST_OWN
        return len(own) >= least and not own <= self._headings

    def is_empty(self, text: str) -> bool:
        """True where what has been written only repeats the question."""
        said = clean_answer(text)
        letters = _letters(said)
        least = _ECHO_LETTERS_ZH if is_chinese(said) else _ECHO_LETTERS
        if len(letters) >= least and letters in self._asked_letters:
            return True
        return _has_whole_sentence(said) and self._is_repetition(said)

    def _is_repetition(self, text: str) -> bool:
        return words(text) <= self._asked and figures(text) <= self._asked_figures


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _has_whole_sentence(text: str) -> bool:
    spans = sentence_spans(text)
    return len(spans) > 1 or (bool(spans) and text.endswith(_ENDS))
