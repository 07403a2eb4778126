"""Turns messages into what every head reads, once for all of them.

A message becomes a dense row (the multilingual vector, the English one, signs of the surface) and
a sparse row of hashed n-grams. Encoders and n-grams complement each other: the first know what
words mean, the second how customers spell them. Rows do not depend on what else is in the batch.
"""

import re
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bot.classifiers.ngrams import count_ngrams
from bot.classifiers.surface import substance, surface
from knowledge.embedding import Embedder, Vectors, is_chinese

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Raised whenever the same text gives other n-grams or signs; heads of another version are refused.
_VERSION = 1
N_BUCKETS = 1 << 14
#: What a customer wants stands in the first lines; the rest of a pasted page only costs time.
MAX_CHARS = 1000
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")


@dataclass(frozen=True, slots=True)
class Features:
    """What the heads read of n messages.

    `dense` is `(n, d)` float32, the blocks of `blocks` side by side; `sparse` is `(n, n_buckets)`
    float32 damped n-gram counts; `substance` is `(n,)` in [0, 1], how much there is to judge by.
    """

    dense: Vectors
    sparse: "csr_matrix"
    substance: Vectors
    blocks: tuple[tuple[str, int], ...]  # name and width, in order

    def __len__(self) -> int:
        return len(self.dense)

    def __getitem__(self, rows: Any) -> "Features":
        """Returns the rows that a slice, a mask or an array of positions names, in its order."""
        if isinstance(rows, int):
            rows = [rows]
        return Features(self.dense[rows], self.sparse[rows], self.substance[rows], self.blocks)

    def block(self, name: str) -> Vectors:
        """Returns the dense block of this name, (n, width)."""
        start = 0
        for known, width in self.blocks:
            if known == name:
                return self.dense[:, start : start + width]
            start += width
        raise ValueError(f"Expected one of {[known for known, _ in self.blocks]}, found {name!r}.")


class Featurizer:
    """Computes features; safe to call from several threads, as its embedders are.

    Args:
        embedder: The multilingual one of the retrieval.
        english: Asked for texts that are not Chinese; None leaves its block out.
        n_buckets: Into how many buckets n-grams are hashed.
        max_chars: Longer texts are cut here.
    """

    def __init__(
        self,
        embedder: Embedder,
        english: Embedder | None,
        *,
        n_buckets: int = N_BUCKETS,
        max_chars: int = MAX_CHARS,
    ) -> None:
        self._embedder = embedder
        self._english = english
        self._n_buckets = n_buckets
        self._max_chars = max_chars

    @property
    def id(self) -> str:
        """Names everything a head's weights depend on; heads of another id do not fit."""
        english = self._english.id if self._english else "none"
        return f"{self._embedder.id}+{english}+ngrams{self._n_buckets}+v{_VERSION}"

    def features(self, texts: Sequence[str]) -> Features:
        """Returns the features of the texts, in their order."""
        texts = [normalize(text, max_chars=self._max_chars) for text in texts]
        if self._english is None:
            parts = [("multilingual", self._embedder.embed_queries(texts))]
            return assemble(texts, parts, n_buckets=self._n_buckets)
        # The engines leave the interpreter while they compute, so on two cores both take as long
        # as the slower one.
        with ThreadPoolExecutor(max_workers=1) as aside:
            english = aside.submit(_gated, self._english, texts)
            multilingual = self._embedder.embed_queries(texts)
            parts = [("multilingual", multilingual), ("english", english.result())]
        return assemble(texts, parts, n_buckets=self._n_buckets)


def assemble(
    texts: Sequence[str], vectors: Sequence[tuple[str, Vectors]], *, n_buckets: int = N_BUCKETS
) -> Features:
    """Joins embeddings of normalized texts with what the texts themselves give."""
    blocks = [*vectors, ("surface", surface(texts))]
    return Features(
        dense=np.concatenate([block for _, block in blocks], axis=1, dtype=np.float32),
        sparse=count_ngrams([text.lower() for text in texts], n_buckets=n_buckets),
        substance=np.asarray([substance(text) for text in texts], np.float32),
        blocks=tuple((name, block.shape[1]) for name, block in blocks),
    )


def normalize(text: str, *, max_chars: int = MAX_CHARS) -> str:
    """Returns the text in compatibility form, without tags, single-spaced, cut to `max_chars`."""
    compact = _TAG.sub(" ", unicodedata.normalize("NFKC", text[: 4 * max_chars]))
    return " ".join(compact.split())[:max_chars]


def _gated(english: Embedder, texts: Sequence[str]) -> Vectors:
    rows = np.asarray([not is_chinese(text) for text in texts], bool)
    vectors: npt.NDArray[np.float32] = np.zeros((len(texts), english.dim), np.float32)
    if rows.any():
        wanted = [text for text, row in zip(texts, rows, strict=True) if row]
        vectors[rows] = english.embed_queries(wanted)
    return vectors
