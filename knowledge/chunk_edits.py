"""People's changes to passages: edit, add, take away, enable, pin.

New words make a new version of the document's text, written and switched to in one transaction
with the outbox: the passage is replaced in the text and the offsets after it move, so that
`chunk.text == text[start:end]` goes on holding, and what was cited before still stands in the
version before. Chunks keep their ids, so only the passage that changed is indexed again.

While a newer file of the document waits or is worked on, words cannot be changed: its passages
are being matched with the edits of the present version. See `knowledge.kept_edits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from knowledge.embedding import MAX_INPUT_TOKENS, Embedder
from knowledge.errors import ChunkNotFound, EditConflict, EditRejected
from knowledge.ingestion import next_version
from knowledge.jobs import SENTENCES, drop_staged
from knowledge.live_chunks import encode_vector, passage_text, record_changes
from knowledge.parts import embed_parts, part_texts
from knowledge.search_indexes import SearchIndexes
from knowledge.store import chunk_of
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow, JobRow
from knowledge.types import Chunk, ChunkId, ChunkOrigin, DocumentId, JobState

MAX_CHUNK_CHARS = 4000
_GAP = "\n\n"
_OPEN = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class ChunkChange:
    """What to change of a passage; None leaves a thing as it is."""

    text: str | None = None
    enabled: bool | None = None
    pinned: bool | None = None


class ChunkEditor:
    """Changes passages of live documents.

    Args:
        engine: The database.
        indexes: Brought up to date in this process before a change counts as done.
        embedder: Embeds new words.
    """

    def __init__(self, engine: Engine, indexes: SearchIndexes, *, embedder: Embedder) -> None:
        self._engine = engine
        self._indexes = indexes
        self._embedder = embedder

    def get(self, chunk_id: ChunkId) -> Chunk:
        """Returns a passage of a live version; raises `ChunkNotFound`."""
        with Session(self._engine) as session:
            return chunk_of(live_row(session, chunk_id)[0])

    def change(self, chunk_id: ChunkId, change: ChunkChange, *, author: str) -> Chunk:
        """Applies a change and returns the passage as it is then.

        The original's own words undo an edit.

        Raises:
            ChunkNotFound: no live passage of that id.
            EditRejected: the new words are empty or too long.
            EditConflict: a newer file of the document is being worked on.
        """
        new = None if change.text is None else self._checked(change.text)
        with Session(self._engine) as session:
            row, document = live_row(session, chunk_id)
            is_new = new is not None and new != row.text
            place = document.title, list(row.headings)
        vector = self._embed(*place, new) if is_new and new is not None else None
        with Session(self._engine) as session, session.begin():
            document_id = _lock_document_of(session, chunk_id)
            row, document = live_row(session, chunk_id)
            if vector is not None and new is not None:
                _refuse_open_job(session, document_id)
                original = row.original or row.text
                _rewrite(session, document, row, new, author=author)
                row.embedder, row.embedding = self._embedder.id, vector.whole
                row.part_embeddings, row.parts_due = vector.parts, False
                _mark(row, original, author)
            if change.enabled is not None:
                row.enabled = change.enabled
            if change.pinned is not None:
                row.pinned = change.pinned
            session.flush()
            record_changes(session, [row.id], "add" if row.enabled else "remove")
            changed = chunk_of(row)
        self._indexes.refresh()
        return changed

    def add(self, document_id: DocumentId, text: str, *, author: str) -> Chunk:
        """Appends a passage to a document's text and returns it; raises as `change` does."""
        new = self._checked(text)
        with Session(self._engine) as session:
            title = _ready_document(session, document_id).title
        vector = self._embed(title, [], new)
        with Session(self._engine) as session, session.begin():
            _lock_document(session, document_id)
            document = _ready_document(session, document_id)
            _refuse_open_job(session, document_id)
            old = session.get_one(DocumentVersionRow, (document_id, document.version)).text
            start = len(old) + len(_GAP)
            _new_version(session, document, old + _GAP + new, author=author)
            last = session.scalar(
                select(func.max(ChunkRow.ordinal)).where(ChunkRow.document_id == document_id)
            )
            row = ChunkRow(
                document_id=document_id, version=document.version, ordinal=(last or 0) + 1,
                text=new, start=start, end=start + len(new), page=None, headings=[], enabled=True,
                origin=ChunkOrigin.ADDED, pinned=False, edited_by=author,
                edited_at=datetime.now(UTC), embedder=self._embedder.id, embedding=vector.whole,
                part_embeddings=vector.parts,
            )  # fmt: skip
            session.add(row)
            document.n_chunks += 1
            session.flush()
            record_changes(session, [row.id], "add")
            added = chunk_of(row)
        self._indexes.refresh()
        return added

    def remove(self, chunk_id: ChunkId, *, author: str) -> None:
        """Takes a passage away that a person had added, or whose original is gone.

        Raises:
            EditRejected: the passage comes from the file, so it can only be disabled.
            ChunkNotFound, EditConflict: as `change` does.
        """
        with Session(self._engine) as session, session.begin():
            document_id = _lock_document_of(session, chunk_id)
            row, document = live_row(session, chunk_id)
            if row.origin not in (ChunkOrigin.ADDED, ChunkOrigin.ORPHANED):
                raise EditRejected("This passage comes from the file; disable it instead.")
            _refuse_open_job(session, document_id)
            _rewrite(session, document, row, "", author=author)
            document.n_chunks -= 1
            session.delete(row)
            record_changes(session, [chunk_id], "remove")
        self._indexes.refresh()

    def _checked(self, text: str) -> str:
        cleaned = text.replace("\0", "").replace("\r\n", "\n").strip()
        if not cleaned:
            raise EditRejected("A passage needs words; disable it if it should not be found.")
        n_tokens = self._embedder.count_tokens(cleaned)
        if len(cleaned) > MAX_CHUNK_CHARS or n_tokens > MAX_INPUT_TOKENS:
            raise EditRejected(
                f"A passage holds at most {MAX_CHUNK_CHARS} characters and {MAX_INPUT_TOKENS} "
                f"tokens; this one has {len(cleaned)} and {n_tokens}. Split it into several."
            )
        return cleaned

    def _embed(self, title: str, headings: Sequence[str], body: str) -> "_Vectors":
        whole = self._embedder.embed_passages([passage_text(title, headings, body)])[0]
        texts = [part_texts(title, headings, body)]
        (parts,) = embed_parts(self._embedder, texts, pause=lambda: None)
        return _Vectors(encode_vector(whole), parts)


