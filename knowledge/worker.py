"""Carries out background jobs and survives whatever a file or a web site does to it.

One job at a time is embedded and, beside it, one web source fetched, one evaluation made, one
search for contradictions and one training on messages.
"""

import logging
from collections.abc import Callable, Mapping
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from knowledge.conflict_job import find_conflicts
from knowledge.embedding import Embedder
from knowledge.errors import DuplicateText, KnowledgeError
from knowledge.ingest_job import ingest
from knowledge.job_run import GivingWay, IngestionOptions, JobRun, WorkerStopping
from knowledge.jobs import (
    CHECK_INTENTS,
    CONFLICTS,
    EVALUATE,
    INGEST,
    REBUILD,
    SENTENCES,
    SYNC,
    TRAIN_INTENTS,
    Claim,
    JobLost,
    JobStore,
)
from knowledge.processes import is_alive, process_name
from knowledge.rebuild_job import rebuild
from knowledge.search_indexes import SearchIndexes
from knowledge.sentence_job import embed_sentences
from knowledge.sources import enqueue_due
from knowledge.sync_job import sync

logger = logging.getLogger(__name__)

_POLL_S = 0.3
_HEARTBEAT_S = 1.0
_LOOK_FOR_DUE_S = 5.0
#: Each is worked off by a thread of its own: waiting for other people's servers, embedding,
#: searching, comparing passages, which may take an hour, and training on messages.
_LINES = (
    frozenset({INGEST, REBUILD, SENTENCES}),
    frozenset({SYNC}),
    frozenset({EVALUATE}),
    frozenset({CONFLICTS}),
    frozenset({CHECK_INTENTS, TRAIN_INTENTS}),
)


class IngestionWorker:
    """Works through the jobs table, in a thread (`start`) or in the caller's (`run_until_idle`).

    Several workers, in one process or many, may share a database: a lease decides who works on
    a job, and a job whose worker was killed is taken over.

    Args:
        engine: The database.
        indexes: Brought up to date before a job counts as done.
        embedder: Embeds passages; a `SwitchingEmbedder` while another one is to take over.
        options: How documents are worked on.
        steps: What jobs of further kinds do; jobs of a kind without a step are left alone.
    """

    def __init__(
        self,
        engine: Engine,
        indexes: SearchIndexes,
        *,
        embedder: Embedder,
        options: IngestionOptions,
        steps: Mapping[str, Callable[[JobRun], None]] | None = None,
    ) -> None:
        self._engine = engine
        self._indexes = indexes
        self._embedder = embedder
        self._options = options
        self._steps = {
            INGEST: ingest,
            REBUILD: rebuild,
            SENTENCES: embed_sentences,
            SYNC: sync,
            CONFLICTS: find_conflicts,
            **(steps or {}),
        }
        self._jobs = JobStore(engine)
        self._owner = f"{process_name()}:{uuid4().hex[:8]}"
        self._stopping = Event()
        self._threads: list[Thread] = []

    def add_steps(self, steps: Mapping[str, Callable[[JobRun], None]]) -> None:
        """Adds what jobs of further kinds do; before `start`."""
        self._steps |= steps

    def start(self) -> None:
        """Works in background threads until `stop`; also queues web sources that are due."""
        self._stopping.clear()
        self._threads = [
            Thread(target=self._work, args=(kinds,), name="-".join(sorted(kinds)), daemon=True)
            for kinds in _LINES
            if kinds <= self._steps.keys()
        ]
        self._threads.append(Thread(target=self._queue_due, name="schedule", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Gives the present jobs back and ends; returns False when that took too long."""
        self._stopping.set()
        deadline = monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))
        self._options.parsing.close()
        return not any(thread.is_alive() for thread in self._threads)

    def run_until_idle(self, kinds: frozenset[str] | None = None) -> int:
        """Works in the caller's thread until no job can be claimed; returns how many it ran.

        Args:
            kinds: Only jobs of these kinds.
        """
        self._stopping.clear()
        n_run, kinds = 0, kinds or frozenset(self._steps)
        while claim := self._jobs.claim(self._owner, is_alive=is_alive, kinds=kinds):
            self._run(claim)
            n_run += 1
        self._indexes.refresh()  # where the last job had nothing to add to those before it
        return n_run

    def _queue_due(self) -> None:
        while not self._stopping.is_set():
            try:
                enqueue_due(self._engine)
            except SQLAlchemyError:
                logger.exception("due web sources could not be queued, trying again")
            self._stopping.wait(_LOOK_FOR_DUE_S)

    def _work(self, kinds: frozenset[str]) -> None:
        while not self._stopping.is_set():
            try:
                claim = self._jobs.claim(self._owner, is_alive=is_alive, kinds=kinds)
                if claim is not None:
                    self._run(claim)
                    continue
            except SQLAlchemyError:
                logger.exception("the jobs table cannot be reached, trying again")
            self._stopping.wait(_POLL_S)

    def _run(self, claim: Claim) -> None:
        """Carries out one job; whatever happens is recorded with it."""
        logger.info("job %s (%s) attempt %d", claim.job.id, claim.job.kind, claim.job.attempts)
        try:
            with _Heartbeat(self._jobs, claim) as heartbeat:
                self._attempt(self._steps[claim.job.kind], claim, heartbeat.lost)
        except JobLost:
            logger.info("job %s was cancelled or taken over", claim.job.id)

    def _attempt(self, step: Callable[[JobRun], None], claim: Claim, lost: Event) -> None:
        run = JobRun(
            claim=claim,
            engine=self._engine,
            embedder=self._embedder,
            indexes=self._indexes,
            options=self._options,
            lost=lost,
            stopping=self._stopping,
        )
        try:
            step(run)
        except JobLost:
            raise
        except (WorkerStopping, GivingWay):
            self._jobs.release(claim)
        except DuplicateText as error:
            self._jobs.skip(claim, str(error))
        except KnowledgeError as error:
            logger.info("job %s failed: %s", claim.job.id, type(error).__name__)
            self._jobs.fail(claim, str(error))
        except Exception as error:  # one bad file never stops the others
            logger.exception("job %s failed unexpectedly", claim.job.id)
            self._jobs.requeue(claim, f"Unexpected {type(error).__name__}; see the server's log.")


class _Heartbeat:
    """Renews a lease while a step takes long, and notices when the job is lost."""

    def __init__(self, jobs: JobStore, claim: Claim) -> None:
        self.lost = Event()
        self._jobs = jobs
        self._claim = claim
        self._done = Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._done.wait(_HEARTBEAT_S):
            try:
                self._jobs.renew(self._claim)
            except JobLost:
                self.lost.set()
                return
            except SQLAlchemyError:
                logger.warning("heartbeat of job %s failed", self._claim.job.id, exc_info=True)
