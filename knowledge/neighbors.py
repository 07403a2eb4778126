"""Small-to-big: the passages that stand beside a found one, to be read together with it.

After retrieval, before the prompt. A search finds a short passage; what it says may begin in the
one before or go on in the one after. A neighbour is of the same version and under the same
headings, follows without a gap, and is one that the audience may find itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, select

from knowledge.live_chunks import LiveChunk, load_live
from knowledge.tables import ChunkRow
from knowledge.types import Audience, Chunk, ChunkOrigin, ScoredChunk

#: What a person added stands at the end of the text, beside passages it has nothing to do with.
_IN_PLACE = (ChunkOrigin.PARSED, ChunkOrigin.EDITED)


@dataclass(frozen=True, slots=True)
class Neighbors:
    """What stands beside a passage, the nearest first on either side."""

    before: tuple[ScoredChunk, ...] = ()
    after: tuple[ScoredChunk, ...] = ()


#: A passage with nothing beside it.
ALONE = Neighbors()


class NeighborFinder:
    """Finds the neighbours of a passage.

    Args:
        engine: The database.
        reach: How many passages away a neighbour may stand on either side.
        now: The clock that effective and expiry dates are held against.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        reach: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if reach < 1:
            raise ValueError(f"Expected a reach of at least 1, got {reach!r}.")
        self._engine = engine
        self._reach = reach
        self._now = now

    def around(self, hit: ScoredChunk, *, audience: Audience = Audience.CUSTOMER) -> Neighbors:
        """Returns what stands beside `hit`, each with the rank and score of `hit`.

        Args:
            hit: What a search found.
            audience: Who does not say it gets what customers may see.
        """
        ids = self._ids_around(hit.chunk)
        if hit.chunk.id not in ids:
            return ALONE
        live = load_live(self._engine, ids, audience=audience, now=self._now())
        place = ids.index(hit.chunk.id)
        before = adjoining(hit.chunk, reversed(ids[:place]), live)
        after = adjoining(hit.chunk, ids[place + 1 :], live)
        return Neighbors(*(tuple(_as_hit(one, hit) for one in side) for side in (before, after)))

    def _ids_around(self, chunk: Chunk) -> list[int]:
        """Returns the ids of that version's passages near `chunk`, in the document's order."""
        own = select(ChunkRow.ordinal).where(ChunkRow.id == chunk.id).scalar_subquery()
        query = (
            select(ChunkRow.id)
            .where(ChunkRow.document_id == chunk.document_id, ChunkRow.version == chunk.version)
            .where(ChunkRow.ordinal >= own - self._reach, ChunkRow.ordinal <= own + self._reach)
            .order_by(ChunkRow.ordinal, ChunkRow.id)
        )
        with self._engine.connect() as connection:
            return list(connection.scalars(query))


def adjoining(
    chunk: Chunk, ids: Iterable[int], live: Mapping[int, LiveChunk]
) -> Iterator[LiveChunk]:
    """Yields the passages from `chunk` on that belong to it, up to the first that does not.

    Args:
        chunk: The passage that was found.
        ids: The passages on one side of it, the nearest first.
        live: Those that may be found; `chunk` has to be among them.
    """
    if chunk.id not in live:
        return
    for id in ids:
        if id not in live or not _belong_together(chunk, live[id].chunk):
            return
        yield live[id]


def _belong_together(chunk: Chunk, other: Chunk) -> bool:
    return (
        other.document_id == chunk.document_id
        and other.version == chunk.version
        and other.headings == chunk.headings
        and chunk.origin in _IN_PLACE
        and other.origin in _IN_PLACE
    )


def _as_hit(found: LiveChunk, hit: ScoredChunk) -> ScoredChunk:
    """The neighbour as a hit of its own, so that whatever is cited of it stands in it."""
    return ScoredChunk(found.chunk, found.document, found.title, hit.score, hit.rank)
