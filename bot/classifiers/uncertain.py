"""The messages that teach most when a person labels them.

Uncertainty sampling by margin, made diverse: among the messages whose two best labels lie closest,
those are shown that are unlike the ones already chosen. Nothing is shown twice: what was corrected
or confirmed, and what says the same, is left out.

Source: Scheffer et al., Active Hidden Markov Models for Information Extraction, 2001 (margin);
the choice of unlike ones is our own greedy form of maximal marginal relevance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine, select

from bot.classifiers.intents import same_text
from bot.errors import MessageNotFound
from bot.rows import analysis_from
from bot.tables import LabelCorrectionRow, MessageRow
from bot.types import ConversationId, MessageAnalysis, MessageId, Role
from knowledge.embedding import Vectors

_NEWEST = 2000
_POOL = 60
_MIN_UNCERTAINTY = 0.1
_MAX_CHARS = 2000


@dataclass(frozen=True, slots=True)
class UncertainMessage:
    """A customer's message and how unsure its labels are, in [0, 1].

    Attributes:
        about: `intent` or `complaint`, whichever is less sure.
    """

    message_id: MessageId
    conversation_id: ConversationId
    text: str
    at: datetime
    analysis: MessageAnalysis
    uncertainty: float
    about: str


class UncertainMessages:
    """Finds messages to label among the newest.

    Args:
        engine: The database.
        embed: Gives unit vectors of questions.
    """

    def __init__(self, engine: Engine, *, embed: Callable[[Sequence[str]], Vectors]) -> None:
        self._engine = engine
        self._embed = embed

    def find(self, *, limit: int) -> Sequence[UncertainMessage]:
        """Returns at most `limit` messages, the one that teaches most first."""
        pool: dict[str, UncertainMessage] = {}
        for message in self._unlabelled():
            known = pool.get(same_text(message.text))
            if known is None or known.uncertainty < message.uncertainty:
                pool[same_text(message.text)] = message
        ranked = sorted(pool.values(), key=lambda message: -message.uncertainty)[:_POOL]
        if not ranked:
            return []
        return _diverse(ranked, self._embed([message.text for message in ranked]), limit=limit)

    def analysis(self, message_id: MessageId) -> MessageAnalysis:
        """Returns what was understood of a customer's message; raises `MessageNotFound`."""
        query = select(MessageRow.analysis).where(
            MessageRow.id == message_id, MessageRow.role == Role.CUSTOMER
        )
        with self._engine.connect() as connection:
            stored = connection.execute(query).scalar_one_or_none()
        if stored is None:
            raise MessageNotFound(f"There is no analysed customer message {message_id[:40]!r}.")
        return analysis_from(stored)

    def _unlabelled(self) -> Sequence[UncertainMessage]:
        labelled = select(LabelCorrectionRow.message_id)
        query = (
            select(
                MessageRow.id,
                MessageRow.conversation_id,
                MessageRow.text,
                MessageRow.created_at,
                MessageRow.analysis,
            )
            .where(
                MessageRow.role == Role.CUSTOMER,
                MessageRow.analysis.is_not(None),
                MessageRow.id.not_in(labelled),
            )
            .order_by(MessageRow.created_at.desc(), MessageRow.id)
            .limit(_NEWEST)
        )
        found = []
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                if row.analysis is None or len(row.text) > _MAX_CHARS:
                    continue
                analysis = analysis_from(row.analysis)
                uncertainty, about = unsure(analysis)
                if uncertainty >= _MIN_UNCERTAINTY:
                    message = UncertainMessage(
                        MessageId(row.id),
                        ConversationId(row.conversation_id),
                        row.text,
                        row.created_at,
                        analysis,
                        uncertainty,
                        about,
                    )
                    found.append(message)
        return found


def unsure(analysis: MessageAnalysis) -> tuple[float, str]:
    """Returns how unsure an analysis is, in [0, 1], and about what; 0 where no head looked."""
    intent, complaint = 0.0, 0.0
    if analysis.intent_source == "head" and analysis.intent.confidence > 0:
        scores = sorted((score for _, score in analysis.intent.top), reverse=True)
        best = scores[0] if scores else analysis.intent.confidence
        second = scores[1] if len(scores) > 1 else 1.0 - best
        intent = 1.0 - max(0.0, best - second)
    if analysis.complaint.confidence > 0:
        complaint = 1.0 - abs(2.0 * analysis.complaint.confidence - 1.0)
    return (complaint, "complaint") if complaint > intent else (intent, "intent")


def _diverse(
    ranked: Sequence[UncertainMessage], vectors: Vectors, *, limit: int
) -> Sequence[UncertainMessage]:
    """Takes one after the other what is unsure and unlike what was taken."""
    unsureness = np.array([message.uncertainty for message in ranked])
    nearest = np.zeros(len(ranked))  # cosine to what was taken
    left = np.ones(len(ranked), dtype=bool)
    taken: list[UncertainMessage] = []
    while left.any() and len(taken) < limit:
        worth = np.where(left, unsureness * (1.0 - nearest), -1.0)
        best = int(np.argmax(worth))
        left[best] = False
        taken.append(ranked[best])
        nearest = np.clip(np.maximum(nearest, vectors @ vectors[best]), 0.0, 1.0)
    return taken
