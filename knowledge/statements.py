"""The sentences of live passages that give a figure, with what is needed to compare them.

Before the rules of `knowledge.conflicts`: a statement is one of the sentences that
`knowledge.parts` embedded, its quantities, and what it speaks of. A sentence of a table row
knows the row's key, because `Pool: 28 °C` alone does not say whose pool.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine, or_, select

from knowledge.claims import words
from knowledge.embedding import Vectors
from knowledge.live_chunks import decode_vector, is_live
from knowledge.parts import MAX_PARTS, split_parts
from knowledge.quantities import quantities
from knowledge.quantity import Quantity
from knowledge.tables import ChunkRow, DocumentRow

_RECORD = re.compile(r"^(?P<name>[^:：;；\n]{1,30})[:：] ?(?P<key>[^;；\n]{1,60})[;；] ?\S", re.M)
_CELLS = re.compile(r"\|? ?(?P<key>[^|\n]{1,60}?) \| \S")
_CODE = re.compile(r"(?<![a-z0-9])[a-z]{1,6}-?\d[a-z0-9-]*(?![a-z0-9])")
_CLAUSE_END = re.compile(r"[，,。；;！!？?、\n]|(?<=[a-z])\.\s|\s(?:and|or|but)\s", re.IGNORECASE)
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Place:
    """The passage a statement stands in."""

    chunk_id: int
    document_id: str
    document: str
    title: str
    headings: tuple[str, ...]
    text: str
    effective_from: datetime | None
    expires_at: datetime | None

    @property
    def about(self) -> str:
        """Title, headings and the passage's first line: what its sentences leave unsaid."""
        return "\n".join([self.title, *self.headings, self.text.split("\n", 1)[0]])


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence with figures; `start` is its offset in the passage's text."""

    place: Place
    text: str
    start: int
    quantities: tuple[Quantity, ...]
    vector: Vectors  # (dim,) of the sentence with its place in the document
    key: str = ""  # of the table row it stands in
    codes: frozenset[str] = frozenset()

    def masked(self) -> str:
        """Returns the sentence without its figures, so that only what they say is compared."""
        text = self.text
        for one in reversed(self.quantities):
            text = f"{text[: one.start]}…{text[one.end :]}"
        return f"{self.key} {text}".strip()

    def clause(self, quantity: Quantity) -> str:
        """Returns the part of the sentence that a figure stands in, figure included."""
        cuts = [
            match.span()
            for match in _CLAUSE_END.finditer(self.text)
            if not quantity.start <= match.start() < quantity.end
        ]
        start = max((end for _, end in cuts if end <= quantity.start), default=0)
        end = min((first for first, _ in cuts if first >= quantity.end), default=len(self.text))
        return self.text[start:end]


def load_statements(
    engine: Engine, *, embedder: str, now: datetime, pause: Callable[[], None] = lambda: None
) -> list[Statement]:
    """Returns all statements of passages that are live and not expired.

    Args:
        engine: The database.
        embedder: Passages with vectors of another one are left out.
        now: Documents that expired before are left out.
        pause: Called for each passage; may wait, or raise to give up.
    """
    columns = (
        ChunkRow.id,
        ChunkRow.document_id,
        ChunkRow.text,
        ChunkRow.headings,
        ChunkRow.embedding,
        ChunkRow.part_embeddings,
        DocumentRow.name,
        DocumentRow.title,
        DocumentRow.effective_from,
        DocumentRow.expires_at,
    )
    query = (
        select(*columns)
        .where(is_live(), ChunkRow.embedder == embedder)
        .where(or_(DocumentRow.expires_at.is_(None), DocumentRow.expires_at > now))
        .order_by(ChunkRow.id)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    found: list[Statement] = []
    with engine.connect() as connection:
        for row in connection.execute(query):
            pause()
            place = Place(
                chunk_id=row.id,
                document_id=row.document_id,
                document=row.name,
                title=row.title,
                headings=tuple(row.headings),
                text=row.text,
                effective_from=row.effective_from,
                expires_at=row.expires_at,
            )
            found += _statements(place, row.embedding, row.part_embeddings)
    return found


def _statements(place: Place, whole: bytes, below: bytes | None) -> Iterator[Statement]:
    parts = split_parts(place.text)[:MAX_PARTS]
    vector = decode_vector(whole)
    vectors = vector.reshape(1, -1)
    if len(parts) > 1 and below:
        vectors = decode_vector(below).reshape(-1, vector.shape[0])
    elif len(parts) > 1:
        vectors = np.repeat(vectors, len(parts), axis=0)
    searched = 0
    for part, its_vector in zip(parts, vectors, strict=False):
        start = _position(place.text, part, searched)
        searched = start + 1
        read = quantities(part)
        if read:
            yield Statement(
                place=place,
                text=part,
                start=start,
                quantities=tuple(read),
                vector=its_vector,
                key=_row_key(place.text, start),
                codes=codes_of(part),
            )


def _position(text: str, part: str, searched: int) -> int:
    """Short sentences were joined by a space, so only the beginning is sure to be found."""
    found = text.find(part[:8], searched)
    return found if found >= 0 else searched


def _row_key(text: str, position: int) -> str:
    """Returns the first cell of the table row at a position, empty outside of tables."""
    start = text.rfind("\n", 0, position + 1) + 1
    match = _RECORD.match(text, start) or _CELLS.match(text, start)
    return match["key"].strip() if match else ""


def codes_of(text: str) -> frozenset[str]:
    """Returns the product codes of a text, without their hyphens."""
    return frozenset(code[0].replace("-", "") for code in _CODE.finditer(text.lower()))


def key_words(key: str) -> frozenset[str]:
    """Returns the words by which a table row's key is recognised elsewhere."""
    return words(key) | codes_of(key)
