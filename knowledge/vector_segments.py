"""An immutable run of vectors in files: compared one by one, by a graph, or by compressed codes.

`VectorIndex` keeps its newest vectors in memory and the rest in a few of these. A segment's type
follows from its size: every vector is compared while it is small, then an HNSW graph, then IVF
lists of product-quantized codes proposes candidates. Whatever proposes them, candidates are
scored again by the vectors themselves, half precision and memory-mapped, so scores of all types
are the same cosines. Nothing is ever written to a segment: removed rows are flagged in `alive`,
and `VectorIndex.upkeep` drops them when it makes a new segment of several.

How far a search has to look for `min_recall` is measured after each build, against comparing
all vectors, and stored with the segment.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs", TPAMI 2018; Jégou, Douze and Schmid, "Product
quantization for nearest neighbor search", TPAMI 2011; both as FAISS has them.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt

from knowledge.embedding import Vectors

Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.float16]
Flags = npt.NDArray[np.bool_]
Kind = Literal["exact", "hnsw", "ivf-pq"]

_BLOCK = 1 << 15
_HNSW_LINKS = 32
_HNSW_BUILD = 80
#: IVF lists: 4·√n as FAISS advises, bounded because each added vector is held against all.
_MAX_LISTS = 4096
_TRAIN_PER_LIST = 39  # fewer make FAISS warn
_TRAIN_ROUNDS = 10
_N_ASKED = 100
#: Questions lie this far from their passages: a cosine around 0.5 with the packaged weights.
_NOISE = 1.5
_NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class IndexSizes:
    """Which type of index serves how many vectors, and how carefully.

    Args:
        exact: Up to here every vector is compared with a question.
        hnsw: Up to here a graph leads to the nearest ones, above compressed lists do. Of 200,000
            vectors lists took 0.7 ms for 0.984 of the ten nearest and a graph 8 ms for 0.998, with
            five times the memory; of 60,000 lists found 0.935 and a graph all.
        rescored: Candidates of each segment that are scored again by the vectors themselves.
        min_recall: Of the ten nearest, what share the search must find; decides how far it looks.
        dead_share: Of a segment's rows, what share may be removed ones before it is made anew.
        spill: New vectors held in memory before they go to a file, while many come at once.
        threads: For building; few, because customers are served meanwhile.
    """

    exact: int = 20_000
    hnsw: int = 200_000
    rescored: int = 400
    min_recall: float = 0.985
    dead_share: float = 0.25
    spill: int = 200_000
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.exact <= self.hnsw or self.rescored < 1 or self.spill < 1:
            raise ValueError(f"Expected positive sizes, exact up to hnsw, got {self!r}.")

    def kind(self, n_rows: int) -> Kind:
        """Returns the type that serves so many vectors."""
        if n_rows <= self.exact:
            return "exact"
        return "hnsw" if n_rows <= self.hnsw else "ivf-pq"


@dataclass(frozen=True, slots=True)
class Described:
    """What a segment is, for the manifest and the log.

    Args:
        kind: Its type.
        n_rows: Vectors in it, removed ones included.
        effort: `efSearch` of a graph, `nprobe` of lists, 0 for exact.
        candidates: At least so many are scored again by the vectors themselves.
        recall: Share of the ten nearest that was found on a sample, measured after the build.
    """

    kind: Kind
    n_rows: int
    effort: int = 0
    candidates: int = 0
    recall: float = 1.0


class Segment:
    """Vectors by chunk id, ascending; a chunk's vectors stand together.

    Args:
        folder: Its files; see `write`.

    Raises:
        OSError: a file is missing or cut short.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.folder = folder
            self.ids: Ids = np.load(folder / "ids.npy")
            self.rows: Rows = np.load(folder / "rows.npy", mmap_mode="r")
            _read_ahead(folder / "rows.npy")
            self.described = Described(**json.loads((folder / "segment.json").read_text("utf-8")))
            has_graph = self.described.kind != "exact"
            self._graph = faiss.read_index(str(folder / "graph.faiss")) if has_graph else None
        except (RuntimeError, ValueError, TypeError) as error:
            raise OSError(f"{folder} is not a whole segment: {error}") from error
        if not len(self.ids) == len(self.rows) == self.described.n_rows:
            raise OSError(f"{folder} is not a whole segment: its files differ in length.")
        self.alive: Flags = np.ones(len(self.ids), np.bool_)
        self.n_dead = 0

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Ids) -> Ids:
        """Returns the rows of those `ids` that are alive here."""
        first, last = np.searchsorted(self.ids, ids), np.searchsorted(self.ids, ids, side="right")
        runs = [np.arange(a, b) for a, b in zip(first, last, strict=True) if a < b]
        rows = np.concatenate(runs) if runs else np.empty(0, np.int64)
        return np.asarray(rows[self.alive[rows]], np.int64)

    def bury(self, rows: Ids) -> None:
        """Takes rows out of every search from now on."""
        self.alive[rows] = False  # live ones, each once
        self.n_dead += len(rows)

    def search(self, query: Vectors, n_rows: int) -> tuple[Ids, Vectors]:
        """Returns (ids, cosines), in no order, of about the `n_rows` nearest live rows."""
        n_rows = max(n_rows, self.described.candidates)
        n_rows = n_rows * len(self) // max(1, len(self) - self.n_dead) + 1
        if self._graph is None or n_rows > len(self) // 4:
            return self._scan(query, n_rows)
        near = self._propose(query.reshape(1, -1), n_rows, self.described.effort)[0]
        near = np.sort(near[near >= 0])  # in file order
        near = near[self.alive[near]]
        return self.ids[near], self.rows[near].astype(np.float32) @ query

    def _scan(self, query: Vectors, n_rows: int) -> tuple[Ids, Vectors]:
        scores = np.concatenate([block @ query for block in blocks(self.rows)])
        scores[~self.alive] = -np.inf
        near = nearest(scores, n_rows)
        return self.ids[near], scores[near]

    def _propose(self, queries: Vectors, n_rows: int, effort: int) -> Ids:
        """Returns (n_queries, n_rows) row numbers, -1 where there are no more."""
        assert self._graph is not None  # noqa: S101  # callers checked
        params = _params(self.described.kind, effort, n_rows)
        return np.asarray(self._graph.search(queries, n_rows, params=params)[1], np.int64)


