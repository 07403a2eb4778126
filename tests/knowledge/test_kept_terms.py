"""Product terms are words of their own, and only passages that hold one are split anew."""

import pytest

from knowledge.chinese_words import WordFinder
from knowledge.live_chunks import changed_chunk_ids, newest_change
from knowledge.search_indexes import SearchIndexes
from knowledge.terms import TermStore
from knowledge.words import WordSplitter, han_runs
from tests.knowledge_kit import KnowledgeBase

NAME = "禾光会"
TEXT = "禾光会员日有折扣，禾光会积分可以抵扣。"


@pytest.fixture(scope="module")
def loaded(words: WordSplitter) -> WordSplitter:
    """Another one than the knowledge base's, as in another process."""
    return WordSplitter(words.cache_folder)


@pytest.fixture
def splitter(loaded: WordSplitter) -> WordSplitter:
    loaded.keep_whole(frozenset())
    return loaded


def test_a_kept_word_is_whole_and_in_parts(splitter: WordSplitter) -> None:
    before = splitter.split("清泉壶多少钱")
    assert "清泉壶" not in before
    splitter.keep_whole(han_runs(["清泉壶"]))
    assert {"清泉壶", "清泉", "壶"} <= set(splitter.split("清泉壶多少钱"))
    splitter.keep_whole(frozenset())
    assert splitter.split("清泉壶多少钱") == before


def test_other_texts_are_split_as_before(splitter: WordSplitter) -> None:
    texts = ["签收后七天内可以退货，运费由我们承担。", "电热水壶的除垢方法", "清明泉水泡茶"]
    before = [splitter.split(text) for text in texts]
    splitter.keep_whole(han_runs([NAME, "清泉壶", "香氛机"]))
    assert [splitter.split(text) for text in texts] == before


def test_remembered_words_are_split_anew(splitter: WordSplitter) -> None:
    assert NAME not in splitter.split(TEXT)
    splitter.keep_whole(frozenset({NAME}))
    assert NAME in splitter.split(TEXT)


@pytest.mark.parametrize(
    ("terms", "runs"),
    [
        (["清泉壺"], {"清泉壶"}),
        (["HG-K1702 电热水壶", "kettle"], {"电热水壶"}),
        (["壶", "cup"], set()),
        (["IH电饭煲／小饭煲"], {"电饭煲", "小饭煲"}),
    ],
)
def test_chinese_words_of_terms_are_kept(terms: list[str], runs: set[str]) -> None:
    assert han_runs(terms) == runs


@pytest.mark.parametrize("n", [3, 300])
def test_words_are_found_among_few_and_many(n: int) -> None:
    finder = WordFinder(frozenset([NAME, *(f"词{i}" for i in range(n))]))
    assert finder.is_in(f"加入{NAME}免费")
    assert not finder.is_in("加入会员免费")
    assert not WordFinder(frozenset()).is_in(TEXT)


def test_a_name_leads_to_its_passage_alone(kb: KnowledgeBase) -> None:
    kb.add("a.txt", "清澈的泉水流进山谷，壶口瀑布很有名。")
    kb.add("b.txt", "清泉壶可以选择五种温度。")
    TermStore(kb.engine).replace([["清泉壶"]])
    kb.indexes.refresh()
    assert kb.indexes.document_frequencies(["清泉壶"]) == [1]
    assert kb.retriever.search("清泉壶").hits[0].document == "b.txt"


def test_only_passages_with_a_changed_term_are_indexed_again(kb: KnowledgeBase) -> None:
    kb.add("other.txt", "退货运费由我们承担。")
    club = kb.add("club.txt", TEXT)
    asked = kb.add("asked.txt", "积分可以抵扣。")
    kb.questions.add(kb.documents.chunks(asked)[0].id, ["禾光会怎么加入？"], author="lin")
    holders = sorted(chunk.id for id in (club, asked) for chunk in kb.documents.chunks(id))
    for groups in ([[NAME, "club"]], [["club", "society"]]):
        before = newest_change(kb.engine)
        TermStore(kb.engine).replace(groups)
        newest = newest_change(kb.engine)
        assert changed_chunk_ids(kb.engine, after=before, up_to=newest) == holders
        kb.indexes.refresh()
    before = newest_change(kb.engine)
    TermStore(kb.engine).replace([["club", "society"], ["退款", "refund"]])
    assert newest_change(kb.engine) == before


def test_another_process_splits_by_the_same_terms(
    kb: KnowledgeBase, splitter: WordSplitter
) -> None:
    kb.add("club.txt", TEXT)
    kb.indexes.save()
    TermStore(kb.engine).replace([[NAME]])
    other = SearchIndexes(kb.engine, kb.embedder, directory=kb.index_dir, words=splitter)
    other.open()
    assert other.document_frequencies([NAME]) == [1]
    assert splitter.content_words(NAME)[-1] == NAME
    other.close()
