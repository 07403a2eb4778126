"""What a text is recognised by when it comes again, whole or nearly so: a hash and a MinHash.

Computed after parsing, before embedding. The MinHash stands for the set of a text's shingles: at
every place the next four characters where Chinese is written, the next three words elsewhere. A
figure counts several times, with the word before it: two price lists of the same goods are not the
same text, while a new edition in which one price of many has changed is nearly that.

Source: A. Broder, On the resemblance and containment of documents, 1997; `datasketch` computes it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

#: The first byte of a MinHash; texts with another one, or none, have to be signed again.
FORMAT = b"2"
#: The share is estimated with a standard error of at most 1 / (2 √256), about 3 points in 100;
#: at a true share of 0.85 it is about 2.
_N_HASHES = 256
_N_HAN, _N_WORDS = 4, 3
_FIGURE_WEIGHT = 8
_BATCH = 4096  # shingles hashed at once; bounds the memory that a long text takes
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")
_DIGIT = re.compile(r"\d")
_HAN_FIRST = "\u3400"
_HAN_LAST = "\u9fff"
_HEADER = 12  # bytes before a serialized MinHash's values: its seed and their number
_ALMOST = 0.99  # the most that texts which are not the same can share


@dataclass(frozen=True, slots=True)
class Signature:
    """Equal hashes mean the same words in the same order; `minhash` is empty without any word."""

    text_sha256: str
    minhash: bytes


def sign(text: str, *, check: Callable[[], None] = lambda: None) -> Signature:
    """Returns the signature of a text; case, width, spaces and punctuation do not matter.

    Args:
        text: What parsing gave.
        check: Called every few thousand shingles; what it raises ends the work.
    """
    from datasketch import LeanMinHash, MinHash  # loads SciPy, which takes half a second

    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
    if not tokens:
        return Signature(hashlib.sha256(text.encode()).hexdigest(), b"")
    digest = hashlib.sha256(" ".join(tokens).encode()).hexdigest()
    hashed = MinHash(num_perm=_N_HASHES)
    for batch in _batches(tokens):
        check()
        hashed.update_batch(batch)
    lean = LeanMinHash(hashed)
    packed = bytearray(lean.bytesize("<"))
    lean.serialize(packed, "<")
    return Signature(digest, FORMAT + packed)


def likeness(one: Signature, other: Signature) -> float:
    """Returns the share of shingles that two texts have in common, as Jaccard; 1.0 only if same."""
    if one.text_sha256 == other.text_sha256:
        return 1.0
    if not one.minhash or not other.minhash:
        return 0.0
    start = len(FORMAT) + _HEADER
    first, second = (np.frombuffer(s.minhash, "<u4", offset=start) for s in (one, other))
    return min(_ALMOST, np.count_nonzero(first == second) / _N_HASHES)


def _batches(tokens: Sequence[str]) -> Iterator[set[bytes]]:
    for start in range(0, len(tokens), _BATCH):
        places = range(start, min(start + _BATCH, len(tokens)))
        shingles = {" ".join(tokens[i : i + _size(tokens[i])]) for i in places}
        figures = {
            " ".join(tokens[max(0, i - 1) : i + 1]) for i in places if _DIGIT.search(tokens[i])
        }
        weighted = {f"{figure}\0{n}" for figure in figures for n in range(_FIGURE_WEIGHT)}
        yield {shingle.encode() for shingle in shingles | weighted}


def _size(token: str) -> int:
    return _N_HAN if _HAN_FIRST <= token[0] <= _HAN_LAST else _N_WORDS
