"""Takes uploads in: cheap checks at once, then a job that `knowledge.worker` carries out."""

import logging
import unicodedata
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from knowledge.bundle_names import MAX_NAME_CHARS, clean_path
from knowledge.bundles import Member, Submission, is_bundle, unpack
from knowledge.errors import (
    DocumentNotFound,
    DuplicateDocument,
    FileTooLarge,
    KnowledgeError,
    ParseFailed,
    UnsupportedFormat,
)
from knowledge.jobs import INGEST, add_job, cancel_document_jobs
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.registry import check_upload
from knowledge.tables import DocumentRow, DocumentVersionRow, JobRow
from knowledge.types import (
    DocumentId,
    DocumentStatus,
    JobId,
    JobState,
    OnDuplicate,
    SplitRule,
    Visibility,
)
from knowledge.uploads import UploadFolder

logger = logging.getLogger(__name__)

_MIB = 1 << 20
_SUPERSEDED = "A newer upload of the same document took its place."


@dataclass(frozen=True, slots=True)
class Upload:
    """What an ingest job is told about the file it works on."""

    name: str
    sha256: str
    size_bytes: int
    author: str
    version: int
    on_duplicate: OnDuplicate = OnDuplicate.KEEP

    @classmethod
    def from_payload(cls, payload: dict[str, object]) -> "Upload":
        """Reads what `Ingestor` put into the job."""
        return cls(
            name=str(payload["name"]),
            sha256=str(payload["sha256"]),
            size_bytes=int(str(payload["size_bytes"])),
            author=str(payload["author"]),
            version=int(str(payload["version"])),
            on_duplicate=OnDuplicate(str(payload.get("on_duplicate", OnDuplicate.KEEP))),
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """The document that an upload is for: the one to replace, how to split it, who may read it."""

    replace: DocumentId | None
    rule: SplitRule | None
    visibility: Visibility


class Ingestor:
    """Accepts files; a live name means a new version, which replaces the old one when ready.

    Args:
        engine: The database.
        uploads_dir: Where uploaded bytes are kept.
        limits: What a file may hold.
    """

    def __init__(self, engine: Engine, *, uploads_dir: Path, limits: ParseLimits) -> None:
        self._engine = engine
        self._uploads = UploadFolder(uploads_dir)
        self._limits = limits

    def submit_all(
        self,
        name: str,
        data: bytes,
        *,
        author: str,
        replace: DocumentId | None = None,
        rule: SplitRule | None = None,
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> list[Submission]:
        """Takes a file as `submit` does, or every file of a ZIP as a document of its own.

        A member is called by its path inside the ZIP, so the same ZIP again replaces the same
        documents. One that is refused does not stop the others.

        Raises:
            KnowledgeError: as `submit`, or no file of the ZIP could be taken.
        """
        name = clean_file_name(name)
        if not is_bundle(name):
            submitted = self.submit(
                name, data, author=author, replace=replace, rule=rule, on_duplicate=on_duplicate
            )
            return [Submission(name, *submitted)]
        if replace is not None:
            raise UnsupportedFormat(
                f"{name!r} holds many documents and cannot replace one; upload it by itself, or "
                "the one file that takes the document's place."
            )
        self._check_size(data)
        members = unpack(name, data, self._limits)
        found = [self._submit_member(one, author, rule, on_duplicate) for one in members]
        if not any(one.document_id for one in found):
            raise ParseFailed(f"No file of {name!r} could be taken in. {found[0].error}")
        return found

    def _submit_member(
        self, member: Member, author: str, rule: SplitRule | None, on_duplicate: OnDuplicate
    ) -> Submission:
        if member.error is not None:
            return Submission(member.name, error=member.error)
        try:
            document_id, job_id = self.submit(
                member.name,
                member.content,
                author=author,
                rule=rule,
                keep_folders=True,
                on_duplicate=on_duplicate,
            )
        except KnowledgeError as error:
            return Submission(member.name, error=error)
        return Submission(member.name, document_id, job_id)

    def submit(
        self,
        name: str,
        data: bytes,
        *,
        author: str,
        replace: DocumentId | None = None,
        rule: SplitRule | None = None,
        keep_folders: bool = False,
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
        visibility: Visibility = Visibility.PUBLIC,
    ) -> tuple[DocumentId, JobId]:
        """Stores the bytes and queues their ingestion.

        Bytes that the live version already has are done at once.

        Args:
            name: The file's name; folders before it are dropped unless told otherwise.
            data: The file's content.
            author: Who uploaded it.
            replace: The document that this becomes a new version of, whatever its name was.
            rule: How to split it, kept for its next files; None keeps what it has.
            keep_folders: The name is a path inside an archive, and the document's whole name.
            on_duplicate: What to do when another document says the same; see `duplicates`.
            visibility: Who may read a document that this makes; one that exists keeps its own.

        Raises:
            FileTooLarge: over the limit.
            UnsupportedFormat: no known kind of file, or not what its name says.
            ParseFailed: empty, or beyond a limit that shows without parsing.
            DocumentNotFound: `replace` names no live document.
            DuplicateDocument: another document than `replace` has that name.
        """
        self._check_size(data)
        name = clean_path(name) if keep_folders else clean_file_name(name)
        check_upload(name, data, self._limits)
        sha256 = self._uploads.store(data)
        if replace is not None and on_duplicate is OnDuplicate.REPLACE:
            on_duplicate = OnDuplicate.KEEP  # it was said which document gives way
        upload = Upload(name, sha256, len(data), author, version=0, on_duplicate=on_duplicate)
        target = _Target(replace, rule, visibility)
        try:
            document_id, job_id = self._enqueue(upload, data, target)
        except IntegrityError:  # somebody else created the same name at the same moment
            document_id, job_id = self._enqueue(upload, data, target)
        logger.info("upload accepted: document %s, job %s", document_id, job_id)
        return document_id, job_id

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._limits.max_bytes:
            raise FileTooLarge(
                f"The file has {len(data) / _MIB:.1f} MB, more than the "
                f"{self._limits.max_bytes / _MIB:.0f} MB that are allowed."
            )

    def _enqueue(self, upload: Upload, data: bytes, target: "_Target") -> tuple[DocumentId, JobId]:
        with Session(self._engine) as session, session.begin():
            row = _lock_target(session, upload.name, target.replace)
            if row is None:
                row = _new_document(session, upload, target.visibility)
            self._uploads.store(data)  # again, now that nobody can discard it
            document_id = DocumentId(row.id)
            cancel_document_jobs(session, document_id, reason=_SUPERSEDED)
            kept = row.split_rule
            if target.rule is not None:
                row.split_rule = asdict(target.rule)
            same_file = row.sha256 == upload.sha256 and row.name == upload.name
            unchanged = row.version > 0 and same_file and row.split_rule == kept
            payload = asdict(upload) | {"version": next_version(session, row)}
            state = JobState.SUCCEEDED if unchanged else JobState.QUEUED
            job_id = add_job(session, INGEST, payload, document_id=document_id, state=state)
            row.job_id, row.error = job_id, None
            row.status = DocumentStatus.READY if unchanged else DocumentStatus.QUEUED
            row.updated_at = datetime.now(UTC)
            return document_id, job_id


def clean_file_name(name: str) -> str:
    """Returns the bare file name: no folders, no control characters, at most 255 characters.

    Raises:
        UnsupportedFormat: nothing is left.
    """
    base = PurePosixPath(unicodedata.normalize("NFC", name).replace("\\", "/")).name
    kept = "".join(c for c in base if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    kept = " ".join(kept.split())
    if not kept.strip(". "):
        raise UnsupportedFormat(f"Expected a file name such as 'returns.pdf', got {name!r}.")
    suffix = PurePosixPath(kept).suffix
    return kept[: MAX_NAME_CHARS - len(suffix)] + suffix if len(kept) > MAX_NAME_CHARS else kept


def _lock_target(session: Session, name: str, replace: DocumentId | None) -> DocumentRow | None:
    """Returns the live document that the upload replaces, locked until the transaction ends."""
    wanted = DocumentRow.live_name == name if replace is None else DocumentRow.id == replace
    session.execute(update(DocumentRow).where(wanted).values(live_name=DocumentRow.live_name))
    row = session.scalar(select(DocumentRow).where(wanted, DocumentRow.deleted_at.is_(None)))
    if replace is None:
        return row
    if row is None:
        raise DocumentNotFound(f"There is no document {replace!r} to replace.")
    same_name = select(DocumentRow.id).where(DocumentRow.live_name == name)
    if session.scalar(same_name.where(DocumentRow.id != replace)) is not None:
        raise DuplicateDocument(f"Another document is already called {name!r}; replace that one.")
    return row


def _new_document(session: Session, upload: Upload, visibility: Visibility) -> DocumentRow:
    now = datetime.now(UTC)
    row = DocumentRow(
        id=uuid4().hex,
        name=upload.name,
        live_name=upload.name,
        title=PurePosixPath(upload.name).stem,
        status=DocumentStatus.QUEUED,
        visibility=visibility,
        version=0,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    return row


def next_version(session: Session, row: DocumentRow) -> int:
    """Returns a number above every version that was ever asked for."""
    stored = session.scalar(
        select(func.max(DocumentVersionRow.version)).where(DocumentVersionRow.document_id == row.id)
    )
    payloads = session.scalars(select(JobRow.payload).where(JobRow.document_id == row.id))
    asked = [int(str(payload.get("version", 0))) for payload in payloads]
    return max([row.version, stored or 0, *asked]) + 1
