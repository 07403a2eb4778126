from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.vector_index import VectorIndex
from knowledge.vector_segments import IndexSizes
from tests.contracts import VECTOR_INDEX_CHECKS, unit_vectors

DIM = 16
SIZES = IndexSizes(exact=200, hnsw=1200, rescored=60, min_recall=0.98)


def kinds(index: VectorIndex) -> list[str]:
    return [one.kind for one in index.described if one.n_rows]


def settle(index: VectorIndex) -> None:
    while index.upkeep():
        pass


def filled(n: int, sizes: IndexSizes = SIZES) -> tuple[VectorIndex, np.ndarray]:
    index, vectors = VectorIndex(DIM, sizes=sizes), unit_vectors(n, DIM)
    index.add(range(n), vectors)
    settle(index)
    return index, vectors


def recall(index: VectorIndex, vectors: dict[int, np.ndarray], n_asked: int = 20) -> float:
    """Share of the ten nearest ids that are found, equal scores counting alike."""
    n_found = n_wanted = 0
    for query in unit_vectors(n_asked, DIM, seed=77):
        exact = sorted((float((rows @ query).max()) for rows in vectors.values()), reverse=True)
        found = index.search(query, 10)
        wanted = min(10, len(exact))
        assert len({id for id, _ in found}) == len(found) == wanted
        n_wanted += wanted
        n_found += sum(score >= exact[wanted - 1] - 2e-3 for _, score in found)
    return n_found / n_wanted if n_wanted else 1.0


@pytest.mark.parametrize(
    ("n", "kind"), [(100, "exact"), (200, "exact"), (201, "hnsw"), (1200, "hnsw"), (3000, "ivf-pq")]
)
def test_type_follows_from_the_size(n: int, kind: str) -> None:
    index, vectors = filled(n)
    assert kinds(index) == [kind]
    (described,) = [one for one in index.described if one.n_rows]
    assert described.recall >= SIZES.min_recall
    assert recall(index, {id: row[None] for id, row in enumerate(vectors)}) >= 0.97


@pytest.mark.parametrize("n", [300, 2000])
def test_scores_are_cosines_in_every_type(n: int) -> None:
    index, vectors = filled(n)
    for id, score in index.search(vectors[3], 5):
        assert score == pytest.approx(float(vectors[id] @ vectors[3]), abs=2e-3)


@pytest.mark.parametrize("n", [300, 2000])
def test_removal_takes_effect_at_once(n: int) -> None:
    index, vectors = filled(n)
    for id in range(0, 40):
        assert index.search(vectors[id], 1)[0][0] == id
        index.remove([id])
        assert id not in {found for found, _ in index.search(vectors[id], 20)}
    assert len(index) == n - 40


@pytest.mark.parametrize("n", [300, 2000])
def test_replacement_takes_effect_at_once(n: int) -> None:
    index, vectors = filled(n)
    index.add([7], -vectors[7:8])
    assert len(index) == n
    assert index.search(-vectors[7], 1) == [(7, pytest.approx(1.0, abs=1e-3))]
    assert dict(index.search(vectors[7], n)).get(7, -1.0) < 0


@pytest.mark.parametrize("n", [300, 2000])
def test_one_more_builds_nothing(n: int) -> None:
    index, _ = filled(n)
    before = index.described[0]
    index.add([n], unit_vectors(1, DIM, seed=5))
    assert not index.upkeep()
    assert index.described[0] == before
    assert index.search(unit_vectors(1, DIM, seed=5)[0], 1)[0][0] == n


def test_growing_bit_by_bit_keeps_few_segments() -> None:
    index, vectors = VectorIndex(DIM, sizes=SIZES), unit_vectors(4000, DIM)
    for first in range(0, 4000, 125):
        index.add(range(first, first + 125), vectors[first : first + 125])
        index.upkeep()
    settle(index)
    assert len(index.described) <= 6
    assert "ivf-pq" in kinds(index)
    assert recall(index, {id: row[None] for id, row in enumerate(vectors)}) >= 0.97


