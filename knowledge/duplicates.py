"""Another document that says the same: finding it while a file is taken in, and what follows.

Part of the ingest flow, between parsing and splitting. Only live documents that are not archived
count, and never the document itself. Signatures are compared one by one, which takes some 10 µs
each. Documents whose signature is missing or of an older format get theirs here, once.
"""

import logging
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from knowledge.errors import DuplicateText
from knowledge.ingestion import Upload, next_version
from knowledge.job_run import JobRun
from knowledge.jobs import advance, cancel_document_jobs
from knowledge.signatures import FORMAT, Signature, likeness, sign
from knowledge.tables import DocumentRow, DocumentVersionRow, JobRow, SignatureRow
from knowledge.types import DocumentId, DocumentStatus, Likeness, OnDuplicate

logger = logging.getLogger(__name__)

_SUPERSEDED = "A newer upload of nearly the same text took its place."


@dataclass(frozen=True, slots=True)
class Intake:
    """How a job goes on: perhaps as a version of another document than it was queued for."""

    run: JobRun
    upload: Upload
    signature: Signature
    like: Likeness | None


def settle(run: JobRun, upload: Upload, text: str) -> Intake:
    """Looks for a document like this text and does what the upload asked for.

    A file that is a new version of a ready document stays that one's, so `replace` keeps it.

    Raises:
        DuplicateText: there is one, and the upload asked to skip such files.
        JobLost: the job was cancelled or taken over.
    """
    _sign_missing(run)
    signature = sign(text, check=run.check)
    like = _find(run, upload, signature)
    if like is None or upload.on_duplicate is OnDuplicate.KEEP:
        return Intake(run, upload, signature, like)
    if upload.on_duplicate is OnDuplicate.SKIP:
        raise DuplicateText(
            f"Skipped: the text is {like.percent} % like '{like.name}'; to have both, upload it "
            "again and choose to keep duplicates."
        )
    run, upload = _become_version(run, upload, like)
    return Intake(run, upload, signature, _find(run, upload, signature))


def record(session: Session, document: DocumentRow, intake: Intake) -> None:
    """Keeps the signature of the version that goes live, within the caller's transaction.

    A person's word that both may stay holds for as long as neither text changes.
    """
    row = session.get(SignatureRow, document.id) or SignatureRow(document_id=document.id)
    like, signature = intake.like, intake.signature
    same = (row.text_sha256, row.like_id, row.like_version) == (
        signature.text_sha256,
        like.document_id if like else None,
        like.version if like else None,
    )
    row.is_kept = same and bool(row.is_kept)
    row.text_sha256, row.minhash = signature.text_sha256, signature.minhash
    row.like_id = like.document_id if like else None
    row.like_version = like.version if like else None
    row.share = like.share if like else None
    session.add(row)


def _counted() -> tuple[ColumnElement[bool], ...]:
    return (DocumentRow.deleted_at.is_(None), DocumentRow.archived_at.is_(None))


def _find(run: JobRun, upload: Upload, signature: Signature) -> Likeness | None:
    """Returns the document that is most like the text, if it is enough so; of equals the oldest."""
    query = (
        select(DocumentRow.id, DocumentRow.name, DocumentRow.version, DocumentRow.sha256,
               SignatureRow.text_sha256, SignatureRow.minhash)
        .join(SignatureRow, SignatureRow.document_id == DocumentRow.id)
        .where(*_counted(), DocumentRow.id != run.claim.job.document_id)
        .order_by(DocumentRow.created_at, DocumentRow.id)
    )  # fmt: skip
    best: Likeness | None = None
    with Session(run.engine) as session:
        for id, name, version, sha256, text_sha256, minhash in session.execute(query):
            is_same_file = sha256 == upload.sha256
            share = 1.0 if is_same_file else likeness(signature, Signature(text_sha256, minhash))
            if share >= run.options.duplicate_threshold and (best is None or share > best.share):
                best = Likeness(DocumentId(id), name, version, share)
    return best


def _become_version(run: JobRun, upload: Upload, like: Likeness) -> tuple[JobRun, Upload]:
    """Turns the job of a new document into one for a version of the other, in one transaction."""
    with Session(run.engine) as session, session.begin():
        advance(session, run.claim)
        wanted = (DocumentRow.id == like.document_id, *_counted())
        session.execute(  # nobody changes it before this transaction ends
            update(DocumentRow).where(*wanted).values(live_name=DocumentRow.live_name)
        )
        other = session.scalar(select(DocumentRow).where(*wanted))
        own = session.get_one(DocumentRow, run.claim.job.document_id)
        if other is None or own.version > 0:
            return run, upload
        cancel_document_jobs(session, like.document_id, reason=_SUPERSEDED)
        moved = replace(upload, version=next_version(session, other), on_duplicate=OnDuplicate.KEEP)
        job = session.get_one(JobRow, run.claim.job.id)
        job.document_id, job.payload = other.id, asdict(moved)
        other.job_id, other.error, other.status = job.id, None, DocumentStatus.PROCESSING
        other.split_rule = own.split_rule or other.split_rule
        own.deleted_at, own.live_name = datetime.now(UTC), None
    logger.info("job %s goes on as a version of %s", run.claim.job.id, like.document_id)
    job_now = replace(run.claim.job, document_id=like.document_id)
    return replace(run, claim=replace(run.claim, job=job_now)), moved


def _sign_missing(run: JobRun) -> None:
    """Signs live documents without a signature of today's format, each in its own transaction."""
    outdated = and_(
        SignatureRow.minhash != b"", func.substr(SignatureRow.minhash, 1, len(FORMAT)) != FORMAT
    )
    query = (
        select(DocumentVersionRow.document_id, DocumentVersionRow.version)
        .join(DocumentRow, DocumentRow.id == DocumentVersionRow.document_id)
        .outerjoin(SignatureRow, SignatureRow.document_id == DocumentRow.id)
        .where(DocumentVersionRow.version == DocumentRow.version, *_counted())
        .where(or_(SignatureRow.document_id.is_(None), outdated))
    )
    with Session(run.engine) as session:
        missing = session.execute(query).all()
    for document_id, version in missing:
        run.check()
        with Session(run.engine) as session, session.begin():
            stored = session.get(DocumentVersionRow, (document_id, version))
            if stored is None:  # removed meanwhile
                continue
            made = sign(stored.text, check=run.check)
            advance(session, run.claim)
            row = session.get(SignatureRow, document_id)
            row = row or SignatureRow(document_id=document_id, is_kept=False)
            row.text_sha256, row.minhash = made.text_sha256, made.minhash
            session.add(row)
