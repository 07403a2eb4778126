"""The sync flow: address → (sitemap) → pages → fetch → compare → ordinary ingestion.

Each page is recorded as it is done, so a sync that was stopped goes on after it. A page whose
text is what it was makes no version. A page that has vanished gets a reason on its document,
which stays: only a person takes a document away, and one that a person took away stays away.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import httpx
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from knowledge.errors import FetchFailed, KnowledgeError, PageGone, SourceNotFound
from knowledge.fetching import Fetched, Fetcher, Validators
from knowledge.ingestion import Ingestor
from knowledge.job_run import JobRun
from knowledge.jobs import advance, succeed
from knowledge.page_names import PAGE_TYPES, page_name
from knowledge.parsing.registry import parse
from knowledge.sitemaps import parse_sitemap
from knowledge.tables import DocumentRow, SourcePageRow, SourceRow
from knowledge.types import DocumentId, DocumentStatus, SourceId, SourceKind

logger = logging.getLogger(__name__)

SITEMAP_TYPES = frozenset(
    {
        "application/xml",
        "text/xml",
        "application/gzip",
        "application/x-gzip",
        "application/octet-stream",
    }
)
MAX_SITEMAPS = 50
_WAIT_STEP_S = 0.1
_VANISHED = "The page is no longer listed in the sitemap."
_TAKEN_AWAY = "Its document was removed by a person, so it is not fetched any more."


@dataclass(frozen=True, slots=True)
class _Page:
    """What is known of a page before it is fetched."""

    url: str
    name: str | None
    document_id: DocumentId | None
    fingerprint: str | None
    validators: Validators
    is_taken_away: bool


def sync(run: JobRun) -> None:
    """Carries out one sync job.

    Raises:
        KnowledgeError: the source itself gave nothing; the message is also kept with it.
        JobLost: the job was cancelled or taken over.
        WorkerStopping: the process is shutting down.
    """
    source_id = SourceId(str(run.claim.payload["source_id"]))
    fetcher = Fetcher(run.options.fetch, check=run.check, pause=lambda s: _pause(run, s))
    run.report("fetching", 0.0)
    try:
        urls = _list_pages(run, source_id, fetcher)
        for n_done, url in enumerate(urls):
            run.report("fetching", n_done / len(urls))
            if not _is_done(run, source_id, url):
                _sync_page(run, source_id, url, fetcher)
        error = _settle(run, source_id, urls)
    except FetchFailed as failure:
        _note_source(run, source_id, str(failure))
        raise
    if error is not None:
        raise FetchFailed(error)
    with Session(run.engine) as session, session.begin():
        succeed(session, run.claim)


def _list_pages(run: JobRun, source_id: SourceId, fetcher: Fetcher) -> Sequence[str]:
    """Returns the addresses to fetch: the source's own, or those of its sitemap."""
    with Session(run.engine) as session:
        row = _source(session, source_id)
        if row.kind == SourceKind.PAGE:
            return [row.url]
        known = Validators(row.etag, row.last_modified)
        url = row.url
        listed = list(
            session.scalars(
                select(SourcePageRow.url)
                .where(SourcePageRow.source_id == source_id, SourcePageRow.is_missing.is_(False))
                .order_by(SourcePageRow.url)
            )
        )
    fetched = fetcher.fetch(url, accepts=SITEMAP_TYPES, known=known if listed else None)
    if fetched.is_unchanged:
        return listed
    limits = run.options.fetch
    sitemap = parse_sitemap(fetched.content, max_bytes=limits.max_bytes)
    validators = Validators() if sitemap.is_index else fetched.validators
    urls = sitemap.urls
    if sitemap.is_index:
        urls = _follow(fetcher, urls, fetched.url, limits.max_bytes)
    urls = _of_site(urls, fetched.url)
    if not urls:
        raise FetchFailed("The sitemap lists no page of its own site.")
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        row = _source(session, source_id)
        row.etag, row.last_modified = validators.etag, validators.last_modified
    return urls[: limits.max_pages]