def test_many_removed_rows_are_dropped() -> None:
    index, _ = filled(2000)
    index.remove(range(0, 1000))
    assert index.upkeep()
    assert kinds(index) == ["hnsw"]
    assert index.described[0].n_rows == len(index) == 1000
    index.remove(range(1000, 2000))
    settle(index)
    assert kinds(index) == []
    assert index.search(unit_vectors(1, DIM)[0], 5) == []


def test_spilled_vectors_are_found_before_upkeep() -> None:
    index, vectors = VectorIndex(DIM, sizes=IndexSizes(exact=50, hnsw=100, spill=80)), None
    vectors = unit_vectors(300, DIM)
    for id, row in enumerate(vectors):
        index.add([id], row[None])
    assert kinds(index) == ["exact"] * 4
    assert recall(index, {id: row[None] for id, row in enumerate(vectors)}) == 1.0


@pytest.mark.parametrize("n_rows", [(210, 205, 190), (60, 200, 201), (100, 100, 160, 500)])
def test_segments_of_like_size_are_joined(n_rows: tuple[int, ...]) -> None:
    index = VectorIndex(DIM, sizes=IndexSizes(exact=50, hnsw=2000, spill=55))
    vectors = unit_vectors(sum(n_rows), DIM)
    for first, n in zip(np.cumsum([0, *n_rows[:-1]]), n_rows, strict=True):
        index.add(range(first, first + n), vectors[first : first + n])
    settle(index)
    sizes = sorted(one.n_rows for one in index.described if one.n_rows)
    assert len(index) == sum(sizes) == sum(n_rows)
    assert all(b > 1.5 * a for a, b in pairwise(sizes))


def test_edits_during_upkeep_are_kept() -> None:
    index, vectors = filled(1000)
    index.add(range(1000, 3000), unit_vectors(2000, DIM, seed=3))
    upkeep = Thread(target=index.upkeep)
    upkeep.start()
    removed = []
    for id in range(0, 1000, 10):
        index.remove([id])
        removed.append(id)
        assert id not in {found for found, _ in index.search(vectors[id], 10)}
    upkeep.join()
    settle(index)
    assert index.ids == set(range(3000)) - set(removed)
    assert len(index) == 3000 - len(removed)


@pytest.mark.parametrize("check", VECTOR_INDEX_CHECKS, ids=lambda check: check.__name__)
def test_contract_holds_beside_a_grown_base(check) -> None:  # type: ignore[no-untyped-def]
    def make(dim: int) -> VectorIndex:
        index = VectorIndex(dim, sizes=IndexSizes(exact=20, hnsw=300))
        index.add(range(5000, 5500), unit_vectors(500, dim, seed=9))
        settle(index)
        index.remove(range(5000, 5500))
        return index

    check(make)


STEP = st.tuples(
    st.sampled_from(["add", "remove", "upkeep", "reload"]),
    st.integers(0, 900),
    st.integers(1, 400),
)


@settings(deadline=None, max_examples=25)
@given(steps=st.lists(STEP, min_size=3, max_size=10))
def test_any_edits_agree_with_exact_search(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    sizes = IndexSizes(exact=60, hnsw=300, rescored=60, spill=500)
    index, expected = VectorIndex(DIM, sizes=sizes), dict[int, np.ndarray]()
    folder: Path = tmp_path_factory.mktemp("growth")
    for number, (what, first, count) in enumerate(steps):
        ids = list(range(first, first + count))
        if what == "add":
            rows = unit_vectors(2 * count, DIM, seed=number)
            index.add(ids * 2, rows)
            expected |= {id: rows[[i, i + count]] for i, id in enumerate(ids)}
        elif what == "remove":
            index.remove(ids)
            expected = {id: rows for id, rows in expected.items() if id not in set(ids)}
        elif what == "upkeep":
            index.upkeep()
        else:
            index.save(folder / str(number))
            index = VectorIndex.load(folder / str(number), sizes=sizes)
        assert len(index) == len(expected)
    assert index.ids == set(expected)
    assert recall(index, expected, n_asked=8) >= 0.95
