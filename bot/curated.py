"""Curated answers: approved texts, the ways to ask for them, and when they were given.

Rows ↔ values; `bot.curated_matching` decides which answer a question gets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.orm import Session

from bot.errors import CuratedAnswerNotFound, CuratedAnswerRejected
from bot.tables import CuratedAnswerRow, CuratedHitRow, CuratedQuestionRow
from knowledge.embedding import Embedder
from knowledge.live_chunks import encode_vector

MAX_ANSWER_CHARS = 4000
MAX_QUESTION_CHARS = 300
MAX_QUESTIONS = 50
_LANGUAGES = ("zh", "en")


@dataclass(frozen=True, slots=True)
class CuratedDraft:
    """What a person writes: the text, its language (zh or en) and the ways to ask for it."""

    language: str
    text: str
    questions: tuple[str, ...]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class CuratedAnswer:
    """An approved text with the ways to ask for it and how often it was given."""

    id: str
    language: str
    text: str
    questions: tuple[str, ...]
    enabled: bool
    author: str
    created_at: datetime
    updated_at: datetime
    n_hits: int = 0


@dataclass(frozen=True, slots=True)
class CuratedHit:
    """One time that a curated answer was given."""

    at: datetime
    query: str
    question: str  # the variant that came nearest
    similarity: float
    conversation_id: str
    message_id: str


class CuratedStore:
    """Keeps curated answers.

    Args:
        engine: The database.
        embedder: Embeds the questions as questions.
    """

    def __init__(self, engine: Engine, *, embedder: Embedder) -> None:
        self._engine = engine
        self._embedder = embedder

    def list(self) -> Sequence[CuratedAnswer]:
        """Returns all answers, the one changed last first."""
        query = select(CuratedAnswerRow).order_by(
            CuratedAnswerRow.updated_at.desc(), CuratedAnswerRow.id
        )
        with Session(self._engine) as session:
            return [_answer(session, row) for row in session.scalars(query)]

    def get(self, answer_id: str) -> CuratedAnswer:
        """Returns one answer; raises `CuratedAnswerNotFound`."""
        with Session(self._engine) as session:
            return _answer(session, _row(session, answer_id))

    def create(self, draft: CuratedDraft, *, author: str) -> CuratedAnswer:
        """Adds an answer; raises `CuratedAnswerRejected` when a part is empty or too long."""
        draft, now = _checked(draft), datetime.now(UTC)
        row = CuratedAnswerRow(id=uuid4().hex, created_at=now)
        return self._save(row, draft, author)

    def update(self, answer_id: str, draft: CuratedDraft, *, author: str) -> CuratedAnswer:
        """Replaces an answer's text and questions; raises as `create` and `get` do."""
        draft = _checked(draft)
        with Session(self._engine) as session:
            row = _row(session, answer_id)
        return self._save(row, draft, author)

    def delete(self, answer_id: str) -> None:
        """Takes an answer away with its history; raises `CuratedAnswerNotFound`."""
        with Session(self._engine) as session, session.begin():
            session.delete(_row(session, answer_id))

    def record_hit(self, answer_id: str, hit: CuratedHit) -> None:
        """Adds to the history of an answer, unless it was deleted meanwhile."""
        with Session(self._engine) as session, session.begin():
            if session.get(CuratedAnswerRow, answer_id) is not None:
                session.add(
                    CuratedHitRow(
                        answer_id=answer_id, at=hit.at, query=hit.query, question=hit.question,
                        similarity=hit.similarity, conversation_id=hit.conversation_id,
                        message_id=hit.message_id,
                    )
                )  # fmt: skip

    def history(self, answer_id: str, *, limit: int) -> tuple[Sequence[CuratedHit], int]:
        """Returns the newest hits of an answer, and how many there are in all."""
        mine = CuratedHitRow.answer_id == answer_id
        query = select(CuratedHitRow).where(mine).order_by(CuratedHitRow.id.desc()).limit(limit)
        with Session(self._engine) as session:
            _row(session, answer_id)
            total = session.scalar(select(func.count(CuratedHitRow.id)).where(mine)) or 0
            hits = [
                CuratedHit(
                    at=row.at,
                    query=row.query,
                    question=row.question,
                    similarity=row.similarity,
                    conversation_id=row.conversation_id,
                    message_id=row.message_id,
                )
                for row in session.scalars(query)
            ]
        return hits, total

    def _save(self, row: CuratedAnswerRow, draft: CuratedDraft, author: str) -> CuratedAnswer:
        vectors = self._embedder.embed_queries(list(draft.questions))  # (n, dim)
        with Session(self._engine) as session, session.begin():
            row = session.merge(row)
            row.language, row.text, row.enabled = draft.language, draft.text, draft.enabled
            row.author, row.updated_at = author, datetime.now(UTC)
            session.flush()
            session.execute(
                delete(CuratedQuestionRow).where(CuratedQuestionRow.answer_id == row.id)
            )
            session.execute(
                insert(CuratedQuestionRow),
                [
                    {
                        "answer_id": row.id,
                        "text": text,
                        "embedder": self._embedder.id,
                        "embedding": encode_vector(vector),
                    }
                    for text, vector in zip(draft.questions, vectors, strict=True)
                ],
            )
            return _answer(session, row)


def _checked(draft: CuratedDraft) -> CuratedDraft:
    text = draft.text.replace("\0", "").strip()
    cleaned = (" ".join(question.replace("\0", "").split()) for question in draft.questions)
    questions = tuple(dict.fromkeys(question for question in cleaned if question))
    if draft.language not in _LANGUAGES:
        raise CuratedAnswerRejected(f"Expected the language zh or en, got {draft.language!r}.")
    if not 0 < len(text) <= MAX_ANSWER_CHARS:
        raise CuratedAnswerRejected(
            f"Expected an answer of 1 to {MAX_ANSWER_CHARS} characters, got {len(text)}."
        )
    if not 0 < len(questions) <= MAX_QUESTIONS:
        raise CuratedAnswerRejected(
            f"Expected 1 to {MAX_QUESTIONS} questions, one a line, got {len(questions)}."
        )
    if any(len(question) > MAX_QUESTION_CHARS for question in questions):
        raise CuratedAnswerRejected(f"A question has at most {MAX_QUESTION_CHARS} characters.")
    return CuratedDraft(draft.language, text, questions, draft.enabled)


def _row(session: Session, answer_id: str) -> CuratedAnswerRow:
    row = session.get(CuratedAnswerRow, answer_id)
    if row is None:
        raise CuratedAnswerNotFound(f"There is no curated answer {answer_id!r}.")
    return row


def _answer(session: Session, row: CuratedAnswerRow) -> CuratedAnswer:
    questions = (
        select(CuratedQuestionRow.text)
        .where(CuratedQuestionRow.answer_id == row.id)
        .order_by(CuratedQuestionRow.id)
    )
    hits = select(func.count(CuratedHitRow.id)).where(CuratedHitRow.answer_id == row.id)
    return CuratedAnswer(
        id=row.id,
        language=row.language,
        text=row.text,
        questions=tuple(session.scalars(questions)),
        enabled=row.enabled,
        author=row.author,
        created_at=row.created_at,
        updated_at=row.updated_at,
        n_hits=session.scalar(hits) or 0,
    )
