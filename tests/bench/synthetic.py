"""A knowledge base of any size, made from a real one by recombination, interpolation and noise.

A synthetic passage takes the sentences of a real one and exchanges half of them for sentences of
a second one in the same language, with made-up words between; its vectors are those of the
sentences and passages it took, drawn towards the other passage and moved by noise. So a text says
what its vectors mean, and it has as many of them as real passages have. Rows go into the real
tables, a document of 100 passages at a time; what is there already is kept.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from datasketch import LeanMinHash
from sqlalchemy import Engine, create_engine, func, insert, select

from knowledge.embedding import Vectors, is_chinese
from knowledge.live_chunks import decode_vector, encode_vector, is_live
from knowledge.parts import all_vectors, split_parts
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow, SignatureRow
from knowledge.types import DocumentStatus, Visibility

CHUNKS_PER_DOCUMENT = 100
_DOCUMENTS_PER_COMMIT = 20
_PREFIX = "synthetic-"
#: Length of the noise that is added to a unit vector: what is left of it has a cosine of 0.9.
_NOISE = 0.5
_TOWARDS_OTHER = 0.3
_NOISE_WORDS = 2  # a sentence
_VOCABULARY = 200_000
_SYLLABLES = [a + b for a in "bdfghklmnprstvwz" for b in "aeiou"]
_FIRST_HAN = 0x4E00
_N_HAN = 3000


@dataclass(frozen=True, slots=True)
class RealPassage:
    """A passage of a real document with the vectors that were made of it."""

    title: str
    headings: tuple[str, ...]
    sentences: tuple[str, ...]
    vectors: Vectors  # (1 + n_parts, dim): the whole passage first
    is_chinese: bool


def real_passages(database: Path) -> tuple[list[RealPassage], str]:
    """Returns the live passages of a Kefu database, and the id of their embedder.

    Raises:
        ValueError: it holds no passages.
    """
    engine = create_engine(f"sqlite:///file:{database.absolute()}?mode=ro&uri=true")
    columns = (
        DocumentRow.title,
        ChunkRow.headings,
        ChunkRow.text,
        ChunkRow.embedder,
        ChunkRow.embedding,
        ChunkRow.part_embeddings,
    )
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).where(is_live()).order_by(ChunkRow.id)).all()
    engine.dispose()
    if not rows:
        raise ValueError(f"{database} holds no passages; load the demo company with `kefu demo`.")
    found = []
    for row in rows:
        vectors = all_vectors(decode_vector(row.embedding), row.part_embeddings)
        sentences = split_parts(row.text)[: max(1, len(vectors) - 1)]
        if len(vectors) == 1 + len(sentences) or len(sentences) == 1:
            found.append(
                RealPassage(
                    row.title, tuple(row.headings), tuple(sentences), vectors, is_chinese(row.text)
                )
            )
    return found, rows[0].embedder


@dataclass(frozen=True, slots=True)
class _Made:
    """A synthetic passage."""

    text: str
    vectors: Vectors  # (1 + n_parts, dim)


def fill(engine: Engine, real: Sequence[RealPassage], *, embedder: str, n_chunks: int) -> None:
    """Writes documents until there are `n_chunks` synthetic passages."""
    n_documents = -(-n_chunks // CHUNKS_PER_DOCUMENT)
    with engine.connect() as connection:
        is_ours = DocumentRow.name.startswith(_PREFIX)
        n_done = connection.scalar(select(func.count()).where(is_ours)) or 0
    for first in range(n_done, n_documents, _DOCUMENTS_PER_COMMIT):
        numbers = range(first, min(n_documents, first + _DOCUMENTS_PER_COMMIT))
        _write(engine, [_document(number, real) for number in numbers], embedder)


def _document(number: int, real: Sequence[RealPassage]) -> tuple[int, RealPassage, list[_Made]]:
    """Returns a document's number, the passage that its title is from, and its passages."""
    rng = np.random.default_rng([7, number])
    model = real[int(rng.integers(len(real)))]
    alike = [one for one in real if one.is_chinese == model.is_chinese]
    made = []
    for _ in range(CHUNKS_PER_DOCUMENT):
        one, other = (alike[int(n)] for n in rng.integers(len(alike), size=2))
        made.append(_recombined(one, other, rng))
    return number, model, made


