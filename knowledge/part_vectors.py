"""The sentences of passages with the vectors that ingestion made of them, for comparing anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine, select

from knowledge.embedding import Vectors
from knowledge.live_chunks import decode_vector
from knowledge.parts import all_vectors, split_parts
from knowledge.tables import ChunkRow


@dataclass(frozen=True, slots=True)
class PartVectors:
    """What a passage was cut into; a passage of a single part has its own vector."""

    texts: tuple[str, ...]
    vectors: Vectors  # (n_parts, dim)

    def find(self, sentence: str) -> Vectors | None:
        """Returns the vector, (dim,), of the first part that has this sentence."""
        wanted = _plain(sentence)
        places = (n for n, text in enumerate(self.texts) if wanted in _plain(text))
        place = next(places, None)
        return None if place is None else np.asarray(self.vectors[place], dtype=np.float32)


def load_part_vectors(
    engine: Engine, chunk_ids: Sequence[int], *, embedder: str
) -> Mapping[int, PartVectors]:
    """Returns the parts of those chunks that this embedder made vectors of, where all are made."""
    columns = (ChunkRow.id, ChunkRow.text, ChunkRow.embedding, ChunkRow.part_embeddings)
    query = select(*columns).where(ChunkRow.id.in_(chunk_ids), ChunkRow.embedder == embedder)
    query = query.where(~ChunkRow.parts_due)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return {row.id: _parts(row.text, row.embedding, row.part_embeddings) for row in rows}


def _parts(body: str, whole: bytes, stored: bytes | None) -> PartVectors:
    vectors = all_vectors(decode_vector(whole), stored)  # (1 + n_parts, dim)
    if stored is None:
        return PartVectors((body,), vectors)
    below = vectors[1:]
    return PartVectors(tuple(split_parts(body)[: len(below)]), below)


def _plain(text: str) -> str:
    return "".join(text.split())
