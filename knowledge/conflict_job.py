"""The conflicts job: looks for contradictions in the background and keeps what it found.

It lets customers go first. A job that is taken over starts anew; what it found is written together
with its end, so that a cancelled one changes nothing.
"""

from sqlalchemy.orm import Session

from knowledge.conflict_store import save_conflicts
from knowledge.conflicts import ConflictFinder
from knowledge.job_run import JobRun, SteadyProgress
from knowledge.jobs import CONFLICTS, JobStore, succeed
from knowledge.types import JobId, JobState


def find_conflicts(run: JobRun) -> None:
    """Searches and keeps the result.

    Raises:
        JobLost: the job was cancelled or taken over.
        WorkerStopping: the process is shutting down.
    """
    run.indexes.refresh()
    finder = ConflictFinder(run.engine, embedder=run.embedder, near=run.indexes.search_dense)
    found = finder.find(on_step=SteadyProgress(run, "comparing"))
    with Session(run.engine) as session, session.begin():
        succeed(session, run.claim)
        save_conflicts(session, found)


def queue_conflicts(jobs: JobStore) -> JobId:
    """Queues a search, or returns the one that has not ended yet."""
    for job in jobs.newest(CONFLICTS, limit=1):
        if job.state in (JobState.QUEUED, JobState.RUNNING):
            return job.id
    return jobs.add(CONFLICTS, {})