def _read_ahead(path: Path) -> None:
    """Lets the system read a file beforehand: each search wants hundreds of scattered rows."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def nearest(scores: Vectors, n: int) -> Ids:
    """Returns where the `n` highest finite scores stand, in no order."""
    where = np.argpartition(-scores, n - 1)[:n] if n < len(scores) else np.arange(len(scores))
    return np.asarray(where[np.isfinite(scores[where])], np.int64)


def blocks(rows: Rows) -> Iterator[Vectors]:
    """Yields float32 copies of runs of `rows`, small enough to hold."""
    for first in range(0, len(rows), _BLOCK):
        yield rows[first : first + _BLOCK].astype(np.float32)


def new_rows(folder: Path, shape: tuple[int, int]) -> Rows:
    """Opens the file of a segment's vectors for writing."""
    return np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float16, shape)


def write(folder: Path, ids: Ids, *, sizes: IndexSizes, kind: Kind | None = None) -> Segment:
    """Completes a folder in which `new_rows` was filled, and returns its segment.

    Args:
        folder: Where `rows.npy` stands.
        ids: The rows' chunk ids, ascending.
        sizes: Decides the type and how carefully it is built.
        kind: That type instead.
    """
    rows: Rows = np.load(folder / "rows.npy", mmap_mode="r")
    kind = kind or sizes.kind(len(rows))
    np.save(folder / "ids.npy", ids)
    if kind != "exact":
        _build(folder / "graph.faiss", rows, kind)
    _describe(folder, Described(kind, len(rows)))
    if kind == "exact":
        return Segment(folder)
    _describe(folder, _tuned(Segment(folder), sizes))
    return Segment(folder)


