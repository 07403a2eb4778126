"""Neighbours of a passage: the same section of the same version, and only what may be found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.chunk_edits import ChunkChange
from knowledge.document_edits import DocumentChange, DocumentEditor
from knowledge.live_chunks import LiveChunk
from knowledge.neighbors import ALONE, NeighborFinder, adjoining
from knowledge.types import (
    Audience,
    Chunk,
    ChunkId,
    ChunkOrigin,
    DocumentId,
    ScoredChunk,
    Visibility,
)
from tests.knowledge_kit import KnowledgeBase, long_text

SECTIONS = f"# Care\n\n{long_text(6)}\n\n# Warranty\n\n{long_text(3, topic='cord')}"


def hit(chunk: Chunk) -> ScoredChunk:
    return ScoredChunk(chunk, "guide.md", "Guide", 0.5, 1)


def section(kb: KnowledgeBase, heading: str = "Care") -> list[Chunk]:
    document_id = kb.documents.list()[0].id
    return [chunk for chunk in kb.documents.chunks(document_id) if chunk.headings == (heading,)]


def around(kb: KnowledgeBase, chunk: Chunk, **changes: Audience) -> list[list[int]]:
    found = NeighborFinder(kb.engine, reach=2).around(hit(chunk), **changes)
    return [[one.chunk.id for one in side] for side in (found.before, found.after)]


@pytest.fixture
def guide(kb: KnowledgeBase) -> KnowledgeBase:
    kb.add("guide.md", SECTIONS)
    return kb


def test_nearest_stand_first_on_both_sides(guide: KnowledgeBase) -> None:
    first, second, third, fourth, fifth, _ = section(guide)
    assert around(guide, third) == [[second.id, first.id], [fourth.id, fifth.id]]


def test_neighbours_are_hits_of_their_own(guide: KnowledgeBase) -> None:
    found = NeighborFinder(guide.engine, reach=1).around(hit(section(guide)[1]))
    text = guide.documents.version(section(guide)[1].document_id).text
    for one in (*found.before, *found.after):
        assert (one.rank, one.score, one.document) == (1, 0.5, "guide.md")
        assert one.chunk.text == text[one.chunk.start : one.chunk.end]


def test_sections_are_not_crossed(guide: KnowledgeBase) -> None:
    last, first = section(guide)[-1], section(guide, "Warranty")[0]
    assert around(guide, last)[1] == []
    assert around(guide, first)[0] == []


def test_disabled_neighbour_ends_its_side(guide: KnowledgeBase) -> None:
    chunks = section(guide)
    guide.editor.change(chunks[3].id, ChunkChange(enabled=False), author="tests")
    before, after = around(guide, chunks[2])
    assert (len(before), after) == (2, [])


def test_staff_passages_stay_with_staff(guide: KnowledgeBase) -> None:
    chunk = section(guide)[2]
    editor = DocumentEditor(guide.engine)
    editor.change(chunk.document_id, DocumentChange(visibility=Visibility.STAFF))
    assert around(guide, chunk) == [[], []]
    assert all(around(guide, chunk, audience=Audience.STAFF))


def test_expired_document_has_no_neighbours(guide: KnowledgeBase) -> None:
    chunk = section(guide)[2]
    later = datetime.now(UTC) + timedelta(days=2)
    change = DocumentChange(expires_at=later - timedelta(days=1))
    DocumentEditor(guide.engine).change(chunk.document_id, change)
    assert NeighborFinder(guide.engine, reach=1).around(hit(chunk)) != ALONE
    assert NeighborFinder(guide.engine, reach=1, now=lambda: later).around(hit(chunk)) == ALONE


def test_replaced_version_has_none(guide: KnowledgeBase) -> None:
    old = section(guide)[2]
    guide.editor.change(section(guide)[0].id, ChunkChange(text="Other words."), author="tests")
    assert around(guide, old) == [[], []]
    assert len(around(guide, section(guide)[2])[0]) == 2


def test_added_passage_stands_alone(kb: KnowledgeBase) -> None:
    document_id = kb.add("plain.txt", long_text(3))
    added = kb.editor.add(document_id, "Rings are engraved for free.", author="tests")
    assert around(kb, added) == [[], []]
    last = kb.documents.chunks(document_id)[-2]
    assert added.id not in around(kb, last)[1]


def test_reach_must_be_positive(guide: KnowledgeBase) -> None:
    with pytest.raises(ValueError, match="reach"):
        NeighborFinder(guide.engine, reach=0)


CHUNKS = st.builds(
    Chunk,
    id=st.just(ChunkId(0)),
    document_id=st.sampled_from([DocumentId("a"), DocumentId("b")]),
    version=st.integers(1, 2),
    text=st.just("x"),
    start=st.just(0),
    end=st.just(1),
    headings=st.sampled_from([(), ("A",), ("A", "B")]),
    origin=st.sampled_from([*ChunkOrigin, ChunkOrigin.PARSED, ChunkOrigin.PARSED]),
)


@given(st.lists(st.tuples(CHUNKS, st.booleans()), min_size=1, max_size=8))
def test_a_side_is_an_unbroken_run_of_one_section(made: list[tuple[Chunk, bool]]) -> None:
    chunks = [replace(chunk, id=ChunkId(n)) for n, (chunk, _) in enumerate(made)]
    live = {
        int(c.id): LiveChunk(c, "d", "t")
        for c, (_, is_live) in zip(chunks, made, strict=True)
        if is_live
    }
    own, *others = chunks
    found = [one.chunk for one in adjoining(own, [int(c.id) for c in others], live)]
    assert found == others[: len(found)]
    for chunk in found:
        assert int(chunk.id) in live
        assert (chunk.document_id, chunk.version) == (own.document_id, own.version)
        assert chunk.headings == own.headings
        assert {own.origin, chunk.origin} <= {ChunkOrigin.PARSED, ChunkOrigin.EDITED}
    assert not found or int(own.id) in live
