"""Embeds a text once: what is trained on again and again is looked up in a file.

Texts are kept as hashes only. The file is replaced whole, so processes may share it; one that is
damaged or of another embedder is begun anew.
"""

import hashlib
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from knowledge.embedding import Embedder, Vectors

_log = logging.getLogger(__name__)
_BATCH = 32
_HASH_BYTES = 16
#: Ten times what ships; beyond, those not asked for last are forgotten.
_MAX_KEPT = 50_000

_Memory = dict[bytes, npt.NDArray[np.float32]]


class RememberedEmbedder:
    """An `Embedder` whose questions are remembered.

    Args:
        embedder: embeds what is not known yet.
        directory: where the file is kept, made when first needed.
    """

    def __init__(self, embedder: Embedder, directory: Path) -> None:
        self._embedder = embedder
        name = hashlib.sha256(embedder.id.encode()).hexdigest()[:12]
        self._file = directory / f"vectors-{name}.npz"
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Name of the weights."""
        return self._embedder.id

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return self._embedder.dim

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model reads for `text`."""
        return self._embedder.count_tokens(text)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of passages; these are not remembered."""
        return self._embedder.embed_passages(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of questions."""
        return self.embed_in_steps(texts, on_step=lambda share: None)

    def n_missing(self, texts: Sequence[str]) -> int:
        """Returns how many of the texts would have to be embedded now."""
        return len({_hash(text) for text in texts} - self._read().keys())

    def embed_in_steps(self, texts: Sequence[str], *, on_step: Callable[[float], None]) -> Vectors:
        """Embeds as `embed_queries` does; what was done is kept also when `on_step` raises.

        Args:
            texts: the questions.
            on_step: told the share in [0, 1] before each batch that must be embedded.
        """
        with self._lock:
            known = self._read()
            hashes = [_hash(text) for text in texts]
            missing = {h: t for h, t in zip(hashes, texts, strict=True) if h not in known}
            try:
                self._add(known, missing, on_step)
            finally:
                if missing:
                    self._write(known, hashes)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, text_hash in enumerate(hashes):
            vectors[row] = known[text_hash]
        return vectors  # (n, dim)

    def _add(
        self, known: _Memory, missing: dict[bytes, str], on_step: Callable[[float], None]
    ) -> None:
        entries = list(missing.items())
        for first in range(0, len(entries), _BATCH):
            on_step(first / len(entries))
            batch = entries[first : first + _BATCH]
            vectors = self._embedder.embed_queries([text for _, text in batch])
            known.update(zip((text_hash for text_hash, _ in batch), vectors, strict=True))

    def _read(self) -> _Memory:
        try:
            with np.load(self._file, allow_pickle=False) as found:
                hashes, vectors = found["hashes"], found["vectors"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, BadZipFile):
            _log.warning("%s cannot be read and is begun anew", self._file.name)
            return {}
        if vectors.dtype != np.float32 or vectors.shape != (len(hashes), self.dim):
            return {}
        return {row.tobytes(): vector for row, vector in zip(hashes, vectors, strict=True)}

    def _write(self, known: _Memory, asked: Sequence[bytes]) -> None:
        last = dict.fromkeys(h for h in asked if h in known)
        kept = [h for h in known if h not in last] + list(last)
        kept = kept[-_MAX_KEPT:]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f"{self._file.name}.{uuid.uuid4().hex}")
        hashes = np.frombuffer(b"".join(kept), dtype=np.uint8).reshape(len(kept), _HASH_BYTES)
        vectors = np.array([known[h] for h in kept], dtype=np.float32).reshape(len(kept), self.dim)
        try:
            with draft.open("xb") as file:
                np.savez(file, hashes=hashes, vectors=vectors)
            draft.replace(self._file)
        finally:
            draft.unlink(missing_ok=True)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_HASH_BYTES]
