"""Splits runs of Chinese characters into words, with a company's own words kept whole.

jieba knows common words; a product's name it splits where those happen to end, 清泉壶 into 清泉 and
壶. A word of the company's own comes whole, and in the parts that it had before, so that a
question which uses half of it still finds the passage.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

#: So few words are each looked for faster than every part of a text is looked up.
_FEW = 40


class ChineseDictionary:
    """jieba's words, loaded at first need, once.

    Args:
        cache_folder: Where jieba keeps them prepared; a private folder, made if missing.
    """

    def __init__(self, cache_folder: Path) -> None:
        self._cache_folder = cache_folder
        self._jieba: Any = None
        self._lock = Lock()

    def load(self) -> Any:  # jieba has no types
        """Returns jieba's tokenizer, which is never changed."""
        with self._lock:
            if self._jieba is None:
                self._jieba = _load_jieba(self._cache_folder)
        return self._jieba

    def keeping(self, words: frozenset[str]) -> "ChineseSplitter":
        """Returns a splitter that keeps these words whole."""
        return ChineseSplitter(self, words)


class WordFinder:
    """Tells texts that hold any of a set of words, also of thousands, quickly."""

    def __init__(self, words: frozenset[str]) -> None:
        self.words = words
        self._lengths = sorted({len(word) for word in words})

    def is_in(self, text: str) -> bool:
        """Returns whether a word stands anywhere in `text`."""
        if len(self.words) <= _FEW:
            return any(word in text for word in self.words)
        return any(
            text[at : at + length] in self.words
            for length in self._lengths
            for at in range(len(text) - length + 1)
        )


class ChineseSplitter:
    """Splits by the dictionary and a fixed set of words besides."""

    def __init__(self, dictionary: ChineseDictionary, kept: frozenset[str]) -> None:
        self._dictionary = dictionary
        self._kept = WordFinder(kept)
        self._extended: _Extended | None = None
        self._lock = Lock()

    def split(self, run: str) -> Iterator[str]:
        """Yields the words of a run of Chinese characters, longer ones after their parts."""
        if not self._kept.is_in(run):
            yield from self._dictionary.load().cut_for_search(run)
            return
        extended = self._extend()
        for word in extended.jieba.cut_for_search(run):
            yield from extended.parts.get(word, ())
            yield word

    def _extend(self) -> "_Extended":
        with self._lock:
            if self._extended is None:
                self._extended = _Extended(self._dictionary.load(), sorted(self._kept.words))
        return self._extended


class _Extended:
    """A tokenizer with words added, and the parts that each had without."""

    def __init__(self, base: Any, words: list[str]) -> None:
        self.jieba = _copy(base)
        for word in words:
            self.jieba.add_word(word)
            self.jieba.total = base.total  # other texts must be split exactly as before
        self.parts: Mapping[str, tuple[str, ...]] = {word: self._lost(base, word) for word in words}

    def _lost(self, base: Any, word: str) -> tuple[str, ...]:
        shown = set(self.jieba.cut_for_search(word))
        return tuple(part for part in base.cut_for_search(word) if part not in shown)


def _copy(base: Any) -> Any:
    copy = type(base)()
    copy.FREQ, copy.total, copy.initialized = dict(base.FREQ), base.total, True
    return copy


def _load_jieba(cache_folder: Path) -> Any:  # jieba has no types
    """Returns a tokenizer of our own that logs nothing and caches in our folder.

    By default jieba reads its cache from the shared temporary folder, where any user of the
    machine could have left one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing jieba may touch the deprecated pkg_resources
        import jieba
    logging.getLogger("jieba").setLevel(logging.WARNING)
    cache_folder.mkdir(parents=True, exist_ok=True)
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(cache_folder)
    tokenizer.initialize()
    return tokenizer
