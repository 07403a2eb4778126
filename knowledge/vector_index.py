"""Dense vectors by chunk id, searched by a type of index that follows from their number.

New vectors go into memory and are all compared with a question. In the background `upkeep` makes
immutable segments of them (`knowledge.vector_segments`) and joins segments of like size, so their
number and the work per vector grow with the logarithm of the whole, and adding a document to a
million never builds anything again. FAISS graphs cannot forget: what is removed or replaced is
flagged at once and left out by every search, of every type, until its segment is made anew.

Searches take no lock: they work on what one attribute named when they began.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, RLock
from typing import Self
from uuid import uuid4

import faiss
import numpy as np

from knowledge import vector_segments
from knowledge.embedding import Vectors
from knowledge.vector_segments import (
    Described,
    Flags,
    Ids,
    IndexSizes,
    Kind,
    Rows,
    Segment,
    link_files,
    nearest,
)

logger = logging.getLogger(__name__)

#: Rows looked at are multiplied by this until enough different ids are among them.
_WIDEN = 4
_PREFIX = "segment-"
_BLOCK = 1 << 16
#: A segment up to this many times as large as others together is of like size.
_LIKE = 1.5


@dataclass(frozen=True, slots=True)
class _Tail:
    """The newest vectors, in arrays with room behind row `n`; rows before it never change."""

    rows: Vectors  # (capacity, dim)
    ids: Ids  # (capacity,)
    alive: Flags  # (capacity,)
    n: int

    @classmethod
    def empty(cls, dim: int, capacity: int = 64) -> Self:
        ids, alive = np.empty(capacity, np.int64), np.zeros(capacity, np.bool_)
        return cls(np.empty((capacity, dim), np.float32), ids, alive, 0)

    def plus(self, ids: Ids, rows: Vectors) -> "_Tail":
        """Returns the tail with more rows; those who read this one notice nothing."""
        n = self.n + len(ids)
        to = self
        if n > len(self.ids):
            to = _Tail.empty(self.rows.shape[1], max(n, 2 * len(self.ids)))
            for new, old in ((to.rows, self.rows), (to.ids, self.ids), (to.alive, self.alive)):
                new[: self.n] = old[: self.n]
        to.rows[self.n : n], to.ids[self.n : n], to.alive[self.n : n] = rows, ids, True
        return _Tail(to.rows, to.ids, to.alive, n)

    def after(self, n: int) -> "_Tail":
        """Returns the live rows from row `n` on."""
        keep = n + np.flatnonzero(self.alive[n : self.n])
        return _Tail.empty(self.rows.shape[1]).plus(self.ids[keep], self.rows[keep])

    def find(self, ids: Ids) -> Ids:
        """Returns the live rows of `ids`."""
        mine = np.isin(self.ids[: self.n], ids) & self.alive[: self.n]
        return np.asarray(np.flatnonzero(mine), np.int64)

    def search(self, query: Vectors, n_rows: int) -> tuple[Ids, Vectors]:
        scores = self.rows[: self.n] @ query
        scores[~self.alive[: self.n]] = -np.inf
        near = nearest(scores, n_rows)
        return self.ids[near], scores[near]


@dataclass(frozen=True, slots=True)
class _View:
    """What searches see."""

    segments: tuple[Segment, ...]
    tail: _Tail
    n_ids: int

    @property
    def parts(self) -> "tuple[Segment | _Tail, ...]":
        """Segments and tail."""
        return (*self.segments, self.tail)


class VectorIndex:
    """Unit vectors under integer ids, one or several each; adding an id again replaces all of its.

    A search scores an id by the best of its vectors. Calls may come from several threads; edits
    wait for each other, searches for nobody.

    Args:
        dim: Length of each vector.
        folder: For the files of this object alone; without, a temporary one.
        sizes: Which type of index serves how many vectors.
    """

    def __init__(
        self, dim: int, *, folder: Path | None = None, sizes: IndexSizes | None = None
    ) -> None:
        if dim < 1:
            raise ValueError(f"Expected a positive dimension, got {dim!r}.")
        self._temporary = None if folder else TemporaryDirectory(prefix="kefu-vectors-")
        self._folder = folder or Path(str(self._temporary.name if self._temporary else ""))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sizes = sizes or IndexSizes()
        self._dim = dim
        self._view = _View((), _Tail.empty(dim), 0)
        self._editing = RLock()
        self._tending = Lock()

    def __len__(self) -> int:
        return self._view.n_ids

    def __contains__(self, chunk_id: int) -> bool:
        ids = np.asarray([chunk_id], np.int64)
        view = self._view
        return any(len(part.find(ids)) for part in view.parts)

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return self._dim

    @property
    def ids(self) -> frozenset[int]:
        """All ids that a search can return."""
        return frozenset(self.sorted_ids().tolist())

    def sorted_ids(self) -> Ids:
        """Returns all ids that a search can return, ascending."""
        view = self._view
        found = [segment.ids[segment.alive] for segment in view.segments]
        tail = view.tail
        return np.unique(np.concatenate([*found, tail.ids[: tail.n][tail.alive[: tail.n]]]))

    @property
    def described(self) -> tuple[Described, ...]:
        """Returns the segments, then the vectors that are in none yet, which are compared all."""
        view = self._view
        return (*(one.described for one in view.segments), Described("exact", view.tail.n))

    def add(self, ids: Sequence[int], vectors: Vectors) -> None:
        """Stores `vectors`, (n, dim) float32, under `ids`, which may repeat; replaces old ones."""
        if vectors.shape != (len(ids), self.dim):
            raise ValueError(f"Expected shape {(len(ids), self.dim)}, got {vectors.shape}.")
        if not len(ids):
            return
        new = np.asarray(ids, dtype=np.int64)
        with self._editing:
            view = self._view
            doomed = [(part, part.find(np.unique(new))) for part in view.parts]
            tail = view.tail.plus(new, np.asarray(vectors, np.float32))
            n_gone = _n_ids(doomed)
            self._view = _View(view.segments, tail, view.n_ids - n_gone + len(np.unique(new)))
            for part, rows in doomed:
                _bury(tail if isinstance(part, _Tail) else part, rows)
            if tail.n >= self._sizes.spill:
                self._spill()

    def remove(self, ids: Sequence[int]) -> None:
        """Forgets `ids`; unknown ones are ignored."""
        gone = np.unique(np.asarray(list(ids), dtype=np.int64))
        with self._editing:
            view = self._view
            doomed = [(part, part.find(gone)) for part in view.parts]
            for part, rows in doomed:
                _bury(part, rows)
            self._view = _View(view.segments, view.tail, view.n_ids - _n_ids(doomed))

    def search(self, query: Vectors, top_k: int) -> list[tuple[int, float]]:
        """Returns up to `top_k` (id, inner product) pairs for one (dim,) query, best first."""
        view = self._view
        n_wanted = min(top_k, view.n_ids)
        if n_wanted <= 0:
            return []
        query = np.ascontiguousarray(query, dtype=np.float32)
        n_all = view.tail.n + sum(len(segment) for segment in view.segments)
        n_rows = max(self._sizes.rescored, n_wanted * _WIDEN)
        while True:
            found = [part.search(query, n_rows) for part in view.parts]
            ids = np.concatenate([ids for ids, _ in found])
            scores = np.concatenate([scores for _, scores in found])
            order = np.lexsort((ids, -scores))
            _, first = np.unique(ids[order], return_index=True)
            if len(first) >= n_wanted or n_rows >= n_all:
                best = order[np.sort(first)[:n_wanted]]
                return list(zip(ids[best].tolist(), scores[best].tolist(), strict=True))
            n_rows *= _WIDEN  # the best vectors belong to few ids

    def upkeep(self) -> bool:
        """Moves new vectors into a segment and joins segments, where it is time; may take minutes.

        Searches and edits go on meanwhile. Returns whether anything was done.
        """
        with self._tending:
            faiss.omp_set_num_threads(self._sizes.threads)  # of this thread only
            with self._editing:
                is_full = self._view.tail.n > self._sizes.exact
                if is_full:
                    self._spill()
            doomed = _due(self._view.segments, self._sizes)
            if doomed:
                self._join(doomed)
            return is_full or bool(doomed)

    def save(self, folder: Path) -> None:
        """Writes everything into a new folder; files of segments are linked, not copied."""
        with self._editing:
            view = self._view
            folder.mkdir()
            for segment in view.segments:
                link_files(segment.folder, folder / segment.folder.name)
                np.save(folder / f"{segment.folder.name}.npy", np.packbits(segment.alive))
            tail = view.tail.after(0)
        np.save(folder / "tail_rows.npy", tail.rows[: tail.n])
        np.save(folder / "tail_ids.npy", tail.ids[: tail.n])
        names = [segment.folder.name for segment in view.segments]
        content = {"dim": self.dim, "n_ids": view.n_ids, "segments": names}
        (folder / "vectors.json").write_text(json.dumps(content), "utf-8")

    @classmethod
    def load(
        cls, source: Path, *, folder: Path | None = None, sizes: IndexSizes | None = None
    ) -> Self:
        """Opens what `save` wrote; segments' vectors are memory-mapped.

        Raises:
            OSError: a file is missing or not whole.
        """
        try:
            content = json.loads((source / "vectors.json").read_text("utf-8"))
            index = cls(content["dim"], folder=folder, sizes=sizes)
            segments = []
            for name in content["segments"]:
                alive = np.unpackbits(np.load(source / f"{name}.npy")).astype(np.bool_)
                segments.append(vector_segments.load(source / name, index._folder / name, alive))
            rows, ids = np.load(source / "tail_rows.npy"), np.load(source / "tail_ids.npy")
            tail = _Tail.empty(index.dim, max(64, len(ids))).plus(ids, rows)
        except (ValueError, KeyError, EOFError) as error:
            raise OSError(f"{source} is not a whole vector index: {error}") from error
        index._view = _View(tuple(segments), tail, content["n_ids"])
        return index

    def _spill(self) -> None:
        """Moves the tail into a file as it is; `upkeep` makes something quicker of it later."""
        view = self._view
        n = view.tail.n
        source = _Source(view.tail.ids[:n], view.tail.rows[:n], view.tail.alive[:n])
        made = self._make([source], kind="exact")
        segments = (*view.segments, made[0]) if made else view.segments
        self._view = _View(segments, _Tail.empty(self.dim), view.n_ids)

    def _join(self, doomed: Sequence[Segment]) -> None:
        """Puts one new segment in the place of several."""
        sources = [_Source(one.ids, one.rows, one.alive) for one in doomed]
        made = self._make(sources)
        with self._editing:
            kept = tuple(one for one in self._view.segments if one not in doomed)
            if made:
                segment, still_alive = made
                segment.bury(np.flatnonzero(~still_alive()))  # removed while it was built
                kept = (*kept, segment)
            self._view = _View(kept, self._view.tail, self._view.n_ids)
        for one in doomed:
            shutil.rmtree(one.folder, ignore_errors=True)
        logger.info("vectors joined, now %s", [asdict(one) for one in self.described])

    def _make(
        self, sources: Sequence["_Source"], *, kind: Kind | None = None
    ) -> tuple[Segment, Callable[[], Flags]] | None:
        """Returns a segment of all live rows, and what of it is alive in the sources by now."""
        picked = [np.flatnonzero(source.alive) for source in sources]
        ids = np.concatenate([s.ids[rows] for s, rows in zip(sources, picked, strict=True)])
        if not len(ids):
            return None
        order = np.argsort(ids, kind="stable")
        folder = self._folder / f"{_PREFIX}{uuid4().hex}"
        folder.mkdir()
        rows = vector_segments.new_rows(folder, (len(ids), self.dim))
        _gather(rows, sources, picked, order)
        segment = vector_segments.write(folder, ids[order], sizes=self._sizes, kind=kind)

        def still_alive() -> Flags:
            now = [s.alive[rows] for s, rows in zip(sources, picked, strict=True)]
            return np.asarray(np.concatenate(now)[order], np.bool_)

        return segment, still_alive


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows that go into a new segment."""

    ids: Ids
    rows: Vectors | Rows
    alive: Flags