def link_files(source: Path, target: Path) -> None:
    """Gives a segment's files a second place, without copying where the file system can."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        try:
            os.link(file, target / file.name)
        except FileNotFoundError:
            raise
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(file, target / file.name)


def _describe(folder: Path, described: Described) -> None:
    (folder / "segment.json").write_text(json.dumps(asdict(described)), "utf-8")


def _build(path: Path, rows: Rows, kind: Kind) -> None:
    graph = _new_hnsw(rows) if kind == "hnsw" else _new_ivf_pq(rows)
    for block in blocks(rows):
        graph.add(block)
    faiss.write_index(graph, str(path))


def _new_hnsw(rows: Rows) -> Any:  # faiss has no types
    """A graph over 8-bit copies of the vectors, a quarter of the memory of the vectors."""
    graph = faiss.IndexHNSWSQ(
        rows.shape[1],
        faiss.ScalarQuantizer.QT_8bit,  # type: ignore[arg-type]  # as are the other stubs: wrong
        _HNSW_LINKS,
        faiss.METRIC_INNER_PRODUCT,
    )
    graph.hnsw.efConstruction = _HNSW_BUILD
    graph.train(_sample(rows, _MAX_LISTS))
    return graph


def _new_ivf_pq(rows: Rows) -> Any:  # faiss has no types
    """Lists of 4-bit codes, one for each two numbers of a vector.

    Coarser codes (96 for 384 numbers) kept the right candidates among the first 400 in only 93 %
    of cases on the demo company's questions, these in 99 %.
    """
    dim = rows.shape[1]
    n_lists = max(1, min(_MAX_LISTS, 4 * isqrt(len(rows)), len(rows) // _TRAIN_PER_LIST))
    n_codes = dim // 2 if dim % 2 == 0 else dim
    graph: Any = faiss.index_factory(
        dim, f"IVF{n_lists},PQ{n_codes}x4fs", faiss.METRIC_INNER_PRODUCT
    )
    graph.cp.niter = _TRAIN_ROUNDS
    graph.train(_sample(rows, max(n_lists * _TRAIN_PER_LIST, 1 << 14)))
    return graph


def _sample(rows: Rows, n: int) -> Vectors:
    rng = np.random.default_rng(0)
    if n < len(rows):
        return rows[np.sort(rng.choice(len(rows), n, replace=False))].astype(np.float32)
    return rows.astype(np.float32)


def _params(kind: Kind, effort: int, n_rows: int) -> Any:  # faiss has no types
    library: Any = faiss  # its stubs lack both
    if kind == "hnsw":
        return library.SearchParametersHNSW(efSearch=max(effort, n_rows))
    return library.IVFPQSearchParameters(nprobe=effort)


def _tuned(segment: Segment, sizes: IndexSizes) -> Described:
    """Measures how far a search has to look, against comparing all vectors.

    Of the ways that find enough the quickest is taken, or the one that finds most.
    """
    rows = segment.rows
    queries = _asked(rows)
    tenth = _exact_scores(rows, queries)  # (n_queries,): the tenth nearest's
    tried: list[Described] = []
    enough: Described | None = None
    counts = _counts(segment, sizes.rescored)
    for effort in _efforts(segment, counts[0]):
        one = replace(segment.described, effort=effort, candidates=counts[0])
        if enough is not None and _cost(one, segment) >= _cost(enough, segment):
            break
        found = segment._propose(queries, counts[-1], effort)
        recalls = _recalls(segment, _Asked(queries, found, tenth), counts)
        tried += [
            replace(one, candidates=n, recall=r) for n, r in zip(counts, recalls, strict=True)
        ]
        good = [way for way in tried if way.recall >= sizes.min_recall]
        enough = min(good, key=lambda way: _cost(way, segment), default=None)
    return enough or max(tried, key=lambda way: way.recall)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Stand-ins for questions, what was proposed for them, and what it is measured by."""

    queries: Vectors  # (n_queries, dim)
    found: Ids  # (n_queries, n_rows): best first, -1 where there are no more
    tenth: Vectors  # (n_queries,): the tenth nearest's score


