"""Vectors of sentences come from where ingestion left them."""

import numpy as np

from knowledge.part_vectors import load_part_vectors
from knowledge.parts import part_texts
from tests.knowledge_kit import KnowledgeBase

BODY = "Returns are free within 30 days of delivery. Gift wrapping costs 3.20 euros per book."


def test_each_sentence_has_its_own_vector(kb: KnowledgeBase) -> None:
    kb.add("returns.md", f"# Returns\n\n{BODY}\n")
    (hit,) = kb.retriever.search("gift wrapping").hits
    parts = load_part_vectors(kb.engine, [hit.chunk.id], embedder=kb.embedder.id)
    text = part_texts(hit.title, hit.chunk.headings, hit.chunk.text)[-1]
    expected = kb.embedder.embed_passages([text])[0]
    found = parts[hit.chunk.id].find("Gift wrapping costs 3.20  euros per book.")
    assert found is not None
    assert np.allclose(found, expected, atol=1e-6)
    assert parts[hit.chunk.id].find("Gift vouchers never expire.") is None


def test_a_single_sentence_has_the_passages_vector(kb: KnowledgeBase) -> None:
    kb.add("hours.txt", "We are open from 9:00 to 18:00 on working days.")
    (hit,) = kb.retriever.search("open working days").hits
    parts = load_part_vectors(kb.engine, [hit.chunk.id], embedder=kb.embedder.id)
    assert parts[hit.chunk.id].find(hit.chunk.text) is not None


def test_vectors_of_another_embedder_are_left_out(kb: KnowledgeBase) -> None:
    kb.add("hours.txt", "We are open from 9:00 to 18:00 on working days.")
    (hit,) = kb.retriever.search("open working days").hits
    assert load_part_vectors(kb.engine, [hit.chunk.id], embedder="another") == {}
