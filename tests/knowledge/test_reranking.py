"""A real, tiny cross-encoder reorders the first of the fusion and leaves its trace."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from bot.database import open_database
from knowledge.chunk_edits import ChunkChange
from knowledge.errors import RerankerUnavailable
from knowledge.evaluation import Measure, Question, evaluate
from knowledge.live_chunks import passage_text
from knowledge.relevance import RelevanceModel
from knowledge.reranking import Reranker, load_reranker, reranked
from knowledge.retrieval import HybridRetriever, RetrievalOptions
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase
from tests.shared import migrated_database
from tests.tiny_reranker import save_tiny_reranker

QUERY = "gift wrapping of parcel"
TEXT = "\n\n".join(f"# Wrap {i}\n\nGift wrapping of parcel {i} is done." for i in range(8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_reranker(tmp_path_factory.mktemp("reranker"))


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Reranker:
    return load_reranker(str(folder), device="cpu")


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, words: WordSplitter
) -> Iterator[KnowledgeBase]:
    place = tmp_path_factory.mktemp("reranked")
    copyfile(migrated_database(), place / "test.db")
    engine: Engine = open_database(f"sqlite:///{place / 'test.db'}")
    base = KnowledgeBase(place, engine, FakeEmbedder(), words)
    base.indexes.open()
    base.add("wraps.md", TEXT)
    yield base
    base.indexes.close()
    engine.dispose()


def retriever(kb: KnowledgeBase, reranker: Reranker | None, n: int) -> HybridRetriever:
    return HybridRetriever(
        kb.engine,
        kb.indexes,
        embedder=kb.embedder,
        options=RetrievalOptions(top_k=8, candidates=10, rerank_candidates=n),
        relevance=RelevanceModel.load(),
        reranker=reranker,
    )


def test_scores_depend_on_the_passage(reranker: Reranker) -> None:
    passages = ["wrap it", "send it", "wrap it"]
    one, two, again = reranker.score("how", passages)
    assert 0 <= min(one, two) <= max(one, two) <= 1
    assert one != two
    assert one == pytest.approx(again)
    assert reranker.score("how", []) == []


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "wrap " * 5000, "包装" * 3000])
def test_odd_texts_are_scored(reranker: Reranker, text: str) -> None:
    assert len(reranker.score(text, [text, "wrap"])) == 2


def test_hits_are_in_the_rerankers_order(shared: KnowledgeBase, reranker: Reranker) -> None:
    before = retriever(shared, None, 8).search(QUERY)
    found = retriever(shared, reranker, 8).search(QUERY)
    scores = [hit.rerank_score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.rerank_rank for hit in found.hits] == [hit.rank for hit in found.hits]
    assert [h.chunk.id for h in found.hits] != [h.chunk.id for h in before.hits]
    assert {h.chunk.id: h.score for h in found.hits} == {h.chunk.id: h.score for h in before.hits}
    first = found.hits[0]
    text = passage_text(first.title, first.chunk.headings, first.chunk.text)
    assert first.rerank_score == pytest.approx(reranker.score(QUERY, [text])[0], abs=1e-5)


def test_trace_has_stage_and_time(shared: KnowledgeBase, reranker: Reranker) -> None:
    found = retriever(shared, reranker, 3).search(QUERY)
    assert found.timings_ms["rerank"] > 0
    assert found.settings["rerank_candidates"] == 3
    ranks = [one.rerank_rank for one in found.candidates]
    assert ranks == [1, 2, 3, *[None] * (len(ranks) - 3)]


@pytest.mark.parametrize(("has_reranker", "n"), [(False, 5), (True, 0)])
def test_without_it_nothing_changes(
    shared: KnowledgeBase, reranker: Reranker, has_reranker: bool, n: int
) -> None:
    found = retriever(shared, reranker if has_reranker else None, n).search(QUERY)
    assert "rerank" not in found.timings_ms
    assert {hit.rerank_rank for hit in found.hits} == {None}
    assert [hit.score for hit in found.hits] == sorted((h.score for h in found.hits), reverse=True)


def test_pinned_passage_stays_first(kb: KnowledgeBase, reranker: Reranker) -> None:
    kb.add("wraps.md", TEXT)
    last = retriever(kb, reranker, 8).search(QUERY).hits[-1].chunk
    kb.editor.change(last.id, ChunkChange(pinned=True), author="test")
    found = retriever(kb, reranker, 8).search(QUERY)
    assert found.hits[0].chunk.id == last.id
    assert found.hits[0].rerank_rank == 8


def test_evaluation_has_a_stage_of_its_own(shared: KnowledgeBase, reranker: Reranker) -> None:
    asked = [Question(f"{QUERY} {i}", "wraps.md", f"parcel {i} is", "en") for i in range(3)]
    measure = Measure(1, 8, 0.4, 5)

    def hits(one: Reranker | None) -> dict[str, float]:
        report = evaluate(asked, retriever(shared, one, 8), shared.documents, measure=measure)
        return {name: stage["all"]["hit_at_k"] for name, stage in report["stages"].items()}

    plain, with_reranker = hits(None), hits(reranker)
    assert "reranked" not in plain
    assert with_reranker["fused"] == plain["fused"]
    assert with_reranker["reranked"] != plain["fused"]


def test_missing_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RerankerUnavailable, match="no such folder") as caught:
        load_reranker(str(tmp_path / "nothing"), device="cpu")
    assert "KEFU_KNOWLEDGE__RERANKER" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"has_head": False}, "found BertModel"), ({"n_scores": 3}, "got 3")],
)
def test_models_that_score_no_pairs_are_refused(
    tmp_path: Path, changes: dict[str, int], reason: str
) -> None:
    save_tiny_reranker(tmp_path / "model", **changes)  # type: ignore[arg-type]
    with pytest.raises(RerankerUnavailable, match=reason):
        load_reranker(str(tmp_path / "model"), device="cpu")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_weights_are_refused(folder: Path, tmp_path: Path, file: str) -> None:
    from shutil import copytree

    copytree(folder, tmp_path / "model")
    (tmp_path / "model" / file).write_bytes(b"{")
    with pytest.raises(RerankerUnavailable, match="KEFU_KNOWLEDGE__RERANKER"):
        load_reranker(str(tmp_path / "model"), device="cpu")


@given(
    fused=st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), unique_by=lambda p: p[0]),
    n=st.integers(0, 10),
    scores=st.lists(st.floats(0, 1), min_size=10, max_size=10),
)
def test_only_the_first_change_places(
    fused: list[tuple[int, float]], n: int, scores: list[float]
) -> None:
    given_scores = {id: score for (id, _), score in zip(fused[:n], scores, strict=False)}
    ordered = reranked(fused, given_scores)
    assert sorted(ordered[:n]) == sorted(fused[:n])
    assert ordered[n:] == fused[n:]
    assert [given_scores[id] for id, _ in ordered[:n]] == sorted(given_scores.values())[::-1]
