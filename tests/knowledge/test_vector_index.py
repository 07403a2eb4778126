from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.vector_index import VectorIndex
from knowledge.vector_segments import IndexSizes
from tests.contracts import VECTOR_INDEX_CHECKS, unit_vectors

Check = Callable[[Callable[[int], VectorIndex]], None]


@pytest.mark.parametrize("check", VECTOR_INDEX_CHECKS, ids=lambda check: check.__name__)
def test_vector_index_keeps_the_contract(check: Check) -> None:
    check(VectorIndex)


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(0, 1 << 60), min_size=1, max_size=30, unique=True),
    seed=st.integers(0, 1000),
)
def test_saved_index_gives_same_answers(ids: list[int], seed: int) -> None:
    index = VectorIndex(8)
    index.add(ids, unit_vectors(len(ids), 8, seed=seed))
    with TemporaryDirectory() as folder:
        index.save(Path(folder) / "vectors")
        loaded = VectorIndex.load(Path(folder) / "vectors")
    query = unit_vectors(1, 8, seed=seed + 1)[0]
    assert loaded.search(query, 10) == index.search(query, 10)
    assert loaded.ids == index.ids == frozenset(ids)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 12), min_size=1)), max_size=12)
)
def test_edits_agree_with_a_dictionary(steps: list[tuple[bool, set[int]]]) -> None:
    index, expected = VectorIndex(8), {}
    for number, (is_add, ids) in enumerate(steps):
        ordered = sorted(ids)
        if is_add:
            vectors = unit_vectors(len(ordered), 8, seed=number)
            index.add(ordered, vectors)
            expected.update(zip(ordered, vectors, strict=True))
        else:
            index.remove(ordered)
            expected = {id: vector for id, vector in expected.items() if id not in ids}
    query = unit_vectors(1, 8, seed=99)[0]
    best = sorted(((float(v @ query), id) for id, v in expected.items()), reverse=True)
    found = index.search(query, 20)
    assert {id for id, _ in found} == index.ids == set(expected)
    assert np.allclose([score for _, score in found], [score for score, _ in best], atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"not an index", None])
@pytest.mark.parametrize("name", ["vectors.json", "tail_rows.npy", "graph.faiss", "rows.npy"])
def test_loading_a_broken_file_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    index = VectorIndex(8, sizes=IndexSizes(exact=50, hnsw=500))
    index.add(range(100), unit_vectors(100, 8))
    assert index.upkeep()
    index.save(tmp_path / "vectors")
    (path,) = (tmp_path / "vectors").rglob(name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError):  # noqa: PT011  # whichever file it is
        VectorIndex.load(tmp_path / "vectors")


def test_search_works_while_others_edit() -> None:
    index, vectors = VectorIndex(16), unit_vectors(200, 16)
    index.add(range(100), vectors[:100])
    finished: list[bool] = []

    def edit() -> None:
        for id in range(100, 200):
            index.add([id], vectors[id : id + 1])
            index.remove([id])
        finished.append(True)

    thread = Thread(target=edit)
    thread.start()
    while thread.is_alive():
        assert index.search(vectors[5], 1)[0][0] == 5
    assert finished == [True]
    assert index.ids == frozenset(range(100))


def test_dimension_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        VectorIndex(0)