def _gather(to: Rows, sources: Sequence[_Source], picked: Sequence[Ids], order: Ids) -> None:
    """Writes the picked rows of all sources into `to`, in that order, some at a time."""
    starts = np.cumsum([0, *(len(rows) for rows in picked)])
    for first in range(0, len(order), _BLOCK):
        wanted = order[first : first + _BLOCK]
        for number, (source, rows) in enumerate(zip(sources, picked, strict=True)):
            here = np.flatnonzero((wanted >= starts[number]) & (wanted < starts[number + 1]))
            to[first + here] = source.rows[rows[wanted[here] - starts[number]]]
    to.flush()  # type: ignore[attr-defined]  # a memory map


def _due(segments: Sequence[Segment], sizes: IndexSizes) -> list[Segment]:
    """Returns what is to become one segment: the smallest ones of like size, with all they reach.

    Each joins those before it that are together not much smaller, so that every vector moves into
    segments that keep growing by a factor. A small one does not keep larger ones apart.
    """
    by_size = sorted(segments, key=_n_live)
    for first in range(len(by_size) - 1):
        group, n_rows = by_size[first : first + 1], _n_live(by_size[first])
        for segment in by_size[first + 1 :]:
            if _n_live(segment) > _LIKE * n_rows:
                break
            group.append(segment)
            n_rows += _n_live(segment)
        if len(group) > 1:
            return group
    return [one for one in segments if _is_outgrown(one, sizes)][:1]


def _is_outgrown(segment: Segment, sizes: IndexSizes) -> bool:
    is_slow = segment.described.kind == "exact" and len(segment) > sizes.exact
    return is_slow or segment.n_dead > sizes.dead_share * len(segment)


def _n_live(segment: Segment) -> int:
    return len(segment) - segment.n_dead


def _n_ids(found: Sequence[tuple[Segment | _Tail, Ids]]) -> int:
    """Returns how many different chunks stand in those rows."""
    return len(np.unique(np.concatenate([part.ids[rows] for part, rows in found])))


def _bury(part: Segment | _Tail, rows: Ids) -> None:
    if isinstance(part, Segment):
        if len(rows):
            part.bury(rows)
    else:
        part.alive[rows] = False
