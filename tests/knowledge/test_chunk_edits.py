"""People's changes to passages, and how they outlive the next file."""

from collections.abc import Sequence

import pytest

from knowledge.chunk_edits import MAX_CHUNK_CHARS, ChunkChange
from knowledge.errors import ChunkNotFound, EditConflict, EditRejected
from knowledge.kept_edits import carry_over
from knowledge.types import Chunk, ChunkOrigin, ChunkSpan, DocumentId, JobState
from tests.knowledge_kit import KnowledgeBase, long_text

OWN = "The zephyr voucher is worth 12 euros and never expires."


@pytest.fixture
def guide(kb: KnowledgeBase) -> DocumentId:
    return kb.add("guide.txt", long_text(4))


def edit(kb: KnowledgeBase, chunk: Chunk, text: str = OWN) -> Chunk:
    return kb.editor.change(chunk.id, ChunkChange(text=text), author="lin")


def whole(kb: KnowledgeBase, document: DocumentId) -> Sequence[Chunk]:
    """The passages, after checking that each stands in the text where it says."""
    chunks, stored = kb.documents.chunks(document), kb.documents.version(document).text
    assert all(stored[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert kb.documents.get(document).n_chunks == len(chunks)
    return chunks


def test_an_edit_is_found_and_marked(kb: KnowledgeBase, guide: DocumentId) -> None:
    before = whole(kb, guide)[1]
    edited = edit(kb, before)
    assert (edited.id, edited.origin, edited.edited_by) == (before.id, ChunkOrigin.EDITED, "lin")
    assert edited.original == before.text
    assert kb.retriever.search("zephyr voucher").hits[0].chunk.id == before.id
    assert whole(kb, guide)[1].text == OWN


def test_an_edit_leaves_the_cited_version_alone(kb: KnowledgeBase, guide: DocumentId) -> None:
    before = whole(kb, guide)[2]
    edit(kb, whole(kb, guide)[1])
    old = kb.documents.version(guide, before.version).text
    assert old[before.start : before.end] == before.text
    assert kb.documents.get(guide).version == before.version + 1


def test_the_original_words_undo_an_edit(kb: KnowledgeBase, guide: DocumentId) -> None:
    before = whole(kb, guide)[1]
    edit(kb, edit(kb, before), "Something else entirely.")
    undone = edit(kb, before, before.text)
    assert (undone.origin, undone.original, undone.edited_by) == (ChunkOrigin.PARSED, None, None)


def test_edits_survive_a_new_file(kb: KnowledgeBase, guide: DocumentId) -> None:
    edit(kb, whole(kb, guide)[1])
    kb.add("guide.txt", "A new first paragraph about returns.\n\n" + long_text(4))
    found = [chunk for chunk in whole(kb, guide) if chunk.edited]
    assert [(chunk.text, chunk.origin) for chunk in found] == [(OWN, ChunkOrigin.EDITED)]
    assert kb.retriever.search("zephyr voucher").hits[0].chunk.id == found[0].id
    assert "part number 7 " not in kb.documents.version(guide).text


def test_an_edit_without_its_original_is_orphaned(kb: KnowledgeBase, guide: DocumentId) -> None:
    edit(kb, whole(kb, guide)[1])
    kb.add("guide.txt", "Nothing of the old text is left here, only this sentence.")
    assert [chunk.origin for chunk in whole(kb, guide)] == ["parsed", "orphaned"]
    kb.add("guide.txt", "And now not even that sentence is left, only this other one.")
    last = whole(kb, guide)[-1]
    assert (last.origin, last.text, last.edited_by) == ("orphaned", OWN, "lin")
    kb.editor.remove(last.id, author="lin")
    assert OWN not in kb.documents.version(guide).text
    assert len(whole(kb, guide)) == 1


def test_an_added_passage_survives_a_new_file(kb: KnowledgeBase, guide: DocumentId) -> None:
    added = kb.editor.add(guide, f"  {OWN}\n", author="lin")
    assert added.origin is ChunkOrigin.ADDED
    assert whole(kb, guide)[-1] == added
    kb.add("guide.txt", long_text(2, topic="lamp"))
    assert whole(kb, guide)[-1].text == OWN
    assert kb.retriever.search("zephyr voucher").hits[0].chunk.text == OWN


def test_what_is_disabled_stays_so(kb: KnowledgeBase, guide: DocumentId) -> None:
    first = whole(kb, guide)[0]
    kb.editor.change(first.id, ChunkChange(enabled=False), author="lin")
    assert first.id not in {hit.chunk.id for hit in kb.retriever.search("kettle").hits}
    assert kb.documents.get(guide).version == first.version
    kb.add("guide.txt", long_text(5))
    assert [chunk.enabled for chunk in whole(kb, guide)] == [False, True, True, True, True]
    again = whole(kb, guide)[0]
    kb.editor.change(again.id, ChunkChange(enabled=True), author="lin")
    assert again.id in {hit.chunk.id for hit in kb.retriever.search("kettle").hits}


def test_a_pin_follows_a_reworded_passage(kb: KnowledgeBase, guide: DocumentId) -> None:
    kb.editor.change(whole(kb, guide)[2].id, ChunkChange(pinned=True), author="lin")
    kb.add("guide.txt", long_text(4).replace("part number 14 must", "part number 14 should"))
    pinned = [chunk for chunk in whole(kb, guide) if chunk.pinned]
    assert [" 14 should" in chunk.text for chunk in pinned] == [True]


@pytest.mark.parametrize("text", ["", " \n", "x" * (MAX_CHUNK_CHARS + 1), "word " * 600])
def test_words_that_cannot_be_taken_are_refused(
    kb: KnowledgeBase, guide: DocumentId, text: str
) -> None:
    with pytest.raises(EditRejected):
        edit(kb, whole(kb, guide)[0], text)
    with pytest.raises(EditRejected):
        kb.editor.add(guide, text, author="lin")


def test_a_files_passage_is_not_taken_away(kb: KnowledgeBase, guide: DocumentId) -> None:
    with pytest.raises(EditRejected, match="disable"):
        kb.editor.remove(whole(kb, guide)[0].id, author="lin")


def test_words_rest_while_a_new_file_waits(kb: KnowledgeBase, guide: DocumentId) -> None:
    first = whole(kb, guide)[0]
    kb.submit("guide.txt", long_text(3))
    with pytest.raises(EditConflict):
        edit(kb, first)
    with pytest.raises(EditConflict):
        kb.editor.add(guide, OWN, author="lin")


def test_a_failed_upload_can_be_retried_after_an_edit(kb: KnowledgeBase, guide: DocumentId) -> None:
    _, job_id = kb.submit("guide.txt", long_text(6))
    kb.jobs.cancel(job_id)
    edit(kb, whole(kb, guide)[1])
    kb.jobs.retry(job_id)
    kb.worker.run_until_idle()
    assert kb.jobs.get(job_id).state is JobState.SUCCEEDED
    chunks = whole(kb, guide)
    assert len(chunks) == 6
    assert chunks[1].text == OWN


def test_unknown_and_old_passages_are_not_found(kb: KnowledgeBase, guide: DocumentId) -> None:
    old = whole(kb, guide)[0]
    kb.documents.remove(guide, actor="lin")
    for chunk_id in (old.id, old.id + 1000):
        with pytest.raises(ChunkNotFound):
            kb.editor.change(type(old.id)(chunk_id), ChunkChange(enabled=False), author="lin")
    with pytest.raises(ChunkNotFound):
        kb.editor.add(guide, OWN, author="lin")


def test_nothing_to_carry_over_changes_nothing() -> None:
    text = "One. Two.\n\nThree."
    spans = [ChunkSpan("One. Two.", 0, 9), ChunkSpan("Three.", 11, 17)]
    kept = carry_over(text, spans, [])
    assert (kept.text, [one.span for one in kept.passages]) == (text, spans)
