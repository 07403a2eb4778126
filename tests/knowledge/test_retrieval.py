import logging
import time
from threading import Thread

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from knowledge.live_chunks import passage_text
from knowledge.retrieval import HybridRetriever, RetrievalOptions
from knowledge.tables import ChunkRow
from tests.knowledge_kit import KnowledgeBase, long_text

TEXTS = {
    "kettle.md": "# HG-K1702 kettle\n\nDescale it monthly.\n\n# Cord\n\nThe cord is 75 cm long.",
    "returns.txt": "Goods can be returned within thirty days after delivery.",
    "配送.txt": "包邮门槛是九十九元，偏远地区除外。",
}


@pytest.fixture
def filled(kb: KnowledgeBase) -> KnowledgeBase:
    for name, text in TEXTS.items():
        kb.submit(name, text)
    kb.worker.run_until_idle()
    return kb


def test_hits_carry_every_stage(filled: KnowledgeBase) -> None:
    found = filled.retriever.search("returned goods after delivery")
    first = found.hits[0]
    assert (first.document, first.title, first.rank) == ("returns.txt", "returns", 1)
    assert (first.dense_rank, first.lexical_rank) == (1, 1)
    assert first.score == pytest.approx(1 / 61 + 1.5 / 61)
    assert -1 <= (first.dense_score or -2) <= 1.0001
    assert (first.lexical_score or 0) > 0
    assert [hit.rank for hit in found.hits] == list(range(1, len(found.hits) + 1))
    assert set(found.timings_ms) >= {"embed", "dense", "lexical", "fuse", "total"}
    assert found.timings_ms["total"] >= max(found.timings_ms.values()) - 1e-6
    assert found.query == "returned goods after delivery"


@pytest.mark.parametrize(
    ("query", "document"),
    [("K1702 cord length", "kettle.md"), ("包邮要多少钱", "配送.txt"), ("returned", "returns.txt")],
)
def test_both_languages_and_codes_are_found(
    filled: KnowledgeBase, query: str, document: str
) -> None:
    assert filled.found(query)[0] == document


def test_passage_is_found_by_its_heading(filled: KnowledgeBase) -> None:
    hits = filled.retriever.search("HG-K1702 cord").hits
    assert "75 cm" in hits[0].chunk.text


CODES = """# Error codes

The kettle shows E3 when it is dry.

# Rice cooker

The rice cooker shows E5 when the lid is open.

# Vacuum

Order 2026-0815 and the model HG-V8500 belong to the vacuum cleaner.

# 电饭煲

电饭煲显示 E7 故障时请检查内锅。

# 保养

吸尘器出现故障时请先清洁滤网，故障仍在请联系客服。
"""


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("E3", "E3"),
        ("e5 error", "E5"),
        ("HG-V8500", "HG-V8500"),
        ("hgv8500", "HG-V8500"),
        ("2026-0815", "2026-0815"),
        ("E7 故障", "E7"),
        ("HG-K1702", "Descale"),
    ],
)
def test_passage_with_the_code_comes_first(filled: KnowledgeBase, query: str, text: str) -> None:
    filled.add("codes.md", CODES)
    assert text in filled.retriever.search(query).hits[0].chunk.text


def test_stray_words_do_not_outvote_meaning(kb: KnowledgeBase) -> None:
    kb.add("returns.txt", "Goods can be returned within thirty days after delivery.")
    kb.add("stray.txt", "Sunflowers are thirsty in summer.")
    hits = kb.retriever.search("goods returned after delivery, sunflowers painted on").hits
    assert hits[0].document == "returns.txt"
    stray = next(hit for hit in hits if hit.document == "stray.txt")
    assert stray.lexical_rank is not None
    assert stray.score < 1 / 61


def test_top_k_is_kept(filled: KnowledgeBase) -> None:
    assert len(filled.retriever.search("kettle", top_k=1).hits) == 1
    assert len(filled.retriever.search("kettle", top_k=50).hits) == len(filled.indexes)


@pytest.mark.parametrize("query", ["", "  \n", "?!", "🤷", "\0", "\ud800 kettle", "字" * 5000])
def test_odd_queries_do_no_harm(filled: KnowledgeBase, query: str) -> None:
    found = filled.retriever.search(query)
    assert 0.0 <= found.relevance <= 1.0


def test_empty_base_finds_nothing(kb: KnowledgeBase) -> None:
    found = kb.retriever.search("kettle")
    assert (found.hits, found.relevance) == ((), 0.0)


def test_relevance_is_higher_for_what_is_there(filled: KnowledgeBase) -> None:
    known = filled.retriever.search("when can goods be returned after delivery").relevance
    unknown = filled.retriever.search("who won the chess championship").relevance
    assert known > unknown


def test_disabled_chunk_is_not_found_even_if_indexed(filled: KnowledgeBase) -> None:
    with Session(filled.engine) as session, session.begin():
        session.execute(
            update(ChunkRow).where(ChunkRow.text.contains("thirty")).values(enabled=False)
        )
    assert "returns.txt" not in filled.found("goods returned thirty days")


def test_gone_hits_do_not_starve_the_result(kb: KnowledgeBase) -> None:
    kb.add("big.txt", long_text(60))
    kb.add("last.txt", "A person who cleans once.")
    with Session(kb.engine) as session, session.begin():
        session.execute(
            update(ChunkRow).where(ChunkRow.text.contains("Paragraph")).values(enabled=False)
        )
    assert kb.found("kettle guide part number cleaned by a person") == ["last.txt"]


def test_searching_works_while_ingesting(kb: KnowledgeBase) -> None:
    kb.add("first.txt", "The very first text about shipping.")
    for n in range(5):
        kb.submit(f"{n}.txt", long_text(10, topic=f"topic{n}"))
    thread = Thread(target=kb.worker.run_until_idle)
    thread.start()
    slowest = 0.0
    while thread.is_alive():
        start = time.perf_counter()
        assert kb.found("very first shipping")[0] == "first.txt"
        slowest = max(slowest, time.perf_counter() - start)
    thread.join()
    assert slowest < 2


def test_other_embedder_for_relevance_is_logged(
    filled: KnowledgeBase, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        HybridRetriever(
            filled.engine,
            filled.indexes,
            embedder=filled.embedder,
            options=RetrievalOptions(top_k=1, candidates=1),
            relevance=filled.retriever._relevance,
        )
    assert "fake-64" in caplog.text


@pytest.mark.parametrize(("top_k", "candidates"), [(0, 5), (5, 0)])
def test_sizes_must_be_positive(top_k: int, candidates: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        RetrievalOptions(top_k=top_k, candidates=candidates)


def test_passage_text_adds_only_what_is_missing() -> None:
    assert passage_text("Guide", ["Care", "Care"], "Wipe it.") == "Guide\nCare\nWipe it."
    assert passage_text("Guide", ["# Care"], "# Care\nSee the Guide.") == "# Care\nSee the Guide."
    assert passage_text("", [], "Wipe it.") == "Wipe it."
