"""A change of the embedder: the old one serves until every passage has its new vector."""

import time
from collections.abc import Iterator, Sequence
from threading import Event, Thread

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from knowledge.embedding import Embedder
from knowledge.errors import EmbedderUnavailable
from knowledge.live_chunks import embedders_in_use
from knowledge.next_embedder import SwitchingEmbedder, serving_embedder
from knowledge.rebuild_job import request_rebuild
from knowledge.tables import JobRow, NextEmbeddingRow
from knowledge.types import JobState
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase, long_text


@pytest.fixture
def old(kb: KnowledgeBase) -> KnowledgeBase:
    """A base filled by the old embedder."""
    kb.add("kettle.txt", long_text(20))
    kb.add("radio.txt", long_text(20, topic="radio"))
    kb.indexes.save()
    return kb


@pytest.fixture
def new() -> FakeEmbedder:
    return FakeEmbedder(id="new-32", dim=32)


@pytest.fixture
def server(old: KnowledgeBase, new: FakeEmbedder, words: WordSplitter) -> Iterator[KnowledgeBase]:
    """A process whose settings name the new embedder."""
    serving = serving_embedder(old.engine, new, load=lambda id: FakeEmbedder(id=id))
    base = KnowledgeBase(old.folder, old.engine, serving, words)
    base.indexes.open(rebuilding=True)
    yield base
    base.worker.stop(5)
    base.indexes.close()


def dense_scores(kb: KnowledgeBase, query: str) -> list[float]:
    return [hit.dense_score for hit in kb.retriever.search(query).hits if hit.dense_score]


def test_the_old_embedder_serves_until_the_switch(server: KnowledgeBase, new: FakeEmbedder) -> None:
    before = dense_scores(server, "radio guide part number")
    assert isinstance(server.embedder, SwitchingEmbedder)
    assert server.embedder.id == "fake-64"
    assert before
    new._delay_s = 0.05
    job_id = request_rebuild(server.jobs)
    server.worker.start()
    while server.jobs.get(job_id).progress < 0.3:
        assert dense_scores(server, "radio guide part number") == before
        time.sleep(0.01)
    assert set(embedders_in_use(server.engine)) == {"fake-64"}
    while server.jobs.get(job_id).state is not JobState.SUCCEEDED:
        assert dense_scores(server, "radio guide part number")
        time.sleep(0.01)
    assert server.embedder.id == "new-32"
    assert dense_scores(server, "radio guide part number") != before
    assert set(embedders_in_use(server.engine)) == {"new-32"}


def test_searches_never_fail_during_the_switch(server: KnowledgeBase) -> None:
    found: list[int] = []
    done = False

    def ask() -> None:
        while not done:
            found.append(len(server.retriever.search("kettle part number").hits))

    thread = Thread(target=ask)
    thread.start()
    request_rebuild(server.jobs)
    server.worker.run_until_idle()
    done = True
    thread.join()
    assert set(found) == {5}


def test_another_process_switches_by_itself(
    server: KnowledgeBase, new: FakeEmbedder, words: WordSplitter
) -> None:
    serving = SwitchingEmbedder(FakeEmbedder(), new)
    other = KnowledgeBase(server.folder, server.engine, serving, words)
    other.indexes.open(rebuilding=True)
    request_rebuild(server.jobs)
    server.worker.run_until_idle()
    assert dense_scores(other, "kettle part number")
    assert serving.is_switched
    other.indexes.close()


def test_a_killed_rebuild_goes_on(server: KnowledgeBase, new: FakeEmbedder) -> None:
    new._delay_s = 0.05
    job_id = request_rebuild(server.jobs)
    server.worker.start()
    while server.jobs.get(job_id).progress < 0.3:
        time.sleep(0.01)
    assert server.worker.stop(5)
    n_made = len(new.embedded)
    with server.engine.begin() as connection:  # as `kill -9` leaves it
        connection.execute(
            update(JobRow)
            .where(JobRow.id == job_id)
            .values(state=JobState.RUNNING, lease_owner="dead:1", lease_until=None)
        )
    new._delay_s = 0.0
    server.worker.run_until_idle()
    assert server.jobs.get(job_id).state is JobState.SUCCEEDED
    assert 0 < n_made < len(new.embedded) == sum(embedders_in_use(server.engine).values())
    with Session(server.engine) as session:
        assert session.scalar(select(func.count()).select_from(NextEmbeddingRow)) == 0


def test_documents_added_meanwhile_are_not_left_out(
    server: KnowledgeBase, old: KnowledgeBase, new: FakeEmbedder
) -> None:
    may_go_on, embed = Event(), new.embed_passages

    def wait_after_the_first(texts: Sequence[str]) -> np.ndarray:
        assert not new.embedded or may_go_on.wait(60)
        return embed(texts)

    new.embed_passages = wait_after_the_first  # type: ignore[method-assign]
    job_id = request_rebuild(server.jobs)
    server.worker.start()
    while not new.embedded:
        time.sleep(0.01)
    removed = next(d for d in server.documents.list() if d.name == "radio.txt")
    server.documents.remove(removed.id, actor="tests")
    server.submit("lamp.txt", "A lamp with a green shade.")
    old.worker.run_until_idle()  # another process, still with the old embedder only
    may_go_on.set()
    while server.jobs.get(job_id).state is not JobState.SUCCEEDED:
        time.sleep(0.01)
    assert set(embedders_in_use(server.engine)) == {"new-32"}
    assert server.found("lamp with a green shade")[0] == "lamp.txt"


def test_a_lost_embedder_leaves_the_words(
    old: KnowledgeBase, new: FakeEmbedder, words: WordSplitter, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(id: str) -> Embedder:
        raise EmbedderUnavailable("gone")

    serving = serving_embedder(old.engine, new, load=lost)
    assert "found by their words only" in caplog.text
    base = KnowledgeBase(old.folder, old.engine, serving, words)
    base.indexes.open(rebuilding=True)
    hits = base.retriever.search("radio guide").hits
    assert hits[0].document == "radio.txt"
    assert all(hit.dense_score is None for hit in hits)
    request_rebuild(base.jobs)
    base.worker.run_until_idle()
    assert dense_scores(base, "radio guide")
    base.indexes.close()


def test_the_wanted_embedder_is_taken_as_it_is(old: KnowledgeBase) -> None:
    same = FakeEmbedder()
    assert serving_embedder(old.engine, same, load=lambda id: FakeEmbedder(id=id)) is same
    with pytest.raises(ValueError, match="two embedders"):
        SwitchingEmbedder(same, same)


def test_a_few_foreign_passages_do_not_bring_the_old_one_back(
    old: KnowledgeBase, caplog: pytest.LogCaptureFixture
) -> None:
    kb = KnowledgeBase(old.folder, old.engine, FakeEmbedder(id="new-32", dim=32), old.indexes.words)
    kb.indexes.open(rebuilding=True)
    kb.add("lamp.txt", "A lamp with a green shade.")
    kb.indexes.close()
    same = FakeEmbedder()
    assert serving_embedder(old.engine, same, load=lambda id: FakeEmbedder(id=id)) is same
    assert "1 passages lack vectors" in caplog.text
