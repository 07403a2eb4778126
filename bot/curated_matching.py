"""Which curated answer a question gets, if any: nearly the same question, and no other figures.

Question and variants are embedded alike. A pair of questions that differ in a number, a product
code or a "not" lie very near each other and want different answers, so these are compared apart.
"""

import re
from dataclasses import dataclass
from threading import Lock

import numpy as np
from sqlalchemy import Engine, func, select

from bot.tables import CuratedAnswerRow, CuratedQuestionRow
from knowledge.embedding import Embedder, Vectors
from knowledge.live_chunks import decode_vector, encode_vector

_FIGURE = re.compile(r"[A-Za-z]*\d[A-Za-z0-9.]*")
_WHETHER = re.compile(r"(.)[不没]\1")  # 能不能, 有没有: a question, not a denial
_DENIAL = re.compile(r"[不没無无非未]|\b(?:not|no|never|without|cannot)\b|n't\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CuratedMatch:
    """The answer for a question, and the variant that it came nearest to."""

    answer_id: str
    text: str
    question: str
    similarity: float


@dataclass(frozen=True, slots=True)
class _Variants:
    """All variants of the enabled answers, as one matrix."""

    stamp: object
    rows: tuple[tuple[str, str, str, str], ...]  # answer id, language, answer, question
    vectors: Vectors  # (n, dim)


class CuratedMatcher:
    """Finds the curated answer of a question; safe to call from several threads.

    Variants are held in memory and read again when any process changed an answer.

    Args:
        engine: The database.
        embedder: Embeds questions.
        threshold: Cosine of question and variant from which the answer is given.
    """

    def __init__(self, engine: Engine, *, embedder: Embedder, threshold: float) -> None:
        self._engine = engine
        self._embedder = embedder
        self._threshold = threshold
        self._held: _Variants | None = None
        self._lock = Lock()

    def match(self, question: str, language: str) -> CuratedMatch | None:
        """Returns the answer in that language (zh or en) for a question, or None."""
        held = self._variants()
        rows = [i for i, row in enumerate(held.rows) if row[1] == language]
        if not rows or not question.strip():
            return None
        query = self._embedder.embed_queries([question])[0]  # (dim,)
        cosines = held.vectors[rows] @ query  # (n,)
        for place in np.argsort(-cosines):
            similarity = float(cosines[place])
            if similarity < self._threshold:
                return None
            answer_id, _, text, variant = held.rows[rows[int(place)]]
            if asks_alike(question, variant):
                return CuratedMatch(answer_id, text, variant, round(similarity, 4))
        return None

    def _variants(self) -> _Variants:
        answers, questions = CuratedAnswerRow, CuratedQuestionRow
        newest = select(func.count(answers.id), func.max(answers.updated_at))
        with self._lock, self._engine.connect() as connection:
            stamp = tuple(connection.execute(newest).one())
            if self._held is not None and self._held.stamp == stamp:
                return self._held
            found = connection.execute(
                select(
                    answers.id,
                    answers.language,
                    answers.text,
                    questions.text.label("question"),
                    questions.embedder,
                    questions.embedding,
                )
                .join(questions, questions.answer_id == answers.id)
                .where(answers.enabled)
                .order_by(questions.id)
            ).all()
            stored = [
                decode_vector(
                    row.embedding
                    if row.embedder == self._embedder.id
                    else encode_vector(self._embedder.embed_queries([row.question])[0])
                )
                for row in found
            ]
            dim = self._embedder.dim
            vectors = np.stack(stored) if stored else np.empty((0, dim), dtype=np.float32)
            rows = tuple((row.id, row.language, row.text, row.question) for row in found)
            self._held = _Variants(stamp, rows, vectors)
            return self._held


def asks_alike(question: str, variant: str) -> bool:
    """True unless one has a number, code or denial that the other has not."""
    return _figures(question) == _figures(variant) and _denies(question) == _denies(variant)


def _figures(text: str) -> frozenset[str]:
    return frozenset(found.strip(".").lower() for found in _FIGURE.findall(text))


def _denies(text: str) -> bool:
    return len(_DENIAL.findall(_WHETHER.sub("", text))) % 2 == 1