def _follow(
    fetcher: Fetcher, urls: Sequence[str], index_url: str, max_bytes: int
) -> tuple[str, ...]:
    """Returns the pages of all sitemaps of an index; an index in an index is not allowed."""
    pages: dict[str, None] = {}
    for url in _of_site(urls, index_url)[:MAX_SITEMAPS]:
        fetched = fetcher.fetch(url, accepts=SITEMAP_TYPES)
        inner = parse_sitemap(fetched.content, max_bytes=max_bytes)
        if not inner.is_index:
            pages.update(dict.fromkeys(inner.urls))
    return tuple(pages)


def _of_site(urls: Sequence[str], site: str) -> tuple[str, ...]:
    """Leaves out what a sitemap may not speak for: addresses of other hosts."""
    host = httpx.URL(site).host.removeprefix("www.")
    return tuple(url for url in urls if httpx.URL(url).host.removeprefix("www.") == host)


def _is_done(run: JobRun, source_id: SourceId, url: str) -> bool:
    """True when an earlier attempt of this very job has dealt with the page."""
    with Session(run.engine) as session:
        page = session.get(SourcePageRow, (source_id, url))
        at = page.last_fetched_at if page is not None else None
        return at is not None and at >= run.claim.job.created_at


def _sync_page(run: JobRun, source_id: SourceId, url: str, fetcher: Fetcher) -> None:
    page = _load(run, source_id, url)
    if page.is_taken_away:
        _note_page(run, source_id, url, error=_TAKEN_AWAY)
        return
    try:
        fetched = fetcher.fetch(url, accepts=PAGE_TYPES.keys(), known=page.validators)
        if fetched.is_unchanged:
            _note_page(run, source_id, url)
        else:
            _take(run, source_id, page, fetched)
    except KnowledgeError as error:
        is_missing = isinstance(error, PageGone)
        _note_page(run, source_id, url, error=str(error), is_missing=is_missing)


def _take(run: JobRun, source_id: SourceId, page: _Page, fetched: Fetched) -> None:
    """Hands a page to ingestion if it says something new."""
    name = _reserve(run, source_id, page, page_name(fetched.url, fetched.content_type))
    fingerprint = _fingerprint(run, name, fetched.content)
    document_id = page.document_id
    is_new = fingerprint != page.fingerprint or document_id is None
    if is_new:
        run.check()
        options = run.options
        ingestor = Ingestor(run.engine, uploads_dir=options.uploads_dir, limits=options.limits)
        document_id, _ = ingestor.submit(
            name, fetched.content, author=_author(run, source_id), replace=document_id
        )
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        row = session.get_one(SourcePageRow, (source_id, page.url))
        row.fingerprint, row.document_id = fingerprint, document_id
        row.etag, row.last_modified = fetched.validators.etag, fetched.validators.last_modified
        if is_new:
            row.changed_at = datetime.now(UTC)
        _record(session, row)


def _reserve(run: JobRun, source_id: SourceId, page: _Page, wanted: str) -> str:
    """Writes the document's name down before it is used, so that a crash makes no second one."""
    suffix = wanted[wanted.rfind(".") :]
    if page.name is not None and page.name.endswith(suffix):
        return page.name
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        owner = session.scalar(select(DocumentRow.id).where(DocumentRow.live_name == wanted))
        if owner is not None and owner != page.document_id:
            mark = hashlib.sha256(page.url.encode()).hexdigest()[:8]
            wanted = f"{wanted.removesuffix(suffix)}-{mark}{suffix}"
        _page_row(session, source_id, page.url).name = wanted
    return wanted


def _fingerprint(run: JobRun, name: str, content: bytes) -> str:
    """Returns a hash of what a page says; a web page's markup often changes without its text."""
    if name.endswith(".html"):
        parsed = parse(name, content, run.options.limits)
        content = f"{parsed.title}\n{parsed.text}".encode("utf-8", "replace")
    return hashlib.sha256(content).hexdigest()


