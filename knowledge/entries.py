"""Several vectors per chunk: how the entries of the dense index are numbered.

The passage itself stands under the chunk's id, its attached questions under the same number with
a slot in the bits above. So an entry says by itself whose it is: no table has to be kept, saved
or repaired beside the index, whatever kind of index it is.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from knowledge.embedding import Vectors
from knowledge.live_chunks import IndexableChunk

#: Chunk ids stay far below this, and 2^63 is the largest id of an index.
_SLOT = 1 << 40
MAX_QUESTIONS = 20


class Searchable(Protocol):
    """What is asked of a dense index here."""

    def search(self, query: Vectors, top_k: int) -> list[tuple[int, float]]:
        """Returns up to `top_k` (entry, cosine) pairs, best first."""
        ...


def chunk_of(entry: int) -> int:
    """Returns the id of the chunk that an entry leads to."""
    return entry % _SLOT


def is_question(entry: int) -> bool:
    """True for an attached question's entry, False for a passage's own."""
    return entry >= _SLOT


def question_ids(chunk_id: int) -> range:
    """Returns all entries that a chunk's questions may have."""
    return range(chunk_id + _SLOT, chunk_id + _SLOT * (MAX_QUESTIONS + 1), _SLOT)


def question_vectors(chunks: Iterable[IndexableChunk], *, embedder: str) -> dict[int, Vectors]:
    """Returns the vectors of the chunks' questions that this embedder made, by entry."""
    found: dict[int, Vectors] = {}
    for chunk in chunks:
        ours = [question for question in chunk.questions if question.embedder == embedder]
        pairs = zip(question_ids(chunk.id), ours, strict=False)
        found.update((entry, question.vector) for entry, question in pairs)
    return found


def nearest_chunks(
    index: Searchable, query: Vectors, top_k: int, *, plain: bool
) -> list[tuple[int, float]]:
    """Returns up to `top_k` (chunk id, best cosine) pairs, each chunk once, best first.

    Args:
        index: Holds passages and questions.
        query: (dim,) vector.
        top_k: How many chunks are wanted.
        plain: True when the index holds no questions, so that no chunk can come twice.
    """
    if plain:
        return index.search(query, top_k)
    n_wanted = top_k
    while True:
        found = index.search(query, n_wanted)
        best = _best_by_chunk(found)
        if len(best) >= top_k or len(found) < n_wanted:
            return best[:top_k]
        n_wanted *= 2


def _best_by_chunk(found: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    best: dict[int, float] = {}
    for entry, score in found:
        best.setdefault(chunk_of(entry), score)
    return list(best.items())
