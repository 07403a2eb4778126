"""Background work as rows: the table, not a queue, says what is to be done and who does it.

A worker claims a job under a lease and renews it while it works. Every step it takes is written
together with a check that the job is still its own and still running, so a cancelled or
taken-over job changes nothing any more, at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import Engine, case, delete, select, update
from sqlalchemy.orm import Session

from knowledge.errors import JobNotFound
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow, JobRow
from knowledge.types import DocumentId, DocumentStatus, Job, JobId, JobState

INGEST = "ingest"
REBUILD = "rebuild"
SYNC = "sync"
EVALUATE = "evaluate"
CONFLICTS = "conflicts"
CHECK_INTENTS = "check_intents"
TRAIN_INTENTS = "train_intents"
SENTENCES = "sentences"

#: The stage of a job whose file was not taken in, as its upload asked for.
SKIPPED = "skipped"

MAX_ATTEMPTS = 3
LEASE_S = 15.0

_OPEN = (JobState.QUEUED, JobState.RUNNING)
_CANCELLED = "Cancelled before it was finished."
_GAVE_UP = f"Stopped after {MAX_ATTEMPTS} attempts that ended without a result."


class JobLost(Exception):  # not an error: someone cancelled or took over
    """The job is no longer this worker's, so nothing more may be written for it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this process may work on, with what it needs to do so."""

    job: Job
    owner: str
    payload: dict[str, object]