def _recombined(one: RealPassage, other: RealPassage, rng: np.random.Generator) -> _Made:
    """Exchanges about half of the sentences of `one` for sentences of `other`."""
    sentences, below = [], []
    n_own = 0
    for position, sentence in enumerate(one.sentences):
        source, at = one, position
        if rng.random() < 0.5:
            source, at, n_own = other, int(rng.integers(len(other.sentences))), n_own - 1
            sentence = other.sentences[at]
        n_own += 1
        sentences.append(" ".join([sentence, *_noise_words(rng, chinese=one.is_chinese)]))
        away = other if source is one else one
        vector = source.vectors[min(at + 1, len(source.vectors) - 1)]
        below.append((1 - _TOWARDS_OTHER) * vector + _TOWARDS_OTHER * away.vectors[0])
    share = n_own / len(one.sentences)
    whole = share * one.vectors[0] + (1 - share) * other.vectors[0]
    rows = np.vstack([whole, *below]) if len(one.vectors) > 1 else whole.reshape(1, -1)
    return _Made("\n".join(sentences), _moved(_unit(rows), rng))


def _moved(rows: Vectors, rng: np.random.Generator) -> Vectors:
    noise = rng.standard_normal(rows.shape, np.float32) * (_NOISE / rows.shape[1] ** 0.5)
    return _unit(rows + noise)


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _noise_words(rng: np.random.Generator, *, chinese: bool) -> Iterator[str]:
    """Yields made-up words, few of them often and most of them seldom, as words are."""
    for number in rng.zipf(1.2, size=_NOISE_WORDS):
        number = int(number) % _VOCABULARY
        if chinese:
            yield chr(_FIRST_HAN + number % _N_HAN) + chr(_FIRST_HAN + number * 7 // 3 % _N_HAN)
        else:
            first, second = divmod(number, len(_SYLLABLES))
            yield "".join(_SYLLABLES[n % len(_SYLLABLES)] for n in (first, second, first // 80))


def _write(
    engine: Engine, documents: Sequence[tuple[int, RealPassage, list[_Made]]], embedder: str
) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for number, model, made in documents:
            text = "\n\n".join(passage.text for passage in made)
            id, name = f"{number:032x}", f"{_PREFIX}{number:06d}.txt"
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            connection.execute(
                insert(DocumentRow).values(
                    id=id, name=name, live_name=name, title=model.title, version=1,
                    language="zh" if model.is_chinese else "en", status=DocumentStatus.READY,
                    n_chunks=len(made), size_bytes=len(text.encode()), sha256=sha256,
                    created_at=now, updated_at=now, visibility=Visibility.PUBLIC,
                )
            )  # fmt: skip
            connection.execute(
                insert(DocumentVersionRow).values(
                    document_id=id, version=1, name=name, title=model.title, text=text,
                    sha256=sha256, author="bench", created_at=now,
                )
            )  # fmt: skip
            connection.execute(insert(SignatureRow).values(_signature(number, id)))
            connection.execute(insert(ChunkRow), _chunk_rows(id, model, made, embedder))


def _signature(number: int, document_id: str) -> dict[str, object]:
    """A signature that no text has: reading them all is part of taking a document in."""
    values = np.random.default_rng([8, number]).integers(1 << 32, size=256, dtype=np.uint64)
    lean = LeanMinHash(seed=1, hashvalues=values)
    packed = bytearray(lean.bytesize("<"))
    lean.serialize(packed, "<")
    return {
        "document_id": document_id,
        "text_sha256": hashlib.sha256(packed).hexdigest(),
        "minhash": bytes(packed),
        "is_kept": False,
    }


def _chunk_rows(
    document_id: str, model: RealPassage, made: Sequence[_Made], embedder: str
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    start = 0
    for ordinal, passage in enumerate(made):
        below = passage.vectors[1:]
        rows.append(
            {
                "document_id": document_id,
                "version": 1,
                "ordinal": ordinal,
                "text": passage.text,
                "start": start,
                "end": start + len(passage.text),
                "page": None,
                "headings": list(model.headings),
                "enabled": True,
                "embedder": embedder,
                "embedding": encode_vector(passage.vectors[0]),
                "part_embeddings": encode_vector(below) if len(below) else None,
            }
        )
        start += len(passage.text) + 2
    return rows