def _asked(rows: Rows) -> Vectors:
    """Returns (n, dim) vectors that are as hard to answer as questions.

    Each lies between two passages and a question's distance away. Beside a single passage it
    would be too easy: a graph that found 0.99 of the nearest for those found 0.84 for customers'
    questions, and 0.82 for these.
    """
    rng = np.random.default_rng(1)
    picked = _sample(rows, 2 * _N_ASKED)
    picked = picked[rng.permutation(len(picked))]
    half = max(1, len(picked) // 2)
    middle = picked[:half] + picked[-half:]  # (half, dim)
    middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
    middle *= 2**0.5  # unit vectors at a right angle add up to this
    noise = rng.standard_normal(middle.shape).astype(np.float32)
    queries = middle + noise * (_NOISE / rows.shape[1] ** 0.5)
    return np.asarray(queries / np.linalg.norm(queries, axis=1, keepdims=True), np.float32)


def _counts(segment: Segment, rescored: int) -> list[int]:
    """Returns how many candidates may be scored again; codes need more of them, a graph none."""
    factors = (1, 2, 4, 8) if segment.described.kind == "ivf-pq" else (1,)
    return sorted({min(rescored * factor, len(segment)) for factor in factors})


def _efforts(segment: Segment, n_rows: int) -> list[int]:
    """Returns how far to look, the quickest first."""
    if segment.described.kind == "hnsw":
        return [n_rows * factor for factor in (1, 2, 4, 8, 16)]
    n_lists = _n_lists(segment)
    powers = [1 << power for power in range(4, n_lists.bit_length()) if 1 << power < n_lists]
    return [*powers, n_lists]


def _n_lists(segment: Segment) -> int:
    graph: Any = segment._graph
    return int(graph.nlist)


def _cost(way: Described, segment: Segment) -> float:
    """Returns what a search takes: scoring a vector again is worth comparing a hundred codes."""
    if way.kind == "hnsw":
        return way.effort
    return way.n_rows * way.effort / _n_lists(segment) / 100 + way.candidates


def _exact_scores(rows: Rows, queries: Vectors) -> Vectors:
    best = np.full((len(queries), _NEIGHBOURS), -np.inf, np.float32)
    for block in blocks(rows):
        both = np.hstack([best, queries @ block.T])
        best = -np.partition(-both, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    return np.asarray(best.min(axis=1), np.float32)


def _recalls(segment: Segment, asked: _Asked, counts: Sequence[int]) -> list[float]:
    """Returns the share of the ten nearest among the first of what was proposed, by how many.

    Equal scores count alike.
    """
    wanted = min(_NEIGHBOURS, len(segment))
    n_found = np.zeros(len(counts), np.int64)
    for query, near, tenth in zip(asked.queries, asked.found, asked.tenth, strict=True):
        near = near[near >= 0]
        is_best = segment.rows[near].astype(np.float32) @ query >= tenth - 1e-5
        n_found += [min(wanted, int(np.count_nonzero(is_best[:n]))) for n in counts]
    return [round(float(n) / (wanted * len(asked.queries)), 4) for n in n_found]


def load(source: Path, folder: Path, alive: Flags) -> Segment:
    """Opens a saved segment from a second place of its own files."""
    link_files(source, folder)
    segment = Segment(folder)
    if len(alive) < len(segment):
        raise OSError(f"{source} is not a whole segment: flags are missing.")
    segment.bury(np.flatnonzero(~alive[: len(segment)]))
    return segment