class JobStore:
    """Jobs as values; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, job_id: JobId) -> Job:
        """Returns one job; raises `JobNotFound`."""
        with Session(self._engine) as session:
            return _job(_row(session, job_id))

    def list(
        self, *, state: JobState | None = None, document_id: DocumentId | None = None
    ) -> Sequence[Job]:
        """Returns jobs, newest first."""
        query = select(JobRow).order_by(JobRow.created_at.desc(), JobRow.id)
        if state is not None:
            query = query.where(JobRow.state == state)
        if document_id is not None:
            query = query.where(JobRow.document_id == document_id)
        with Session(self._engine) as session:
            return [_job(row) for row in session.scalars(query)]

    def newest(self, kind: str, *, limit: int) -> Sequence[Job]:
        """Returns the newest jobs of a kind, newest first."""
        query = select(JobRow).where(JobRow.kind == kind)
        query = query.order_by(JobRow.created_at.desc(), JobRow.id).limit(limit)
        with Session(self._engine) as session:
            return [_job(row) for row in session.scalars(query)]

    def add(self, kind: str, payload: dict[str, object]) -> JobId:
        """Queues work that belongs to no document."""
        with Session(self._engine) as session, session.begin():
            return add_job(session, kind, payload)

    def cancel(self, job_id: JobId) -> Job:
        """Stops a job at once; one that has ended stays as it is.

        A worker that is in the middle of it finds out at its next step, which it cannot write.
        """
        with Session(self._engine) as session, session.begin():
            row = _locked_row(session, job_id)
            cancel_job(session, row)
            return _job(row)

    def retry(self, job_id: JobId) -> Job:
        """Queues a failed or cancelled job again.

        Any other job stays as it is, and so does one whose document has a newer job.
        """
        with Session(self._engine) as session, session.begin():
            row = _locked_row(session, job_id)
            if row.state not in (JobState.FAILED, JobState.CANCELLED):
                return _job(row)
            document = _live_document(session, row)
            if row.document_id is not None and document is None:
                raise JobNotFound(f"The document of job {job_id!r} was removed; upload it again.")
            if document is not None and document.job_id != row.id:
                return _job(row)
            row.state, row.error, row.attempts, row.progress = JobState.QUEUED, None, 0, 0.0
            row.stage, row.cancel_requested = "", False
            row.lease_owner = row.lease_until = None
            row.updated_at = datetime.now(UTC)
            if document is not None:
                document.job_id, document.error = row.id, None
                document.status = DocumentStatus.QUEUED
            return _job(row)

    def claim(
        self,
        owner: str,
        *,
        is_alive: Callable[[str], bool],
        kinds: frozenset[str] | None = None,
    ) -> Claim | None:
        """Takes the oldest job that is queued or whose worker is gone, or returns None.

        Sentences of documents that can be searched already come after everything else.

        Args:
            owner: Who asks; unique to this process and worker.
            is_alive: False for an owner that surely exists no more, so that its lease need not
                run out first.
            kinds: Take only jobs of these kinds; None: of any.
        """
        while True:
            with Session(self._engine) as session, session.begin():
                row = _claimable(session, is_alive, kinds)
                if row is None:
                    return None
                if row.attempts >= MAX_ATTEMPTS:
                    _fail(session, row, _GAVE_UP)
                    continue
                if _take(session, row, owner):
                    session.refresh(row)
                    return Claim(_job(row), owner, dict(row.payload))

    def renew(self, claim: Claim) -> None:
        """Extends the lease; raises `JobLost`."""
        with Session(self._engine) as session, session.begin():
            advance(session, claim)

    def fail(self, claim: Claim, error: str) -> None:
        """Ends the job with a reason; the document keeps the version it had."""
        with Session(self._engine) as session, session.begin():
            advance(session, claim)
            row = _row(session, claim.job.id)
            _fail(session, row, error)

    def skip(self, claim: Claim, reason: str) -> None:
        """Ends the job of a file that is not to be taken in, as its upload asked for."""
        with Session(self._engine) as session, session.begin():
            advance(session, claim)
            row = _row(session, claim.job.id)
            _end(row, JobState.CANCELLED, reason)
            row.stage = SKIPPED
            _settle_document(session, row, reason, never_ready=DocumentStatus.SKIPPED)

    def release(self, claim: Claim) -> None:
        """Gives the job back, for a worker that has to stop; this attempt does not count."""
        with Session(self._engine) as session, session.begin():
            advance(session, claim)
            row = _row(session, claim.job.id)
            row.state, row.attempts = JobState.QUEUED, max(0, row.attempts - 1)
            row.lease_owner = row.lease_until = None

    def requeue(self, claim: Claim, error: str) -> None:
        """Queues the job once more after something unforeseen, or fails it when that was enough."""
        with Session(self._engine) as session, session.begin():
            advance(session, claim)
            row = _row(session, claim.job.id)
            if row.attempts >= MAX_ATTEMPTS:
                _fail(session, row, error)
                return
            row.state, row.error = JobState.QUEUED, error
            row.lease_owner = row.lease_until = None


def add_job(
    session: Session,
    kind: str,
    payload: dict[str, object],
    *,
    document_id: DocumentId | None = None,
    state: JobState = JobState.QUEUED,
) -> JobId:
    """Adds a job row within the caller's transaction."""
    now = datetime.now(UTC)
    row = JobRow(
        id=uuid4().hex,
        kind=kind,
        document_id=document_id,
        payload=payload,
        state=state,
        progress=1.0 if state is JobState.SUCCEEDED else 0.0,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return JobId(row.id)


def advance(
    session: Session, claim: Claim, *, stage: str | None = None, progress: float | None = None
) -> None:
    """Renews the lease within the caller's transaction, so that its other writes count only then.

    Raises:
        JobLost: the job was cancelled, taken over or removed.
    """
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "lease_until": now + timedelta(seconds=LEASE_S),
        "updated_at": now,
    }
    if stage is not None:
        values["stage"] = stage
    if progress is not None:
        values["progress"] = min(1.0, max(0.0, progress))
    changed = session.execute(
        update(JobRow)
        .where(
            JobRow.id == claim.job.id,
            JobRow.lease_owner == claim.owner,
            JobRow.state == JobState.RUNNING,
        )
        .values(values)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]  # a cursor result
        raise JobLost(claim.job.id)


def succeed(session: Session, claim: Claim) -> None:
    """Ends the job well within the caller's transaction; raises `JobLost`."""
    advance(session, claim, stage="", progress=1.0)
    row = _row(session, claim.job.id)
    row.state, row.error = JobState.SUCCEEDED, None
    row.lease_owner = row.lease_until = None


def cancel_job(session: Session, row: JobRow, *, reason: str = _CANCELLED) -> None:
    """Cancels an open job within the caller's transaction and drops its half-made chunks."""
    if row.state not in _OPEN:
        return
    row.cancel_requested = True
    _end(row, JobState.CANCELLED, reason)
    _settle_document(session, row, reason)


