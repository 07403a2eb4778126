"""Sentences are embedded after their document can be searched, and whatever happens meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from knowledge.archive_export import export_archive
from knowledge.archive_import import import_archive
from knowledge.chunk_edits import ChunkChange
from knowledge.jobs import INGEST, SENTENCES
from knowledge.part_vectors import load_part_vectors
from knowledge.tables import ChunkRow
from knowledge.types import ChunkId, DocumentId, Job, JobState
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase

ONLY_FILES = frozenset({INGEST})


class Interrupted(FakeEmbedder):
    """Lets something happen once, after so many calls."""

    def __init__(self) -> None:
        super().__init__()
        self._calls_left = 0
        self._happens: Callable[[], object] = lambda: None

    def after(self, n_calls: int, happens: Callable[[], object]) -> None:
        self._calls_left, self._happens = n_calls, happens

    def embed_passages(self, texts: Sequence[str]) -> np.ndarray:
        made = super().embed_passages(texts)
        self._calls_left -= 1
        if self._calls_left == 0:
            self._happens()
        return made


@pytest.fixture
def embedder() -> Interrupted:
    return Interrupted()


@pytest.fixture
def kb(
    tmp_path: Path, engine: Engine, words: WordSplitter, embedder: Interrupted
) -> Iterator[KnowledgeBase]:
    base = KnowledgeBase(tmp_path, engine, embedder, words)
    base.indexes.open()
    yield base
    base.indexes.close()


def manual(n: int, *, topic: str = "kettle") -> str:
    """A text of `n` passages of two sentences each."""
    return "\n\n".join(
        f"Part {i} of the {topic} was made in the factory number {i} by careful people there. "
        f"Clean part {i} of the {topic} every {i + 1} days with vinegar, water and a soft cloth."
        for i in range(n)
    )


def intake(kb: KnowledgeBase, name: str, text: str) -> DocumentId:
    """Takes a file in and leaves its sentences for later."""
    document_id, _ = kb.submit(name, text)
    kb.worker.run_until_idle(ONLY_FILES)
    return document_id


def rows(kb: KnowledgeBase) -> Sequence[ChunkRow]:
    with Session(kb.engine) as session:
        return session.scalars(select(ChunkRow).order_by(ChunkRow.id)).all()


def due(kb: KnowledgeBase) -> list[int]:
    return [row.id for row in rows(kb) if row.parts_due]


def sentence_jobs(kb: KnowledgeBase) -> list[Job]:
    return [job for job in kb.jobs.list() if job.kind == SENTENCES]


def test_document_is_found_before_its_sentences(kb: KnowledgeBase) -> None:
    document_id = intake(kb, "kettle.txt", manual(3))
    assert kb.found("clean with vinegar") == ["kettle.txt"]
    assert kb.job_of(document_id).state is JobState.SUCCEEDED
    assert len(due(kb)) == 3
    kb.worker.run_until_idle()
    assert due(kb) == []
    assert all(row.part_embeddings for row in rows(kb))
    assert kb.job_of(document_id).kind == INGEST


def test_index_gets_the_sentences(kb: KnowledgeBase) -> None:
    intake(kb, "kettle.txt", manual(1))
    sentence = kb.embedder.embed_passages(
        ["kettle\nClean part 0 of the kettle every 1 days with vinegar, water and a soft cloth."]
    )[0]
    before = kb.indexes.search_dense(sentence, 1)[0][1]
    kb.worker.run_until_idle()
    assert before < 0.95 < kb.indexes.search_dense(sentence, 1)[0][1]


def test_single_sentences_wait_for_nothing(kb: KnowledgeBase) -> None:
    intake(kb, "cord.txt", "The cord of the kettle is 75 cm long.")
    assert due(kb) == [] == sentence_jobs(kb)


def test_a_new_file_goes_first(kb: KnowledgeBase, embedder: Interrupted) -> None:
    intake(kb, "kettle.txt", manual(20))
    embedder.after(1, lambda: kb.submit("lamp.txt", manual(1, topic="lamp")))
    kb.worker.run_until_idle()
    texts = embedder.embedded
    lamp = next(n for n, text in enumerate(texts) if "lamp" in text)
    assert texts[-1].startswith("lamp\n")
    assert any(text.startswith("kettle\nClean") for text in texts[lamp:])
    assert due(kb) == []


def test_an_edit_meanwhile_is_kept(kb: KnowledgeBase, embedder: Interrupted) -> None:
    intake(kb, "kettle.txt", manual(2))
    new = "The kettle is made of polished steel. Its lid is brass and has a button."
    first = ChunkId(due(kb)[0])
    embedder.after(1, lambda: kb.editor.change(first, ChunkChange(text=new), author="tests"))
    kb.worker.run_until_idle()
    parts = load_part_vectors(kb.engine, [first], embedder=kb.embedder.id)[first]
    expected = kb.embedder.embed_passages([f"kettle\n{parts.texts[-1]}"])[0]
    assert parts.texts[-1].startswith("Its lid")
    assert np.allclose(parts.vectors[-1], expected, atol=1e-6)


def test_a_replaced_document_gets_the_new_sentences(
    kb: KnowledgeBase, embedder: Interrupted
) -> None:
    document_id = intake(kb, "kettle.txt", manual(12))
    embedder.after(1, lambda: kb.submit("kettle.txt", manual(2, topic="new kettle")))
    kb.worker.run_until_idle()
    assert kb.documents.get(document_id).version == 2
    assert len(rows(kb)) == 2
    assert due(kb) == []
    assert {job.state for job in sentence_jobs(kb)} == {JobState.SUCCEEDED}


def test_a_removed_document_ends_the_job(kb: KnowledgeBase) -> None:
    kb.documents.remove(intake(kb, "kettle.txt", manual(2)), actor="tests")
    kb.worker.run_until_idle()
    assert [job.state for job in sentence_jobs(kb)] == [JobState.SUCCEEDED]


def test_a_failed_file_leaves_the_old_sentences_to_be_made(kb: KnowledgeBase) -> None:
    intake(kb, "kettle.txt", manual(2))
    kb.submit("kettle.txt", "   \n  ")
    kb.worker.run_until_idle()
    assert due(kb) == []


def test_a_crash_goes_on_where_it_was(kb: KnowledgeBase, embedder: Interrupted) -> None:
    intake(kb, "kettle.txt", manual(20))

    def crash() -> None:
        raise RuntimeError("crash")

    embedder.after(3, crash)
    kb.worker.run_until_idle()
    assert due(kb) == []
    texts = embedder.embedded
    assert len(texts) < 20 + 40 + 32  # at most one batch of passages was embedded twice


def test_rebuild_makes_them_too(kb: KnowledgeBase) -> None:
    intake(kb, "kettle.txt", manual(3))
    kb.jobs.add("rebuild", {})
    kb.worker.run_until_idle(frozenset({"rebuild"}))
    assert due(kb) == []
    assert all(row.part_embeddings for row in rows(kb))


def test_quotations_make_do_without(kb: KnowledgeBase) -> None:
    intake(kb, "kettle.txt", manual(1))
    assert load_part_vectors(kb.engine, due(kb), embedder=kb.embedder.id) == {}


def test_an_archive_takes_the_work_along(kb: KnowledgeBase, tmp_path: Path) -> None:
    intake(kb, "kettle.txt", manual(3))
    export_archive(kb.engine, tmp_path / "base.zip", uploads_dir=kb.uploads_dir)
    kb.worker.run_until_idle()
    import_archive(kb.engine, tmp_path / "base.zip", uploads_dir=kb.uploads_dir, replace=True)
    assert len(due(kb)) == 3
    kb.worker.run_until_idle()
    assert due(kb) == []
