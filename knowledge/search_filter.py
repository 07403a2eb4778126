"""Limits a search to some documents: by tag, language, id, format or date of the last change.

The documents are looked up once for each search that has a filter; everything else is searched
as without one and what lies outside is left out. So that a narrow filter does not starve the
result, few passages are compared one by one instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath

import numpy as np
from sqlalchemy import Engine, select

from knowledge.embedding import Vectors
from knowledge.live_chunks import is_live, load_indexable
from knowledge.tables import ChunkRow, DocumentRow
from knowledge.types import DocumentId

#: Up to this many passages are compared one by one.
FEW = 1000
MAX_VALUES = 50
_GROUP = 500  # ids in one statement
#: What people call a language, as the main part of its tag.
_SEPARATOR = "-"


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Which documents a search may find; each rule that is given must hold.

    Args:
        tags: The document has at least one of them; case does not matter.
        languages: Its language is one of them; `zh` stands for `zh-Hans` and `zh-Hant` too.
        document_ids: It is one of them.
        formats: Its file name ends so, as in `pdf`.
        changed_from: It was last changed at or after this time.
        changed_to: It was last changed before this time.
    """

    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    document_ids: tuple[DocumentId, ...] = ()
    formats: tuple[str, ...] = ()
    changed_from: datetime | None = None
    changed_to: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("tags", "languages", "document_ids", "formats"):
            if len(getattr(self, name)) > MAX_VALUES:
                raise ValueError(f"Expected at most {MAX_VALUES} {name} in a search filter.")

    def __bool__(self) -> bool:
        return self != SearchFilter()

    def allows(self, row: DocumentRow) -> bool:
        """Returns whether a document may be found."""
        return (
            (not self.tags or bool(_folded(self.tags) & _folded(row.tags or ())))
            and (not self.languages or bool(_folded(self.languages) & _names(row.language)))
            and (not self.document_ids or row.id in self.document_ids)
            and (not self.formats or _format(row.name) in _formats(self.formats))
            and (self.changed_from is None or row.updated_at >= self.changed_from)
            and (self.changed_to is None or row.updated_at < self.changed_to)
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """What a filter comes down to when a search begins.

    Args:
        document_ids: Of the documents that may be found.
        few: Their live passages' ids where those are few, else None.
    """

    document_ids: frozenset[DocumentId]
    few: tuple[int, ...] | None


def open_scope(engine: Engine, chosen: SearchFilter) -> Scope:
    """Looks up which documents and, where they are few, which passages a filter allows."""
    columns = (DocumentRow.id, DocumentRow.name, DocumentRow.tags, DocumentRow.language)
    query = select(*columns, DocumentRow.updated_at).where(DocumentRow.deleted_at.is_(None))
    with engine.connect() as connection:
        ids = [row.id for row in connection.execute(query) if chosen.allows(row)]  # type: ignore[arg-type]  # rows have the columns' names
        few: list[int] = []
        for first in range(0, len(ids), _GROUP):
            group = ids[first : first + _GROUP]
            chunks = select(ChunkRow.id).where(is_live(), ChunkRow.document_id.in_(group))
            few += connection.scalars(chunks.limit(FEW + 1))
            if len(few) > FEW:
                break
    return Scope(frozenset(map(DocumentId, ids)), tuple(few) if len(few) <= FEW else None)


def nearest(
    engine: Engine, chunk_ids: Sequence[int], vectors: Vectors, *, embedder: str
) -> list[tuple[int, float]]:
    """Returns (chunk id, cosine) of every given passage, best first, as the index would.

    Args:
        engine: The database, which has the vectors.
        chunk_ids: The passages to compare.
        vectors: (n, dim) of the question and its other wordings; the nearest counts.
        embedder: Whose vectors they are; passages of another are left out.
    """
    scores = {
        chunk.id: float(np.max(chunk.all_vectors(embedder) @ vectors.T))
        for group in load_indexable(engine, sorted(chunk_ids))
        for chunk in group
        if chunk.embedder == embedder
    }
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _folded(values: Sequence[str]) -> set[str]:
    return {value.strip().casefold() for value in values}


def _names(language: str | None) -> set[str]:
    """The language's tag and its main part."""
    tag = (language or "").casefold()
    return {tag, tag.split(_SEPARATOR)[0]} - {""}


def _format(name: str) -> str:
    return PurePath(name).suffix.lstrip(".").casefold()


def _formats(values: Sequence[str]) -> set[str]:
    return {value.lstrip(".") for value in _folded(values)}