def cancel_document_jobs(session: Session, document_id: DocumentId, *, reason: str) -> None:
    """Cancels every open job of a document within the caller's transaction.

    Its sentences are left to be made: of the version that stays live if the newer one fails.
    """
    query = select(JobRow).where(JobRow.document_id == document_id, JobRow.state.in_(_OPEN))
    query = query.where(JobRow.kind != SENTENCES)
    for row in session.scalars(query):
        cancel_job(session, row, reason=reason)


def is_waiting(session: Session, kinds: frozenset[str]) -> bool:
    """Returns whether a job of these kinds is queued."""
    query = select(JobRow.id).where(JobRow.state == JobState.QUEUED, JobRow.kind.in_(kinds))
    return session.scalar(query.limit(1)) is not None


def drop_staged(session: Session, document: DocumentRow) -> None:
    """Deletes the text and chunks of versions that never went live; no index knows them."""
    for table in (ChunkRow, DocumentVersionRow):
        staged = delete(table).where(
            table.document_id == document.id, table.version > document.version
        )
        session.execute(staged, execution_options={"synchronize_session": False})


def _fail(session: Session, row: JobRow, error: str) -> None:
    _end(row, JobState.FAILED, error)
    _settle_document(session, row, error)


def _end(row: JobRow, state: JobState, error: str) -> None:
    row.state, row.error = state, error
    row.lease_owner = row.lease_until = None
    row.updated_at = datetime.now(UTC)


def _settle_document(
    session: Session,
    row: JobRow,
    error: str,
    *,
    never_ready: DocumentStatus = DocumentStatus.FAILED,
) -> None:
    """Records why the newest job of a document ended; an older version stays ready."""
    document = _live_document(session, row)
    if document is None or document.job_id != row.id:
        return
    if document.version == row.payload.get("version"):
        return  # stopped after the switch: nothing is missing
    drop_staged(session, document)
    document.status = DocumentStatus.READY if document.version else never_ready
    document.error = error
    document.updated_at = datetime.now(UTC)


def _live_document(session: Session, row: JobRow) -> DocumentRow | None:
    document = session.get(DocumentRow, row.document_id) if row.document_id else None
    return document if document is not None and document.deleted_at is None else None


def _claimable(
    session: Session, is_alive: Callable[[str], bool], kinds: frozenset[str] | None
) -> JobRow | None:
    now = datetime.now(UTC)
    comes_last = case((JobRow.kind == SENTENCES, 1), else_=0)
    query = select(JobRow).where(JobRow.state.in_(_OPEN))
    query = query.order_by(comes_last, JobRow.created_at, JobRow.id)
    if kinds is not None:
        query = query.where(JobRow.kind.in_(kinds))
    for row in session.scalars(query):
        if row.state == JobState.QUEUED:
            return row
        expired = row.lease_until is None or row.lease_until <= now
        if expired or row.lease_owner is None or not is_alive(row.lease_owner):
            return row
    return None


def _take(session: Session, row: JobRow, owner: str) -> bool:
    """Claims the row unless somebody else was quicker."""
    now = datetime.now(UTC)
    changed = session.execute(
        update(JobRow)
        .where(
            JobRow.id == row.id,
            JobRow.state == row.state,
            JobRow.lease_owner == row.lease_owner,
            JobRow.lease_until == row.lease_until,
        )
        .values(
            state=JobState.RUNNING,
            lease_owner=owner,
            lease_until=now + timedelta(seconds=LEASE_S),
            attempts=JobRow.attempts + 1,
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    return bool(changed.rowcount == 1)  # type: ignore[attr-defined]  # a cursor result


def _locked_row(session: Session, job_id: JobId) -> JobRow:
    """Returns the row as nobody else can change it before this transaction ends."""
    session.execute(update(JobRow).where(JobRow.id == job_id).values(kind=JobRow.kind))
    return _row(session, job_id)


def _row(session: Session, job_id: JobId) -> JobRow:
    row = session.get(JobRow, job_id)
    if row is None:
        raise JobNotFound(f"There is no job {job_id!r}.")
    return row


def _job(row: JobRow) -> Job:
    return Job(
        id=JobId(row.id),
        kind=row.kind,
        state=JobState(row.state),
        progress=row.progress,
        stage=row.stage,
        created_at=row.created_at,
        updated_at=row.updated_at,
        document_id=DocumentId(row.document_id) if row.document_id else None,
        error=row.error,
        attempts=row.attempts,
    )
