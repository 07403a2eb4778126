"""What people say about a document: who may read it, when it holds, tags, language, archive.

No change makes a new version. Only the archive touches the indexes; the rest is looked up at
every search.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import Enum

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from knowledge.errors import InvalidChange
from knowledge.ingest_job import guess_language
from knowledge.live_chunks import record_changes
from knowledge.store import document_from, live_row
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow
from knowledge.types import Document, DocumentId, Visibility

MAX_TAGS = 20
MAX_TAG_CHARS = 40


class Keep(Enum):
    """Stands for a field that is left as it is, since None takes a date away."""

    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """New values; `language` None guesses it again, a date None takes it away."""

    visibility: Visibility | Keep = Keep.KEEP
    tags: tuple[str, ...] | Keep = Keep.KEEP
    language: str | Keep | None = Keep.KEEP
    effective_from: datetime | Keep | None = Keep.KEEP
    expires_at: datetime | Keep | None = Keep.KEEP
    archived: bool | Keep = Keep.KEEP

    def names(self) -> list[str]:
        """The fields that change, for the record."""
        return [f.name for f in fields(self) if getattr(self, f.name) is not Keep.KEEP]


class DocumentEditor:
    """Changes documents; each change is one transaction.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def change(self, document_id: DocumentId, change: DocumentChange) -> Document:
        """Applies a change and returns the document as it is then.

        Raises:
            DocumentNotFound: there is no such live document.
            InvalidChange: a tag is too long, there are too many, or the dates are not in order.
        """
        with Session(self._engine) as session, session.begin():
            row = live_row(session, document_id)
            if not isinstance(change.visibility, Keep):
                row.visibility = change.visibility
            if not isinstance(change.tags, Keep):
                row.tags = clean_tags(change.tags)
            if not isinstance(change.language, Keep):
                _set_language(session, row, change.language)
            if not isinstance(change.effective_from, Keep):
                row.effective_from = change.effective_from
            if not isinstance(change.expires_at, Keep):
                row.expires_at = change.expires_at
            _check_dates(row)
            if not isinstance(change.archived, Keep):
                _archive(session, row, archived=change.archived)
            session.flush()
            return document_from(row)


def clean_tags(tags: tuple[str, ...]) -> list[str]:
    """Returns tags without outer spaces, empty ones or repetitions, in the order given.

    Raises:
        InvalidChange: more or longer tags than allowed.
    """
    kept = list(dict.fromkeys(" ".join(tag.split()) for tag in tags if tag.strip()))
    if len(kept) > MAX_TAGS or any(len(tag) > MAX_TAG_CHARS for tag in kept):
        raise InvalidChange(
            f"Expected at most {MAX_TAGS} tags of at most {MAX_TAG_CHARS} characters."
        )
    return kept


def _set_language(session: Session, row: DocumentRow, language: str | None) -> None:
    row.language_is_set = language is not None
    if language is None:
        stored = session.get(DocumentVersionRow, (row.id, row.version))
        language = guess_language(stored.text) if stored is not None else None
    row.language = language


def _check_dates(row: DocumentRow) -> None:
    first, last = row.effective_from, row.expires_at
    if first is not None and last is not None and first >= last:
        raise InvalidChange(
            f"The document would expire ({last:%Y-%m-%d %H:%M} UTC) before it holds "
            f"({first:%Y-%m-%d %H:%M} UTC); choose a later expiry."
        )


def _archive(session: Session, row: DocumentRow, *, archived: bool) -> None:
    """Takes the live chunks out of the indexes, or brings them back; nothing is deleted."""
    if archived == (row.archived_at is not None):
        return
    row.archived_at = datetime.now(UTC) if archived else None
    live = (ChunkRow.document_id == row.id, ChunkRow.version == row.version)
    chunk_ids = session.scalars(select(ChunkRow.id).where(*live)).all()
    record_changes(session, chunk_ids, "remove" if archived else "add")
