"""Remembered vectors are the embedder's own, survive a restart, and no damage does harm."""

from pathlib import Path

import numpy as np
import pytest

from bot.classifiers.remembered import RememberedEmbedder
from tests.fakes import FakeEmbedder


class Counting(FakeEmbedder):
    n_asked = 0

    def embed_queries(self, texts: list[str]) -> np.ndarray:  # type: ignore[override]
        self.n_asked += len(texts)
        return super().embed_queries(texts)


@pytest.fixture
def inner() -> Counting:
    return Counting()


def test_text_is_embedded_once(inner: Counting, tmp_path: Path) -> None:
    texts = ["where is it", "refund", "where is it"]
    first = RememberedEmbedder(inner, tmp_path).embed_queries(texts)
    again = RememberedEmbedder(inner, tmp_path).embed_queries(texts[::-1])
    assert inner.n_asked == 2
    assert np.array_equal(first, FakeEmbedder().embed_queries(texts))
    assert np.array_equal(again, first[::-1])


def test_nothing_gives_nothing(inner: Counting, tmp_path: Path) -> None:
    assert RememberedEmbedder(inner, tmp_path).embed_queries([]).shape == (0, inner.dim)


def test_missing_texts_are_counted(inner: Counting, tmp_path: Path) -> None:
    remembered = RememberedEmbedder(inner, tmp_path)
    remembered.embed_queries(["a"])
    assert remembered.n_missing(["a", "b", "b"]) == 1


def test_interrupted_work_is_kept(inner: Counting, tmp_path: Path) -> None:
    remembered = RememberedEmbedder(inner, tmp_path)
    texts = [f"question {i}" for i in range(70)]

    def stop(share: float) -> None:
        if share > 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        remembered.embed_in_steps(texts, on_step=stop)
    assert remembered.n_missing(texts) == 6


def test_damaged_file_is_begun_anew(inner: Counting, tmp_path: Path) -> None:
    remembered = RememberedEmbedder(inner, tmp_path)
    remembered.embed_queries(["a"])
    [file] = tmp_path.iterdir()
    file.write_bytes(b"PK\x03\x04 no archive")
    assert np.array_equal(remembered.embed_queries(["a"]), FakeEmbedder().embed_queries(["a"]))
    assert remembered.n_missing(["a"]) == 0


def test_embedders_do_not_mix(inner: Counting, tmp_path: Path) -> None:
    RememberedEmbedder(inner, tmp_path).embed_queries(["a"])
    other = FakeEmbedder(id="other", dim=8)
    assert RememberedEmbedder(other, tmp_path).n_missing(["a"]) == 1
