"""Questions that lead to a passage: by hand, or proposed by a model and approved by a person.

An approved question has a vector of its own in the dense index and its words join the passage's
in the lexical one, so a passage is also found by words that it does not hold itself. Questions
are embedded as passages are: their cosines then lie on the scale that relevance was fitted on.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
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
#: How many passages a statement asks for; SQLite allows 32,766 bound values.
_GROUP = 500


class QuestionWriter(Protocol):
    """Proposes questions that a passage answers."""

    def write(self, chunk: Chunk, *, limit: int, known: Collection[str] = ()) -> Sequence[str]:
        """Returns up to `limit` questions in each language, none of `known`; perhaps none."""
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
        """Attaches questions and returns all of the passage; raises as `add_all` does."""
        self.add_all({chunk_id: texts}, author=author, state=state)
        return self.of_chunk(chunk_id)

    def add_all(
        self,
        asked: Mapping[ChunkId, Sequence[str]],
        *,
        author: str,
        state: QuestionState = QuestionState.APPROVED,
    ) -> int:
        """Attaches questions to many passages at once; one that a passage has is not doubled.

        All or none, with one run of the embedder, one transaction and one change of the indexes:
        each of these costs more than a question does.

        Returns:
            How many were new.

        Raises:
            ChunkNotFound: a passage is not live.
            EditRejected: a question is empty or too long, or a passage would have too many.
        """
        given = {
            id: dict.fromkeys(checked_question(text) for text in texts)
            for id, texts in asked.items()
        }
        with Session(self._engine) as session:
            had = _texts(session, given)
        wanted = [(id, text) for id in given for text in given[id] if text not in had.get(id, ())]
        vectors = self._embedder.embed_passages([text for _, text in wanted])  # (n, dim)
        with Session(self._engine) as session, session.begin():
            for id in given:
                live_row(session, id)
            known = _texts(session, given)
            rows = [
                ChunkQuestionRow(
                    chunk_id=id, text=text, state=state, author=author,
                    created_at=datetime.now(UTC), embedder=self._embedder.id,
                    embedding=encode_vector(vector),
                )
                for (id, text), vector in zip(wanted, vectors, strict=True)
                if text not in known.get(id, ())
            ]  # fmt: skip
            new = Counter(row.chunk_id for row in rows)
            _refuse_too_many(new, known)
            session.add_all(rows)
            if state is QuestionState.APPROVED:
                record_changes(session, sorted(new), "add")
        self._indexes.refresh()
        return len(rows)

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
        return self.find_passages(document, [quote])[0]

    def find_passages(
        self, document: DocumentId, quotes: Sequence[str]
    ) -> Sequence[ChunkId | None]:
        """Returns what `find_passage` does for each quote, reading the document once."""
        query = (
            select(ChunkRow.id, ChunkRow.text)
            .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
            .where(ChunkRow.document_id == document, ChunkRow.version == DocumentRow.version)
            .order_by(ChunkRow.ordinal)
        )
        with Session(self._engine) as session:
            passages = [(ChunkId(id), _bare(text)) for id, text in session.execute(query)]
        wanted = map(_bare, quotes)
        return [next((id for id, text in passages if quote in text), None) for quote in wanted]


def _of_chunk(chunk_id: ChunkId) -> Select[ChunkQuestionRow]:
    return (
        select(ChunkQuestionRow)
        .where(ChunkQuestionRow.chunk_id == chunk_id)
        .order_by(ChunkQuestionRow.id)
    )


def _texts(session: Session, chunk_ids: Iterable[ChunkId]) -> dict[int, set[str]]:
    """Returns the questions that passages have, by passage."""
    ids = list(chunk_ids)
    found: dict[int, set[str]] = {}
    for first in range(0, len(ids), _GROUP):
        query = select(ChunkQuestionRow.chunk_id, ChunkQuestionRow.text).where(
            ChunkQuestionRow.chunk_id.in_(ids[first : first + _GROUP])
        )
        for id, text in session.execute(query):
            found.setdefault(id, set()).add(text)
    return found


def _refuse_too_many(new: Mapping[int, int], known: Mapping[int, Collection[str]]) -> None:
    for id, n_new in new.items():
        n_all = n_new + len(known.get(id, ()))
        if n_all > MAX_QUESTIONS:
            raise EditRejected(
                f"A passage takes at most {MAX_QUESTIONS} questions; "
                f"passage {id} would have {n_all}. Remove some first."
            )


def _bare(text: str) -> str:
    return "".join(text.split())


def _row(session: Session, question_id: int) -> ChunkQuestionRow:
    row = session.get(ChunkQuestionRow, question_id)
    if row is None:
        raise ChunkNotFound(f"There is no question {question_id!r}.")
    live_row(session, ChunkId(row.chunk_id))
    return row


def checked_question(text: str) -> str:
    """Returns a question without needless white space; raises `EditRejected` for a useless one."""
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
