"""Questions that lead to a passage: by hand, or proposed by a model and approved by a person.

An approved question has a vector of its own in the dense index and its words join the passage's
in the lexical one, so a passage is also found by words that it does not hold itself. Questions
are embedded as passages are: their cosines then lie on the scale that relevance was fitted on.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from knowledge.chunk_edits import live_row
from knowledge.embedding import Embedder
from knowledge.errors import ChunkNotFound, EditRejected
from knowledge.live_chunks import encode_vector, record_changes
from knowledge.search_indexes import SearchIndexes
from knowledge.tables import ChunkQuestionRow, ChunkRow, DocumentRow
from knowledge.types import Chunk, ChunkId, ChunkQuestion, DocumentId, QuestionState

MAX_QUESTION_CHARS = 300
MAX_QUESTIONS = 40


class QuestionWriter(Protocol):
    """Proposes questions that a passage answers."""

    def write(self, chunk: Chunk, *, limit: int) -> Sequence[str]:
        """Returns up to `limit` questions, none where it has no idea."""
        ...


class QuestionStore:
    """Attaches questions to passages of live documents.

    Args:
        engine: The database.
        indexes: Brought up to date in this process before a change counts as done.
        embedder: Embeds approved questions.
    """

    def __init__(self, engine: Engine, indexes: SearchIndexes, *, embedder: Embedder) -> None:
        self._engine = engine
        self._indexes = indexes
        self._embedder = embedder

    def of_chunk(self, chunk_id: ChunkId) -> Sequence[ChunkQuestion]:
        """Returns a passage's questions, the oldest first; raises `ChunkNotFound`."""
        with Session(self._engine) as session:
            live_row(session, chunk_id)
            return [_question(row) for row in session.scalars(_of_chunk(chunk_id))]

    def of_document(self, document_id: DocumentId) -> dict[ChunkId, list[ChunkQuestion]]:
        """Returns the questions of all passages of a document, by passage."""
        query = (
            select(ChunkQuestionRow)
            .join(ChunkRow, ChunkRow.id == ChunkQuestionRow.chunk_id)
            .where(ChunkRow.document_id == document_id)
            .order_by(ChunkQuestionRow.id)
        )
        found: dict[ChunkId, list[ChunkQuestion]] = {}
        with Session(self._engine) as session:
            for row in session.scalars(query):
                found.setdefault(ChunkId(row.chunk_id), []).append(_question(row))
        return found

    def add(
        self,
        chunk_id: ChunkId,
        texts: Sequence[str],
        *,
        author: str,
        state: QuestionState = QuestionState.APPROVED,
    ) -> Sequence[ChunkQuestion]:
        """Attaches questions and returns all of the passage; one that it has is not doubled.

        Raises:
            ChunkNotFound: no live passage of that id.
            EditRejected: a question is empty or too long, or there are too many.
        """
        with Session(self._engine) as session:
            had = {row.text for row in session.scalars(_of_chunk(chunk_id))}
        given = dict.fromkeys(_checked(text) for text in texts)
        wanted = [text for text in given if text not in had]
        vectors = self._embedder.embed_passages(wanted)  # (n, dim)
        with Session(self._engine) as session, session.begin():
            live_row(session, chunk_id)
            known = {row.text for row in session.scalars(_of_chunk(chunk_id))}
            new = [pair for pair in zip(wanted, vectors, strict=True) if pair[0] not in known]
            if len(known) + len(new) > MAX_QUESTIONS:
                raise EditRejected(f"A passage takes at most {MAX_QUESTIONS} questions.")
            for text, vector in new:
                session.add(
                    ChunkQuestionRow(
                        chunk_id=chunk_id, text=text, state=state, author=author,
                        created_at=datetime.now(UTC), embedder=self._embedder.id,
                        embedding=encode_vector(vector),
                    )
                )  # fmt: skip
            if state is QuestionState.APPROVED and new:
                record_changes(session, [chunk_id], "add")
        self._indexes.refresh()
        return self.of_chunk(chunk_id)

    def approve(self, question_id: int) -> ChunkQuestion:
        """Lets a proposed question be searched; raises `ChunkNotFound`."""
        with Session(self._engine) as session, session.begin():
            row = _row(session, question_id)
            if row.embedding is None or row.embedder != self._embedder.id:
                row.embedding = encode_vector(self._embedder.embed_passages([row.text])[0])
                row.embedder = self._embedder.id
            row.state = QuestionState.APPROVED
            session.flush()
            record_changes(session, [row.chunk_id], "add")
            approved = _question(row)
        self._indexes.refresh()
        return approved

    def remove(self, question_id: int) -> None:
        """Takes a question away, or turns a proposal down; raises `ChunkNotFound`."""
        with Session(self._engine) as session, session.begin():
            row = _row(session, question_id)
            record_changes(session, [row.chunk_id], "add")
            session.delete(row)
        self._indexes.refresh()

    def find_passage(self, document: DocumentId, quote: str) -> ChunkId | None:
        """Returns the first live passage of a document that holds `quote` but for white space."""
        wanted = "".join(quote.split())
        query = (
            select(ChunkRow.id, ChunkRow.text)
            .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
            .where(ChunkRow.document_id == document, ChunkRow.version == DocumentRow.version)
            .order_by(ChunkRow.ordinal)
        )
        with Session(self._engine) as session:
            for id, text in session.execute(query):
                if wanted in "".join(text.split()):
                    return ChunkId(id)
        return None


def _of_chunk(chunk_id: ChunkId) -> Select[ChunkQuestionRow]:
    return (
        select(ChunkQuestionRow)
        .where(ChunkQuestionRow.chunk_id == chunk_id)
        .order_by(ChunkQuestionRow.id)
    )


def _row(session: Session, question_id: int) -> ChunkQuestionRow:
    row = session.get(ChunkQuestionRow, question_id)
    if row is None:
        raise ChunkNotFound(f"There is no question {question_id!r}.")
    live_row(session, ChunkId(row.chunk_id))
    return row


def _checked(text: str) -> str:
    cleaned = " ".join(text.replace("\0", "").split())
    if not cleaned or len(cleaned) > MAX_QUESTION_CHARS:
        raise EditRejected(
            f"Expected a question of 1 to {MAX_QUESTION_CHARS} characters, got {len(cleaned)}."
        )
    return cleaned


def _question(row: ChunkQuestionRow) -> ChunkQuestion:
    return ChunkQuestion(
        id=row.id,
        chunk_id=ChunkId(row.chunk_id),
        text=row.text,
        state=QuestionState(row.state),
        author=row.author,
        created_at=row.created_at,
    )
