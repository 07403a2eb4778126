"""The search for contradictions in the background: kept once, cancelled at once."""

import pytest

from knowledge.conflict_job import queue_conflicts
from knowledge.conflict_store import ConflictStore
from knowledge.types import JobState
from tests.knowledge_kit import KnowledgeBase


@pytest.fixture
def disagreeing(kb: KnowledgeBase) -> KnowledgeBase:
    kb.add("one.md", "# Kettles\n\nYou can return a kettle within 7 days.")
    kb.add("other.md", "# Kettles\n\nYou can return a kettle within 30 days.")
    return kb


def test_job_keeps_what_it_finds(disagreeing: KnowledgeBase) -> None:
    job_id = queue_conflicts(disagreeing.jobs)
    disagreeing.worker.run_until_idle()
    job = disagreeing.jobs.get(job_id)
    assert (job.state, job.progress) == (JobState.SUCCEEDED, 1.0)
    assert len(ConflictStore(disagreeing.engine).list()) == 1


def test_cancelled_job_keeps_nothing(disagreeing: KnowledgeBase) -> None:
    job_id = queue_conflicts(disagreeing.jobs)
    disagreeing.jobs.cancel(job_id)
    disagreeing.worker.run_until_idle()
    assert disagreeing.jobs.get(job_id).state is JobState.CANCELLED
    assert ConflictStore(disagreeing.engine).list() == []


def test_one_search_at_a_time(kb: KnowledgeBase) -> None:
    assert queue_conflicts(kb.jobs) == queue_conflicts(kb.jobs)
    kb.worker.run_until_idle()
    assert len(kb.jobs.list()) == 1
    queue_conflicts(kb.jobs)
    assert len(kb.jobs.list()) == 2
