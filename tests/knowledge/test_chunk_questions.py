"""Questions attached to passages: found by both indexes, kept through new files and rebuilds."""

from collections.abc import Sequence

import pytest

from knowledge.chunk_edits import ChunkChange
from knowledge.chunk_questions import MAX_QUESTIONS, QuestionStore
from knowledge.embedding import Vectors
from knowledge.errors import ChunkNotFound, EditRejected
from knowledge.live_chunks import newest_change
from knowledge.pins import lift_pinned
from knowledge.rebuild_job import request_rebuild
from knowledge.search_indexes import SearchIndexes
from knowledge.types import Chunk, ChunkId, DocumentId, QuestionState
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase, long_text

ASKED = "Can my zephyr be sent by drone?"


class CountingEmbedder(FakeEmbedder):
    """Remembers how many texts each run had."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[int] = []

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.runs.append(len(texts))
        return super().embed_passages(texts)


@pytest.fixture
def guide(kb: KnowledgeBase) -> DocumentId:
    return kb.add("guide.txt", long_text(4))


@pytest.fixture
def chunk(kb: KnowledgeBase, guide: DocumentId) -> Chunk:
    return kb.documents.chunks(guide)[2]


def first_hit(kb: KnowledgeBase, query: str = ASKED) -> int:
    return kb.retriever.search(query).hits[0].chunk.id


def test_a_question_leads_to_its_passage(kb: KnowledgeBase, chunk: Chunk) -> None:
    n_passages = len(kb.indexes)
    kb.questions.add(chunk.id, [ASKED], author="lin")
    hits = kb.retriever.search(ASKED).hits
    assert (hits[0].chunk.id, hits[0].dense_rank, hits[0].lexical_rank) == (chunk.id, 1, 1)
    assert hits[0].dense_score == pytest.approx(1.0)
    assert len({hit.chunk.id for hit in hits}) == len(hits)
    assert len(kb.indexes) == n_passages


def test_a_removed_question_leads_nowhere(kb: KnowledgeBase, chunk: Chunk) -> None:
    question = kb.questions.add(chunk.id, [ASKED], author="lin")[0]
    kb.questions.remove(question.id)
    assert kb.indexes.search_lexical("zephyr", 5) == []
    assert kb.questions.of_chunk(chunk.id) == []
    with pytest.raises(ChunkNotFound):
        kb.questions.remove(question.id)


def test_a_proposal_waits_for_approval(kb: KnowledgeBase, chunk: Chunk) -> None:
    added = kb.questions.add(chunk.id, [ASKED], author="bot", state=QuestionState.PROPOSED)
    assert kb.indexes.search_lexical("zephyr", 5) == []
    assert kb.questions.approve(added[0].id).state is QuestionState.APPROVED
    assert first_hit(kb) == chunk.id


def test_questions_survive_a_new_file(kb: KnowledgeBase, guide: DocumentId, chunk: Chunk) -> None:
    kb.questions.add(chunk.id, [ASKED], author="lin")
    kb.add("guide.txt", "A preface about something else.\n\n" + long_text(6))
    passages = {c.id: c.text for c in kb.documents.chunks(guide)}
    assert passages[kb.documents.chunks(guide)[0].id] != chunk.text
    assert passages[first_hit(kb)] == chunk.text
    assert [len(found) for found in kb.questions.of_document(guide).values()] == [1]


def test_questions_survive_an_edit(kb: KnowledgeBase, chunk: Chunk) -> None:
    kb.questions.add(chunk.id, [ASKED], author="lin")
    kb.editor.change(chunk.id, ChunkChange(text="Other words."), author="lin")
    assert first_hit(kb) == chunk.id


def test_a_disabled_passage_takes_its_questions_along(kb: KnowledgeBase, chunk: Chunk) -> None:
    kb.questions.add(chunk.id, [ASKED, "And by boat?"], author="lin")
    kb.editor.change(chunk.id, ChunkChange(enabled=False), author="lin")
    assert all(hit.chunk.id != chunk.id for hit in kb.retriever.search(ASKED).hits)
    kb.editor.change(chunk.id, ChunkChange(enabled=True), author="lin")
    assert first_hit(kb) == chunk.id


def test_saved_questions_are_loaded_again(kb: KnowledgeBase, chunk: Chunk) -> None:
    kb.questions.add(chunk.id, [ASKED], author="lin")
    kb.indexes.save()
    other = SearchIndexes(kb.engine, kb.embedder, directory=kb.index_dir, words=kb.indexes.words)
    other.open()
    found = other.search_dense(kb.embedder.embed_passages([ASKED])[0], 1)
    assert found == [(chunk.id, pytest.approx(1.0))]
    assert len(other) == len(kb.indexes)
    other.close()


def test_a_rebuild_embeds_questions_too(kb: KnowledgeBase, chunk: Chunk) -> None:
    kb.questions.add(chunk.id, [ASKED], author="lin")
    request_rebuild(kb.jobs)
    kb.worker.run_until_idle()
    assert first_hit(kb) == chunk.id


@pytest.mark.parametrize("text", ["", "  ", "x" * 301])
def test_bad_questions_are_refused(kb: KnowledgeBase, chunk: Chunk, text: str) -> None:
    with pytest.raises(EditRejected):
        kb.questions.add(chunk.id, [text], author="lin")


def test_a_passage_takes_so_many_questions(kb: KnowledgeBase, chunk: Chunk) -> None:
    many = [f"Question number {i}?" for i in range(MAX_QUESTIONS)]
    kb.questions.add(chunk.id, many, author="lin")
    assert len(kb.questions.add(chunk.id, many, author="lin")) == MAX_QUESTIONS
    with pytest.raises(EditRejected, match="at most"):
        kb.questions.add(chunk.id, [ASKED], author="lin")


def test_a_quote_names_its_passage(kb: KnowledgeBase, guide: DocumentId, chunk: Chunk) -> None:
    assert kb.questions.find_passage(guide, "part  number 14\nmust be") == chunk.id
    assert kb.questions.find_passage(guide, "no such words") is None


def test_a_pinned_passage_comes_first_among_equals() -> None:
    fused = [(1, 0.3), (2, 0.2), (3, 0.1)]
    cosines = [(1, 0.90), (2, 0.88), (3, 0.70)]
    assert lift_pinned(fused, {2}, cosines=cosines, top_k=3)[0] == (2, 0.2)
    assert lift_pinned(fused, {3}, cosines=cosines, top_k=3) == fused
    assert lift_pinned(fused, {2}, cosines=cosines, top_k=1) == fused
    assert lift_pinned(fused, set(), cosines=cosines, top_k=3) == fused


def test_many_passages_get_questions_at_once(kb: KnowledgeBase, guide: DocumentId) -> None:
    first, second = kb.documents.chunks(guide)[:2]
    asked = {first.id: [ASKED, ASKED], second.id: ["Will a heron do?", "By boat?"]}
    before = newest_change(kb.engine)
    assert kb.questions.add_all(asked, author="demo") == 3
    assert newest_change(kb.engine) - before == 2
    assert (first_hit(kb), first_hit(kb, "Will a heron do?")) == (first.id, second.id)
    assert kb.questions.add_all(asked, author="demo") == 0
    assert newest_change(kb.engine) - before == 2


def test_all_or_none_are_attached(kb: KnowledgeBase, guide: DocumentId, chunk: Chunk) -> None:
    full = [f"Question number {i}?" for i in range(MAX_QUESTIONS + 1)]
    first = kb.documents.chunks(guide)[0].id
    with pytest.raises(EditRejected, match=f"passage {chunk.id} would have 41"):
        kb.questions.add_all({first: [ASKED], chunk.id: full}, author="demo")
    with pytest.raises(ChunkNotFound):
        kb.questions.add_all({first: [ASKED], ChunkId(99_999): [ASKED]}, author="demo")
    assert kb.questions.of_document(guide) == {}


def test_many_questions_are_embedded_in_one_run(kb: KnowledgeBase, guide: DocumentId) -> None:
    counting = CountingEmbedder()
    store = QuestionStore(kb.engine, kb.indexes, embedder=counting)
    chunks = kb.documents.chunks(guide)
    store.add_all({chunk.id: [f"{chunk.id}?"] for chunk in chunks}, author="demo")
    assert counting.runs == [len(chunks)]
