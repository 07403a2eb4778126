"""Web sources as values: which addresses are kept as documents, and when they are due.

The table decides: `enqueue_due` turns what is due into jobs, `knowledge.sync_job` carries them out.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knowledge.addresses import clean_url
from knowledge.errors import SourceNotFound, SourceRejected
from knowledge.jobs import SYNC, add_job, cancel_job
from knowledge.tables import JobRow, SourcePageRow, SourceRow
from knowledge.types import (
    DocumentId,
    JobId,
    JobState,
    Schedule,
    Source,
    SourceId,
    SourceKind,
    SourcePage,
)

logger = logging.getLogger(__name__)

_PERIODS = {
    Schedule.HOURLY: timedelta(hours=1),
    Schedule.DAILY: timedelta(days=1),
    Schedule.WEEKLY: timedelta(days=7),
}
_OPEN = (JobState.QUEUED, JobState.RUNNING)
_REMOVED = "The web source was removed."


class SourceStore:
    """Adds, lists, changes and removes web sources; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        url: str,
        *,
        kind: SourceKind = SourceKind.PAGE,
        schedule: Schedule = Schedule.OFF,
        author: str,
    ) -> Source:
        """Adds a source and queues its first sync.

        Raises:
            SourceRejected: not a usable address, or one that is a source already.
        """
        now = datetime.now(UTC)
        row = SourceRow(
            id=uuid4().hex,
            url=clean_url(url),
            kind=kind,
            schedule=schedule,
            author=author,
            next_fetch_at=_next(schedule, now),
            created_at=now,
            updated_at=now,
        )
        try:
            with Session(self._engine) as session, session.begin():
                session.add(row)
                session.flush()
                _enqueue(session, row)
                return _source(row)
        except IntegrityError as error:
            raise SourceRejected(
                f"{clean_url(url)} is a web source already; sync that one."
            ) from error

    def list(self) -> Sequence[Source]:
        """Returns all sources, newest first."""
        query = select(SourceRow).order_by(SourceRow.created_at.desc(), SourceRow.id)
        with Session(self._engine) as session:
            return [_source(row) for row in session.scalars(query)]

    def get(self, source_id: SourceId) -> Source:
        """Returns one source; raises `SourceNotFound`."""
        with Session(self._engine) as session:
            return _source(_row(session, source_id))

    def pages(self, source_id: SourceId) -> Sequence[SourcePage]:
        """Returns a source's pages with what became of them, those with problems first."""
        with Session(self._engine) as session:
            _row(session, source_id)
            query = (
                select(SourcePageRow)
                .where(SourcePageRow.source_id == source_id)
                .order_by(SourcePageRow.error.is_(None), SourcePageRow.url)
            )
            return [_page(row) for row in session.scalars(query)]

    def reschedule(self, source_id: SourceId, schedule: Schedule) -> Source:
        """Changes how often a source is fetched; raises `SourceNotFound`."""
        with Session(self._engine) as session, session.begin():
            row = _row(session, source_id)
            row.schedule = schedule
            row.next_fetch_at = _next(schedule, row.last_fetched_at or datetime.now(UTC))
            row.updated_at = datetime.now(UTC)
            return _source(row)

    def sync(self, source_id: SourceId) -> JobId:
        """Queues a sync now, or returns the one that is under way; raises `SourceNotFound`."""
        with Session(self._engine) as session, session.begin():
            row = _row(session, source_id)
            running = _open_job(session, row)
            return JobId(running.id) if running is not None else _enqueue(session, row)

    def remove(self, source_id: SourceId) -> None:
        """Forgets a source and stops its sync; its documents stay. Raises `SourceNotFound`."""
        with Session(self._engine) as session, session.begin():
            row = _row(session, source_id)
            running = _open_job(session, row)
            if running is not None:
                cancel_job(session, running, reason=_REMOVED)
            session.execute(delete(SourcePageRow).where(SourcePageRow.source_id == source_id))
            session.delete(row)


def enqueue_due(engine: Engine) -> int:
    """Queues a sync of every source whose time has come and returns how many.

    Any number of processes may call it: who moves the due time on, queues the job.
    """
    now = datetime.now(UTC)
    due = select(SourceRow.id, SourceRow.next_fetch_at).where(SourceRow.next_fetch_at <= now)
    n_queued = 0
    with Session(engine) as session:
        found = session.execute(due).all()
    for source_id, at in found:
        with Session(engine) as session, session.begin():
            mine = (SourceRow.id == source_id, SourceRow.next_fetch_at == at)
            row = session.scalar(select(SourceRow).where(*mine))
            if row is None:
                continue
            later = _next(Schedule(row.schedule), now)
            taken = session.execute(update(SourceRow).where(*mine).values(next_fetch_at=later))
            if taken.rowcount != 1:  # type: ignore[attr-defined]  # a cursor result
                continue
            if _open_job(session, row) is None:
                _enqueue(session, row)
                n_queued += 1
    return n_queued


def _enqueue(session: Session, row: SourceRow) -> JobId:
    job_id = add_job(session, SYNC, {"source_id": row.id})
    row.job_id = job_id
    return job_id


def _open_job(session: Session, row: SourceRow) -> JobRow | None:
    job = session.get(JobRow, row.job_id) if row.job_id else None
    return job if job is not None and job.state in _OPEN else None


def _next(schedule: Schedule, since: datetime) -> datetime | None:
    period = _PERIODS.get(schedule)
    return since + period if period else None


def _row(session: Session, source_id: SourceId) -> SourceRow:
    row = session.get(SourceRow, source_id)
    if row is None:
        raise SourceNotFound(f"There is no web source {source_id!r}.")
    return row


def _source(row: SourceRow) -> Source:
    return Source(
        id=SourceId(row.id),
        url=row.url,
        kind=SourceKind(row.kind),
        schedule=Schedule(row.schedule),
        author=row.author,
        created_at=row.created_at,
        last_fetched_at=row.last_fetched_at,
        next_fetch_at=row.next_fetch_at,
        error=row.error,
        n_pages=row.n_pages or 0,
        n_changed=row.n_changed or 0,
        n_failed=row.n_failed or 0,
        n_missing=row.n_missing or 0,
        job_id=JobId(row.job_id) if row.job_id else None,
    )


def _page(row: SourcePageRow) -> SourcePage:
    return SourcePage(
        url=row.url,
        document_id=DocumentId(row.document_id) if row.document_id else None,
        last_fetched_at=row.last_fetched_at,
        error=row.error,
        is_missing=row.is_missing,
    )
