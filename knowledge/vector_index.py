"""Dense vectors by chunk id: exact inner-product search over FAISS."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Self

import faiss
import numpy as np

from knowledge.embedding import Vectors

#: Rows looked at are multiplied by this until enough different ids are among them.
_WIDEN = 4


class VectorIndex:
    """Unit vectors under integer ids, one or several each; adding an id again replaces all of its.

    A search scores an id by the best of its vectors.

    Exact while the collection is small enough for a full scan (a few ms for 10,000 vectors).
    Calls may come from several threads; each holds the lock only for its own scan or edit.

    Args:
        dim: Length of each vector.
    """

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ValueError(f"Expected a positive dimension, got {dim!r}.")
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        self._ids: set[int] = set()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, chunk_id: int) -> bool:
        return chunk_id in self._ids

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return int(self._index.d)

    @property
    def ids(self) -> frozenset[int]:
        """All ids that a search can return."""
        return frozenset(self._ids)

    def add(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Stores `vectors`, (n, dim) float32, under `ids`, which may repeat; replaces old ones."""
        if vectors.shape != (len(ids), self.dim):
            raise ValueError(f"Expected shape {(len(ids), self.dim)}, got {vectors.shape}.")
        if not ids:
            return
        with self._lock:
            self._remove([id for id in dict.fromkeys(ids) if id in self._ids])
            rows = np.ascontiguousarray(vectors, dtype=np.float32)
            self._index.add_with_ids(rows, np.asarray(ids, dtype=np.int64))
            self._ids.update(ids)

    def remove(self, ids: Sequence[int]) -> None:
        """Forgets `ids`; unknown ones are ignored."""
        with self._lock:
            self._remove([id for id in ids if id in self._ids])

    def search(self, query: Vectors, top_k: int) -> list[tuple[int, float]]:
        """Returns up to `top_k` (id, inner product) pairs for one (dim,) query, best first."""
        with self._lock:
            n_wanted = min(top_k, len(self._ids))
            if n_wanted == 0:
                return []
            row = np.ascontiguousarray(query, dtype=np.float32).reshape(1, -1)  # (1, dim)
            n_rows = n_wanted
            while True:
                n_rows = min(n_rows, self._index.ntotal)
                scores, ids = self._index.search(row, n_rows)
                best: dict[int, float] = {}
                for id, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True):
                    if id >= 0:
                        best.setdefault(id, score)
                if len(best) >= n_wanted or n_rows == self._index.ntotal:
                    return list(best.items())[:n_wanted]
                n_rows *= _WIDEN  # the best vectors belong to few ids

    def save(self, path: Path) -> None:
        """Writes one FAISS file."""
        with self._lock:
            faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            OSError: the file is missing or not a whole FAISS index of this kind.
        """
        try:
            stored = faiss.read_index(str(path))
        except RuntimeError as error:
            raise OSError(f"{path} is not a whole FAISS index: {error}") from error
        if not isinstance(stored, faiss.IndexIDMap2):
            raise OSError(f"{path} holds a {type(stored).__name__}, expected IndexIDMap2.")
        index = cls(stored.d)
        index._index = stored
        index._ids = set(faiss.vector_to_array(stored.id_map).tolist())
        return index

    def _remove(self, ids: Sequence[int]) -> None:
        if ids:
            self._index.remove_ids(faiss.IDSelectorBatch(np.asarray(ids, dtype=np.int64)))
            self._ids.difference_update(ids)