def _load(run: JobRun, source_id: SourceId, url: str) -> _Page:
    with Session(run.engine) as session:
        row = session.get(SourcePageRow, (source_id, url)) or SourcePageRow(url=url)
        document = session.get(DocumentRow, row.document_id) if row.document_id else None
        is_taken_away = document is not None and document.deleted_at is not None
        # A version that ingestion could not use is worth another try, changed or not.
        is_whole = document is not None and document.status != DocumentStatus.FAILED
        is_whole = is_whole and document.error in (None, row.error)  # type: ignore[union-attr]
        return _Page(
            url=url,
            name=row.name,
            document_id=DocumentId(row.document_id) if row.document_id else None,
            fingerprint=row.fingerprint if is_whole else None,
            validators=Validators(row.etag, row.last_modified) if is_whole else Validators(),
            is_taken_away=is_taken_away,
        )


def _note_page(
    run: JobRun,
    source_id: SourceId,
    url: str,
    *,
    error: str | None = None,
    is_missing: bool = False,
) -> None:
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        row = _page_row(session, source_id, url)
        _record(session, row, error=error, is_missing=is_missing)


def _record(
    session: Session, row: SourcePageRow, *, error: str | None = None, is_missing: bool = False
) -> None:
    """Writes a page's outcome down, and why it is not well on its document."""
    document = session.get(DocumentRow, row.document_id) if row.document_id else None
    if document is not None and document.deleted_at is None:
        if error is not None:
            document.error = error
        elif document.error == row.error:
            document.error = None
    row.error, row.is_missing = error, is_missing
    row.last_fetched_at = datetime.now(UTC)


def _settle(run: JobRun, source_id: SourceId, urls: Sequence[str]) -> str | None:
    """Marks what has vanished, counts, and returns why a single page gave nothing."""
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        mine = SourcePageRow.source_id == source_id
        pages = session.scalars(select(SourcePageRow).where(mine)).all()
        listed = frozenset(urls)
        for page in pages:
            if page.url not in listed and not page.is_missing:
                _record(session, page, error=_VANISHED, is_missing=True)
        row = _source(session, source_id)
        is_page = row.kind == SourceKind.PAGE
        row.error = pages[0].error if is_page and pages else None
        row.last_fetched_at = row.updated_at = datetime.now(UTC)
        started = run.claim.job.created_at
        row.n_pages = len(pages)
        row.n_missing = sum(page.is_missing for page in pages)
        row.n_failed = sum(page.error is not None and not page.is_missing for page in pages)
        row.n_changed = (
            session.scalar(select(func.count()).where(mine, SourcePageRow.changed_at >= started))
            or 0
        )
        logger.info("source %s: %d pages, %d changed", source_id, row.n_pages, row.n_changed)
        return row.error


def _note_source(run: JobRun, source_id: SourceId, error: str) -> None:
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        row = _source(session, source_id)
        row.error, row.last_fetched_at = error, datetime.now(UTC)


def _page_row(session: Session, source_id: SourceId, url: str) -> SourcePageRow:
    row = session.get(SourcePageRow, (source_id, url))
    if row is None:
        row = SourcePageRow(source_id=source_id, url=url, is_missing=False)
        session.add(row)
    return row


def _author(run: JobRun, source_id: SourceId) -> str:
    with Session(run.engine) as session:
        return _source(session, source_id).author


def _source(session: Session, source_id: SourceId) -> SourceRow:
    row = session.get(SourceRow, source_id)
    if row is None:
        raise SourceNotFound(f"There is no web source {source_id!r}; it was removed.")
    return row


def _pause(run: JobRun, seconds: float) -> None:
    end = monotonic() + seconds
    while (left_s := end - monotonic()) > 0:
        run.check()
        run.stopping.wait(min(_WAIT_STEP_S, left_s))
    run.check()
