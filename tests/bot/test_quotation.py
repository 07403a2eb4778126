"""Quotations: the documents' own words, found by meaning or by words, never altered."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bot.quotation import Meaning, Quoter
from knowledge.part_vectors import PartVectors
from tests.bot.chat_kit import hits_of
from tests.bot.test_grounding import DOCUMENTS, HITS, assert_quotes_are_exact


def test_quote_answers_in_the_documents_words() -> None:
    quoted = Quoter(meaning=None).quote("How much is the return label?", HITS)
    assert quoted is not None
    assert quoted.text == "The return label costs €6.90 in the EU [1]."
    assert_quotes_are_exact(quoted, DOCUMENTS)


def test_quote_needs_a_passage() -> None:
    assert Quoter(meaning=None).quote("运费", []) is None
    assert Quoter(meaning=None).quote("???", HITS) is None
    assert Quoter(meaning=None).quote("quantum chromodynamics", HITS) is None


def test_quote_is_found_by_meaning_where_words_differ() -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        near = [[1.0, 0.0] if "postage" in t or "label" in t else [0.6, 0.8] for t in texts]
        return np.array(near, dtype=np.float32)

    quoted = Quoter(meaning=Meaning(embed, embed)).quote("who pays postage", HITS[:1])
    assert quoted is not None
    assert quoted.citations[0].quote == "The return label costs €6.90 in the EU."


def test_label_of_a_faq_entry_is_quoted_but_not_said() -> None:
    hits = hits_of({"faq.csv": "FAQ\n问题: 能积分吗？; 回答: 有积分，结账时报手机号。"})
    quoted = Quoter(meaning=None).quote("结账报手机号有积分？", hits)
    assert quoted is not None
    assert quoted.text == "有积分，结账时报手机号 [1]。"
    assert quoted.citations[0].quote.startswith("回答: 有积分")


def test_stored_vectors_spare_embedding_sentences() -> None:
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError(f"embedded again: {texts}")

    def ask(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)

    hits = hits_of(
        {"a.txt": "Post\nParcels leave at noon every day. Labels cost 7 euros in the EU."}
    )
    vectors = np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32)
    texts = ("Parcels leave at noon every day.", "Labels cost 7 euros in the EU.")
    parts: dict[int, PartVectors] = {hits[0].chunk.id: PartVectors(texts, vectors)}
    quoted = Quoter(meaning=Meaning(ask, embed, lambda _: parts)).quote("who pays postage", hits)
    assert quoted is not None
    assert quoted.citations[0].quote == "Labels cost 7 euros in the EU."
