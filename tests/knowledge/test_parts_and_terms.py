from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from knowledge.expansion import expand
from knowledge.fusion import LearnedFusion, Signs
from knowledge.live_chunks import decode_vector
from knowledge.parts import all_vectors, part_texts, split_parts
from knowledge.relevance import RelevanceModel
from knowledge.retrieval import HybridRetriever, RetrievalOptions
from knowledge.simplified import to_simplified
from knowledge.tables import ChunkRow
from knowledge.terms import TermStore, parse_terms
from tests.knowledge_kit import KnowledgeBase

TWO_FACTS = "The cord of the kettle is 75 cm long. Remove limescale from the kettle every month."


def test_parts_are_sentences_and_short_ones_join() -> None:
    assert split_parts(TWO_FACTS) == TWO_FACTS.replace("long. ", "long.\n").split("\n")
    assert split_parts("好。七天之内可以无理由退货。") == ["好。 七天之内可以无理由退货。"]
    assert split_parts("") == []


def test_single_sentence_needs_no_part() -> None:
    assert part_texts("Kettle", (), "The cord of the kettle is 75 cm long.") == []
    assert part_texts("Kettle", ("Cord",), TWO_FACTS)[0].startswith("Kettle › Cord\n")


def test_ingestion_stores_the_parts(kb: KnowledgeBase) -> None:
    kb.add("kettle.txt", TWO_FACTS)
    with Session(kb.engine) as session:
        row = session.scalars(select(ChunkRow)).one()
        vectors = all_vectors(decode_vector(row.embedding), row.part_embeddings)
    assert vectors.shape == (3, kb.embedder.dim)
    expected = kb.embedder.embed_passages(part_texts("kettle", (), TWO_FACTS))
    assert np.allclose(vectors[1:], expected, atol=1e-6)
    assert len(kb.indexes) == 1


def test_rebuild_renews_the_parts(kb: KnowledgeBase) -> None:
    kb.add("kettle.txt", TWO_FACTS)
    with Session(kb.engine) as session, session.begin():
        session.scalars(select(ChunkRow)).one().part_embeddings = None
    kb.jobs.add("rebuild", {})
    kb.worker.run_until_idle()
    with Session(kb.engine) as session:
        assert session.scalars(select(ChunkRow)).one().part_embeddings


def test_traditional_characters_are_simplified() -> None:
    assert to_simplified("電熱水壺怎麼除垢") == "电热水壶怎么除垢"
    assert to_simplified("HG-K1702") == "HG-K1702"


def test_traditional_question_finds_simplified_passage(kb: KnowledgeBase) -> None:
    kb.add("配送.txt", "偏远地区的包裹需要七天送达。")
    kb.add("stray.txt", "Sunflowers grow in summer.")
    hit = kb.retriever.search("偏遠地區的包裹").hits[0]
    assert (hit.document, hit.lexical_rank) == ("配送.txt", 1)


@pytest.mark.parametrize("written", ["HG K1702", "hg k 1702", "HG—K1702", "hgk1702", "Hg_K-1702"])
def test_code_is_found_however_written(kb: KnowledgeBase, written: str) -> None:
    kb.add("kettle.txt", "The kettle HG-K1702 holds water.")
    kb.add("cooker.txt", "The cooker HG-R4011 holds rice.")
    hit = kb.retriever.search(f"what does {written} hold").hits[0]
    assert (hit.document, hit.lexical_rank) == ("kettle.txt", 1)


def test_made_up_codes_are_not_searched() -> None:
    assert expand("bought in 2024", [], is_known=lambda code: False).other_words == ()


def test_terms_bring_their_other_words() -> None:
    groups = [["fapiao", "发票"], ["cord", "cable"]]
    found = expand("When do I get a Fapiao?", groups, is_known=lambda code: False)
    assert found.other_words == ("发票",)
    assert found.widened == "When do I get a Fapiao? 发票"
    assert expand("recorded", groups, is_known=lambda code: False).other_words == ()


def test_new_term_is_searched_at_once(kb: KnowledgeBase) -> None:
    kb.add("invoice.txt", "发票在签收后开具。")
    kb.add("kettle.txt", "The kettle holds water.")
    TermStore(kb.engine).replace([["fapiao", "发票"]])
    hit = kb.retriever.search("fapiao").hits[0]
    assert (hit.document, hit.lexical_rank) == ("invoice.txt", 1)


@pytest.mark.parametrize("groups", [[["one"]], [["a", " a "]], [["a", "b" * 99]]])
def test_useless_terms_are_refused(kb: KnowledgeBase, groups: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="terms"):
        TermStore(kb.engine).replace(groups)


def test_terms_are_read_a_line_a_group() -> None:
    assert parse_terms("发票，fapiao\n\ncord, cable") == [["发票", "fapiao"], ["cord", " cable"]]


def test_learned_fusion_weighs_words_beside_cosines() -> None:
    fusion = replace(LearnedFusion.load(), cosine=10.0, word_share=1.0, code_share=2.0)
    ranked = fusion.rank(
        {1: Signs(0.5, 0.0, 0.0), 2: Signs(0.4, 0.0, 1.0), 3: Signs(0.45, 1.0, 0.0)}
    )
    assert [id for id, _ in ranked] == [2, 3, 1]
    assert ranked[0][1] == pytest.approx(0.6)


def test_retriever_uses_weights_of_its_embedder(kb: KnowledgeBase) -> None:
    kb.add("kettle.txt", "The kettle HG-K1702 holds water.")
    fusion = replace(LearnedFusion.load(), embedder=kb.embedder.id)
    retriever = HybridRetriever(
        kb.engine,
        kb.indexes,
        embedder=kb.embedder,
        options=RetrievalOptions(top_k=5, candidates=10),
        relevance=RelevanceModel.load(),
        fusion=fusion,
    )
    hit = retriever.search("HG-K1702").hits[0]
    share = (fusion.word_share + fusion.code_share) / fusion.cosine
    assert hit.score == pytest.approx((hit.dense_score or 0) + share)