@dataclass(frozen=True, slots=True)
class _Vectors:
    """What a chunk's row stores of a passage and of its sentences."""

    whole: bytes
    parts: bytes | None


def live_row(session: Session, chunk_id: ChunkId) -> tuple[ChunkRow, DocumentRow]:
    """Returns a passage of a live version, disabled or not, with its document.

    Raises:
        ChunkNotFound: there is none of that id.
    """
    found = session.execute(
        select(ChunkRow, DocumentRow)
        .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
        .where(ChunkRow.id == chunk_id, DocumentRow.version == ChunkRow.version)
        .where(DocumentRow.deleted_at.is_(None))
    ).one_or_none()
    if found is None:
        raise ChunkNotFound(f"There is no live passage {chunk_id!r}.")
    return found[0], found[1]


def _lock_document_of(session: Session, chunk_id: ChunkId) -> DocumentId:
    document_id = session.scalar(select(ChunkRow.document_id).where(ChunkRow.id == chunk_id))
    if document_id is None:
        raise ChunkNotFound(f"There is no live passage {chunk_id!r}.")
    _lock_document(session, DocumentId(document_id))
    return DocumentId(document_id)


def _lock_document(session: Session, document_id: DocumentId) -> None:
    """Keeps uploads and other edits of the document out until the transaction ends."""
    session.execute(
        update(DocumentRow)
        .where(DocumentRow.id == document_id)
        .values(live_name=DocumentRow.live_name)
    )


def _ready_document(session: Session, document_id: DocumentId) -> DocumentRow:
    document = session.get(DocumentRow, document_id)
    if document is None or document.deleted_at is not None or document.version == 0:
        raise ChunkNotFound(f"There is no document {document_id!r} that is ready.")
    return document


def _refuse_open_job(session: Session, document_id: DocumentId) -> None:
    jobs = select(JobRow.id).where(JobRow.document_id == document_id, JobRow.state.in_(_OPEN))
    jobs = jobs.where(JobRow.kind != SENTENCES)
    if session.scalar(jobs.limit(1)) is not None:
        raise EditConflict(
            "A newer file of this document is being worked on; edit it when that is done."
        )


def _rewrite(
    session: Session, document: DocumentRow, row: ChunkRow, new: str, *, author: str
) -> None:
    """Replaces the passage in a new version of the text and moves what comes after it."""
    old = session.get_one(DocumentVersionRow, (document.id, document.version)).text
    moved = len(new) - (row.end - row.start)
    session.execute(
        update(ChunkRow)
        .where(ChunkRow.document_id == document.id, ChunkRow.version == document.version)
        .where(ChunkRow.start >= row.end, ChunkRow.id != row.id)
        .values(start=ChunkRow.start + moved, end=ChunkRow.end + moved),
        execution_options={"synchronize_session": False},
    )
    _new_version(session, document, old[: row.start] + new + old[row.end :], author=author)
    session.refresh(row)
    row.text, row.end = new, row.start + len(new)


def _new_version(session: Session, document: DocumentRow, text: str, *, author: str) -> None:
    """Stores `text` as the live version and takes all passages over to it."""
    now, before = datetime.now(UTC), document.version
    old = session.get_one(DocumentVersionRow, (document.id, before))
    drop_staged(session, document)
    version = next_version(session, document)
    session.add(
        DocumentVersionRow(
            document_id=document.id, version=version, name=old.name, title=old.title, text=text,
            sha256=old.sha256, author=author, created_at=now,
        )
    )  # fmt: skip
    session.execute(
        update(ChunkRow)
        .where(ChunkRow.document_id == document.id, ChunkRow.version == before)
        .values(version=version),
        execution_options={"synchronize_session": False},
    )
    document.version, document.updated_at = version, now
    _renumber(session, document.id, before, version)


def _renumber(session: Session, document_id: str, before: int, version: int) -> None:
    """Lets failed uploads that may be tried again still become a version above this one."""
    ended = (JobState.FAILED, JobState.CANCELLED)
    jobs = select(JobRow).where(JobRow.document_id == document_id, JobRow.state.in_(ended))
    for job in session.scalars(jobs):
        if int(str(job.payload.get("version", 0))) > before:
            job.payload = {**job.payload, "version": version + 1}


def _mark(row: ChunkRow, original: str, author: str) -> None:
    """Says whose words the passage has now."""
    row.edited_by, row.edited_at = author, datetime.now(UTC)
    if row.origin not in (ChunkOrigin.PARSED, ChunkOrigin.EDITED):
        return
    if row.text == original:
        row.origin, row.original = ChunkOrigin.PARSED, None
        row.edited_by = row.edited_at = None
    else:
        row.origin, row.original = ChunkOrigin.EDITED, original
