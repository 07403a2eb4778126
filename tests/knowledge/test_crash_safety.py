import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from knowledge.index_files import read_manifest
from knowledge.types import DocumentStatus, JobState
from knowledge.words import WordSplitter
from tests import knowledge_kit
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase, long_text

SCRIPT = Path(knowledge_kit.__file__).with_name("ingest_process.py")


@contextmanager
def process(kb: KnowledgeBase, delay_s: float, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process at work on the same folder; killed at the end if it still runs."""
    (kb.folder / "ready").unlink(missing_ok=True)
    command = [sys.executable, str(SCRIPT), str(kb.folder), str(delay_s), *more]
    with subprocess.Popen(command) as running:
        deadline = time.monotonic() + 30
        while not (kb.folder / "ready").exists():
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        try:
            yield running
        finally:
            running.kill()


def kill(running: subprocess.Popen[bytes]) -> None:
    running.send_signal(signal.SIGKILL)
    running.wait()


def test_ingestion_resumes_after_kill_without_embedding_twice(
    kb: KnowledgeBase, words: WordSplitter
) -> None:
    document_id, job_id = kb.submit("big.txt", long_text(60))
    with process(kb, 0.15) as running:
        while kb.jobs.get(job_id).progress < 0.3:
            assert running.poll() is None
            time.sleep(0.02)
        kill(running)
    assert kb.jobs.get(job_id).state is JobState.RUNNING
    assert kb.found("kettle") == [], "nothing half-made is found"
    kb.worker.run_until_idle()
    document = kb.documents.get(document_id)
    assert document.status is DocumentStatus.READY
    assert kb.jobs.get(job_id).attempts == 2
    assert isinstance(kb.embedder, FakeEmbedder)
    assert 0 < len(kb.embedder.embedded) < document.n_chunks * 0.9
    chunks = kb.documents.chunks(document_id)
    assert len(chunks) == len({chunk.start for chunk in chunks}) == len(kb.indexes)


@pytest.mark.parametrize("seed", range(3))
def test_index_is_right_after_kill_during_save(
    kb: KnowledgeBase, words: WordSplitter, seed: int
) -> None:
    kb.add("kettle.txt", long_text(30))
    kb.indexes.save()
    with process(kb, 0.0, "save") as running:
        time.sleep(random.Random(seed).uniform(0.01, 0.15))
        kill(running)
    assert read_manifest(kb.index_dir) is not None
    other = KnowledgeBase(kb.folder, kb.engine, kb.embedder, words)
    other.indexes.open()
    assert len(other.indexes) == len(kb.indexes)
    assert other.found("kettle paragraph") == ["kettle.txt"]
    other.add("late.txt", "A late text about invoices.")
    other.indexes.close()
    assert not list(kb.index_dir.glob(".part-*"))


def test_old_version_answers_while_the_new_one_is_made_elsewhere(kb: KnowledgeBase) -> None:
    document_id = kb.add("guide.txt", "The first guide about kettles.")
    _, job_id = kb.submit("guide.txt", long_text(40))
    with process(kb, 0.1) as running:
        while kb.jobs.get(job_id).progress < 0.5:
            texts = [hit.chunk.text for hit in kb.retriever.search("kettles guide").hits]
            assert texts == ["The first guide about kettles."]
            time.sleep(0.02)
        assert running.wait(30) == 0
    deadline = time.monotonic() + 1
    while not kb.retriever.search("kettle guide").hits:
        assert time.monotonic() < deadline
        kb.indexes.refresh()
    hits = kb.retriever.search("kettle guide").hits
    assert {hit.chunk.version for hit in hits} == {kb.documents.get(document_id).version} == {2}


def test_two_processes_share_the_work(kb: KnowledgeBase) -> None:
    ids = [kb.submit(f"{n}.txt", long_text(6, topic=f"topic{n}"))[0] for n in range(8)]
    with process(kb, 0.05) as running:
        kb.worker.run_until_idle()
        assert running.wait(30) == 0
    kb.worker.run_until_idle()
    assert {kb.documents.get(id).status for id in ids} == {DocumentStatus.READY}
    kb.indexes.refresh()
    assert len(kb.indexes) == sum(kb.documents.get(id).n_chunks for id in ids)
    assert {job.attempts for job in kb.jobs.list()} == {1}
