import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from knowledge.errors import JobNotFound
from knowledge.job_run import BATCH_CHUNKS, BATCH_TOKENS, batches
from knowledge.jobs import MAX_ATTEMPTS, Claim, JobLost, JobStore
from knowledge.tables import JobRow
from knowledge.types import DocumentStatus, JobId, JobState
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase, long_text


def everyone_lives(_: str) -> bool:
    return True


def nobody_lives(_: str) -> bool:
    return False


def expire(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(JobRow).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def claim(jobs: JobStore, owner: str, *, is_alive: Callable[[str], bool] = everyone_lives) -> Claim:
    claimed = jobs.claim(owner, is_alive=is_alive)
    assert claimed is not None
    return claimed


def test_job_is_claimed_once_and_in_order(engine: Engine) -> None:
    jobs = JobStore(engine)
    first, second = jobs.add("rebuild", {}), jobs.add("rebuild", {})
    assert claim(jobs, "a").job.id == first
    assert claim(jobs, "b").job.id == second
    assert jobs.claim("c", is_alive=everyone_lives) is None
    assert [job.id for job in jobs.list(state=JobState.RUNNING)] == [second, first]


@pytest.mark.parametrize("reason", ["expired", "dead"])
def test_job_of_a_gone_worker_is_taken_over(engine: Engine, reason: str) -> None:
    jobs = JobStore(engine)
    jobs.add("rebuild", {})
    old = claim(jobs, "old")
    if reason == "expired":
        expire(engine)
    new = claim(jobs, "new", is_alive=nobody_lives if reason == "dead" else everyone_lives)
    assert (new.job.id, new.job.attempts) == (old.job.id, 2)
    jobs.renew(new)
    for write in (jobs.renew, jobs.release, lambda c: jobs.fail(c, "late")):
        with pytest.raises(JobLost):
            write(old)
    assert jobs.get(new.job.id).state is JobState.RUNNING


def test_job_that_kills_its_workers_is_given_up(engine: Engine) -> None:
    jobs = JobStore(engine)
    job_id = jobs.add("rebuild", {})
    for attempt in range(MAX_ATTEMPTS):
        assert claim(jobs, f"worker {attempt}", is_alive=nobody_lives).job.id == job_id
    assert jobs.claim("one more", is_alive=nobody_lives) is None
    assert jobs.get(job_id).state is JobState.FAILED
    assert str(MAX_ATTEMPTS) in (jobs.get(job_id).error or "")


def test_unforeseen_failure_is_tried_again(engine: Engine) -> None:
    jobs = JobStore(engine)
    job_id = jobs.add("rebuild", {})
    for _ in range(MAX_ATTEMPTS):
        assert jobs.get(job_id).state is JobState.QUEUED
        jobs.requeue(claim(jobs, "a"), "a disk error")
    assert (jobs.get(job_id).state, jobs.get(job_id).error) == (JobState.FAILED, "a disk error")


def test_released_job_costs_no_attempt(engine: Engine) -> None:
    jobs = JobStore(engine)
    job_id = jobs.add("rebuild", {})
    jobs.release(claim(jobs, "a"))
    assert (jobs.get(job_id).state, jobs.get(job_id).attempts) == (JobState.QUEUED, 0)


def test_two_workers_never_share_a_job(engine: Engine) -> None:
    jobs = JobStore(engine)
    expected = {jobs.add("rebuild", {}) for _ in range(12)}
    taken: list[JobId] = []

    def work(owner: str) -> None:
        own = JobStore(engine)
        while (claimed := own.claim(owner, is_alive=everyone_lives)) is not None:
            taken.append(claimed.job.id)

    threads = [Thread(target=work, args=(f"worker {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(expected)
    assert set(taken) == expected


def test_unknown_job_is_reported(engine: Engine) -> None:
    jobs = JobStore(engine)
    for call in (jobs.get, jobs.cancel, jobs.retry):
        with pytest.raises(JobNotFound, match="nowhere"):
            call(JobId("nowhere"))


def test_cancelled_job_stays_cancelled(engine: Engine) -> None:
    jobs = JobStore(engine)
    job_id = jobs.add("rebuild", {})
    running = claim(jobs, "a")
    assert jobs.cancel(job_id).state is JobState.CANCELLED
    with pytest.raises(JobLost):
        jobs.renew(running)
    assert jobs.claim("b", is_alive=nobody_lives) is None
    assert jobs.cancel(job_id).state is JobState.CANCELLED


def test_cancelling_waiting_upload_says_so(kb: KnowledgeBase) -> None:
    document_id, job_id = kb.submit("a.txt", "Some text.")
    kb.jobs.cancel(job_id)
    assert kb.worker.run_until_idle() == 0
    assert kb.documents.get(document_id).status is DocumentStatus.FAILED
    assert "Cancelled" in (kb.documents.get(document_id).error or "")


def test_running_upload_is_cancelled_within_two_seconds(kb: KnowledgeBase) -> None:
    kb.embedder._delay_s = 0.2  # type: ignore[attr-defined]  # the fake's pace
    document_id, job_id = kb.submit("a.txt", long_text(80))
    kb.worker.start()
    wait_until(lambda: kb.jobs.get(job_id).progress > 0.15)
    cancelled_at = time.monotonic()
    kb.jobs.cancel(job_id)
    next_id, _ = kb.submit("b.txt", "The next text.")
    wait_until(lambda: kb.documents.get(next_id).status is DocumentStatus.READY)
    assert time.monotonic() - cancelled_at < 2
    assert kb.worker.stop(5)
    assert kb.jobs.get(job_id).state is JobState.CANCELLED
    assert kb.documents.chunks(document_id) == []
    assert kb.found("kettle paragraph") in ([], ["b.txt"])


def test_cancelled_upload_can_be_retried(kb: KnowledgeBase) -> None:
    document_id, job_id = kb.submit("a.txt", "A text about kettles.")
    kb.jobs.cancel(job_id)
    assert kb.jobs.retry(job_id).state is JobState.QUEUED
    kb.worker.run_until_idle()
    assert kb.jobs.retry(job_id).state is JobState.SUCCEEDED
    assert kb.documents.get(document_id).status is DocumentStatus.READY
    assert kb.documents.get(document_id).error is None


def test_job_of_removed_document_is_not_retried(kb: KnowledgeBase) -> None:
    document_id, job_id = kb.submit("a.txt", "A text about kettles.")
    kb.documents.remove(document_id, actor="tests")
    assert kb.jobs.get(job_id).state is JobState.CANCELLED
    with pytest.raises(JobNotFound):
        kb.jobs.retry(job_id)


def test_removing_during_ingestion_leaves_nothing(kb: KnowledgeBase) -> None:
    kb.embedder._delay_s = 0.1  # type: ignore[attr-defined]  # the fake's pace
    document_id, job_id = kb.submit("a.txt", long_text(60))
    kb.worker.start()
    wait_until(lambda: kb.jobs.get(job_id).progress > 0.15)
    kb.documents.remove(document_id, actor="tests")
    time.sleep(0.3)
    assert kb.worker.stop(5)
    kb.indexes.refresh()
    assert len(kb.indexes) == 0
    assert kb.jobs.get(job_id).state is JobState.CANCELLED


def test_stopped_worker_gives_the_job_back(kb: KnowledgeBase) -> None:
    kb.embedder._delay_s = 0.1  # type: ignore[attr-defined]  # the fake's pace
    document_id, job_id = kb.submit("a.txt", long_text(60))
    kb.worker.start()
    wait_until(lambda: kb.jobs.get(job_id).progress > 0.15)
    assert kb.worker.stop(5)
    assert (kb.jobs.get(job_id).state, kb.jobs.get(job_id).attempts) == (JobState.QUEUED, 0)
    kb.embedder._delay_s = 0.0  # type: ignore[attr-defined]  # the fake's pace
    kb.worker.run_until_idle()
    assert isinstance(kb.embedder, FakeEmbedder)
    assert len(kb.embedder.embedded) == kb.documents.get(document_id).n_chunks


def test_worker_lets_waiting_customers_go_first(kb: KnowledgeBase) -> None:
    kb.paused = True
    _, job_id = kb.submit("a.txt", "A short text.")
    kb.worker.start()
    time.sleep(0.6)
    assert kb.jobs.get(job_id).state is JobState.RUNNING
    kb.paused = False
    wait_until(lambda: kb.jobs.get(job_id).state is JobState.SUCCEEDED, timeout_s=3)
    assert kb.worker.stop(5)


def test_batches_cover_all_and_stay_small() -> None:
    texts = ["word " * size for size in (1, 900, 300, 400, 300, *[2] * 20)]
    slices = list(batches(texts, lambda text: len(text.split())))
    assert [n for part in slices for n in range(part.start, part.stop)] == list(range(len(texts)))
    for part in slices:
        sizes = [len(text.split()) for text in texts[part]]
        assert len(sizes) <= BATCH_CHUNKS
        assert sum(sizes) <= BATCH_TOKENS or len(sizes) == 1
    assert list(batches([], len)) == []


def test_superseded_upload_is_not_retried(kb: KnowledgeBase) -> None:
    document_id, old = kb.submit("a.txt", "The old text.")
    kb.submit("a.txt", "The new text.")
    kb.worker.run_until_idle()
    assert kb.jobs.retry(old).state is JobState.CANCELLED
    assert kb.worker.run_until_idle() == 0
    assert kb.documents.version(document_id).text == "The new text."


def test_failed_upload_can_be_retried(kb: KnowledgeBase) -> None:
    document_id, job_id = kb.submit("a.txt", "A text about kettles.")
    stored = next(kb.uploads_dir.iterdir())
    hidden = stored.rename(kb.folder / "hidden")
    kb.worker.run_until_idle()
    assert "upload it again" in (kb.documents.get(document_id).error or "")
    hidden.rename(stored)
    kb.jobs.retry(job_id)
    kb.worker.run_until_idle()
    assert kb.documents.get(document_id).status is DocumentStatus.READY
