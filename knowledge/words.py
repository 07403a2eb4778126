"""Splits Chinese and English into the words that the lexical index counts.

The same rule is used for passages and questions, so it only has to be consistent, not clever:
Chinese runs go through jieba, everything else is lower-cased and split at punctuation. A code
such as `HG-K1702` is kept whole and also split, because customers shorten and respell codes.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from knowledge.chinese_words import ChineseDictionary
from knowledge.simplified import to_simplified

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_TOKEN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+(?:[-_./][^\W_{_HAN}]+)*")
_IS_HAN = re.compile(rf"[{_HAN}]")
_HAN_RUN = re.compile(rf"[{_HAN}]+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CONNECTOR = re.compile(r"[-_./]")

#: Words that say how a question is asked, not what about; a page need not contain them.
_STOP_WORDS = """
a an and any are as at be been being but by can could did do does doing don for from get got had
has have having hello hey hi how i if in into is it its ll m me my no not of on or our please re
s should so t tell than thank thanks that the their them then there these they this to us ve want
was we were what when where which who why will with would you your
吧 把 被 比 不 才 从 到 的 得 地 等 都 对 多 多少 而 该 给 跟 个 哈 还 还是 好 和 很 会 或 几 及
将 就 就是 可 可以 可否 啦 来 了 吗 嘛 么 没 没有 每 哪 哪个 哪里 哪些 那 那个 呢 能 能否 你
你们 您 您好 你好 其 去 却 请 请问 让 如何 如果 什么 是 是不是 是否 谁 他 她 它 太 为 为什么 我
我们 我要 我想 想 想问 问 像 要 也 一 一下 一个 以 因为 应该 用 有 有没有 又 于 与 咱 在 再 怎
怎么 怎么办 怎么样 怎样 这 这个 这里 这样 之 只 至 种 着 最 做
"""


class WordSplitter:
    """Splits text into words; the Chinese dictionary is loaded at first need, once.

    Args:
        cache_folder: Where jieba keeps its prepared dictionary; a private folder, made if missing.
        dictionary: One that another splitter uses too, which saves loading it again.
    """

    def __init__(self, cache_folder: Path, *, dictionary: ChineseDictionary | None = None) -> None:
        self.cache_folder = cache_folder
        self._dictionary = dictionary or ChineseDictionary(cache_folder)
        self._stop_words = frozenset(_STOP_WORDS.split())
        self._way = _Way(self._dictionary, frozenset())

    def load(self) -> None:
        """Loads the dictionary now, which takes half a second, instead of at first need."""
        self._dictionary.load()

    def keep_whole(self, runs: frozenset[str]) -> None:
        """Exchanges the company's own words, see `han_runs`; they are split no more.

        Texts without a word that was added or taken away are split as before.
        """
        if runs != self._way.kept:
            self._way = _Way(self._dictionary, runs)

    def split(self, text: str) -> list[str]:
        """Returns all words in order; compound words and codes come whole and in parts."""
        return list(self._way.split(text))

    def content_words(self, text: str) -> list[str]:
        """Returns the distinct words that carry meaning, in order of appearance."""
        words = dict.fromkeys(self._way.split(text))
        return [word for word in words if word not in self._stop_words]


class _Way:
    """One way of splitting, which never changes."""

    def __init__(self, dictionary: ChineseDictionary, kept: frozenset[str]) -> None:
        self.kept = kept
        self._chinese = dictionary.keeping(kept)

    def split(self, text: str) -> Iterator[str]:
        for match in _TOKEN.finditer(_THOUSANDS.sub("", plain(text))):
            token = match.group()
            if _IS_HAN.match(token):
                yield from self._chinese.split(token)
            else:
                yield from _latin(token)


def plain(text: str) -> str:
    """Returns text as it is split: one width, lower case, simplified characters."""
    return to_simplified(unicodedata.normalize("NFKC", text).lower())


def han_runs(terms: Iterable[str]) -> frozenset[str]:
    """Returns the Chinese words in terms that are worth keeping whole: two characters and more."""
    found = (run for term in terms for run in _HAN_RUN.findall(plain(term)))
    return frozenset(run for run in found if len(run) > 1)


def _latin(token: str) -> Iterator[str]:
    parts = _CONNECTOR.split(token)
    yield token
    if len(parts) > 1:
        yield from parts
        if any(character.isdigit() for character in token):
            yield "".join(parts)
