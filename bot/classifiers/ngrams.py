"""Cuts a text into words and character n-grams and hashes them into a fixed number of buckets.

Latin and other alphabetic words give word-bound character n-grams of 2 to 5, the word itself and
pairs of neighbouring words; a run of Chinese characters gives n-grams of 1 to 3. Symbols and
punctuation stand for themselves. The hash is CRC-32, so a bucket is the same on every machine.

Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009; without
signs, because the head weighs buckets by inverse document frequency.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_PIECE = re.compile(
    r"[\u3400-\u9fff\uf900-\ufaff]+|[^\W\d_\u3400-\u9fff\uf900-\ufaff]+|\d+|[^\w\s]"
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_HAN_SIZES = (1, 2, 3)
_WORD_SIZES = (2, 3, 4, 5)

Span = tuple[int, int, str]  # start, end in the text, what is hashed


def spans(text: str) -> Iterator[Span]:
    """Yields the n-grams of a lower-case text with the characters they cover."""
    words: list[Span] = []
    for piece in _PIECE.finditer(text):
        start, end, content = piece.start(), piece.end(), piece[0]
        if _HAN.match(content):
            yield from _grams(content, start, _HAN_SIZES)
            continue
        if content.isdigit():
            content = f"#{min(len(content), 8)}"  # how long a number is tells more than its digits
        elif content.isalpha():
            yield from _word_grams(content, start)
        words.append((start, end, content))
        yield start, end, f"={content}"
    for (start, _, first), (_, end, second) in pairwise(words):
        yield start, end, f"{first} {second}"


def bucket(gram: str, n_buckets: int) -> int:
    """Returns the bucket of an n-gram in [0, n_buckets)."""
    return zlib.crc32(gram.encode("utf-8", "replace")) % n_buckets


def count_ngrams(texts: Sequence[str], *, n_buckets: int) -> "csr_matrix":
    """Returns (n, n_buckets) float32: 1 + the logarithm of how often each bucket is hit."""
    from scipy.sparse import csr_matrix

    indices, values, ends = [], [], [0]
    for text in texts:
        hits = [bucket(gram, n_buckets) for _, _, gram in spans(text)]
        found, counts = np.unique(np.asarray(hits, np.int32), return_counts=True)
        indices.append(found)
        values.append(1.0 + np.log(counts))
        ends.append(ends[-1] + len(found))
    parts = (np.concatenate([*values, []]), np.concatenate([*indices, []]), np.asarray(ends))
    return csr_matrix(
        (parts[0].astype(np.float32), parts[1].astype(np.int32), parts[2]),
        shape=(len(texts), n_buckets),
    )


def _grams(content: str, offset: int, sizes: tuple[int, ...]) -> Iterator[Span]:
    for size in sizes:
        for start in range(len(content) - size + 1):
            yield offset + start, offset + start + size, content[start : start + size]


def _word_grams(word: str, offset: int) -> Iterator[Span]:
    for start, end, gram in _grams(f" {word} ", offset - 1, _WORD_SIZES):
        yield max(start, offset), min(end, offset + len(word)), gram
