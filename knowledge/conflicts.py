"""Finds passages that answer the same question with different figures, for a person to judge.

Each figure of a sentence answers a question: the sentence with the figure asked for. Two figures
are of one thing where each sentence answers the other's question, and nothing tells the two
apart: another product, tier, place or day (`contrasts.toml`), a condition that only one side
has, a figure elsewhere in the same document that agrees. `conflict_model` weighs these signs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from knowledge.conflict_model import ConflictModel
from knowledge.conflict_pairs import Compared, Comparison, Near, OnStep, near_statements
from knowledge.conflict_signs import as_row
from knowledge.embedding import Embedder
from knowledge.quantity import Quantity
from knowledge.statements import Statement, load_statements

_N_NEAR = 24
#: Shares of the work: reading, near passages, comparing, questions.
_STEPS = (0.05, 0.25, 0.35, 1.0)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two statements with the figures that differ; `score` is how likely they contradict."""

    a: Statement
    b: Statement
    figures: tuple[tuple[Quantity, Quantity], ...]
    score: float


class ConflictFinder:
    """Finds contradictions among the live passages.

    Args:
        engine: The database.
        embedder: The embedder that filled it; embeds the questions that figures answer.
        near: Finds (chunk id, cosine) pairs of the passages near a vector.
        model: Weighs the signs; the one that ships with the package where none is given.
        now: The clock that expiry dates are held against.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        embedder: Embedder,
        near: Near,
        model: ConflictModel | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._embedder = embedder
        self._near = near
        self._model = model or ConflictModel.load()
        self._now = now

    def find(self, *, on_step: OnStep = lambda _: None) -> list[Conflict]:
        """Returns the contradictions, the likeliest first.

        Args:
            on_step: Told the share that is done between small steps; may wait, or raise to
                give up.
        """
        statements = load_statements(
            self._engine, embedder=self._embedder.id, now=self._now(), pause=lambda: on_step(0.0)
        )
        if not statements:
            return []
        compared = self.compared(statements, on_step)
        return best_conflicts(compared, statements, self._model)

    def compared(self, statements: Sequence[Statement], on_step: OnStep) -> list[Compared]:
        """Returns every pair of figures that was compared, with its signs."""
        comparison = Comparison(statements, _part(on_step, 0.0, _STEPS[0]))
        pairs = near_statements(
            statements, self._near, n_chunks=_N_NEAR, on_step=_part(on_step, *_STEPS[:2])
        )
        pairs = [pair for pair in pairs if comparison.may_conflict(pair[0], pair[1])]
        found = comparison.compare(pairs, _part(on_step, *_STEPS[1:3]))
        comparison.ask(found, self._embedder.embed_queries, _part(on_step, *_STEPS[2:]))
        return found


def best_conflicts(
    compared: Sequence[Compared], statements: Sequence[Statement], model: ConflictModel
) -> list[Conflict]:
    """Returns pairs of statements above the threshold, each the other's best in its document."""
    rows = [as_row(one.signs, model.names) for one in compared]
    scored: dict[tuple[int, int], list[tuple[float, Compared]]] = {}
    for score, one in zip(model.probabilities(rows).tolist(), compared, strict=True):
        pair = one.a.statement, one.b.statement
        scored.setdefault(pair, []).append((score, one))
    best = {pair: max(score for score, _ in found) for pair, found in scored.items()}
    found = []
    for i, j in _mutually_best(best, statements):
        if best[i, j] >= model.threshold:
            figures = _figures(scored[i, j])
            found.append(Conflict(statements[i], statements[j], figures, best[i, j]))
    return sorted(found, key=lambda one: -one.score)


def _figures(scored: Sequence[tuple[float, Compared]]) -> tuple[tuple[Quantity, Quantity], ...]:
    """Returns the likeliest pair of figures of each dimension, the likeliest dimension first."""
    shown: dict[str, tuple[Quantity, Quantity]] = {}
    for _, one in sorted(scored, key=lambda pair: -pair[0]):
        shown.setdefault(one.a.quantity.dimension, (one.a.quantity, one.b.quantity))
    return tuple(shown.values())[:1]


def _mutually_best(
    best: dict[tuple[int, int], float], statements: Sequence[Statement]
) -> list[tuple[int, int]]:
    """Keeps pairs of which each is the other's best within its document."""
    most: dict[tuple[int, str], float] = {}
    for (i, j), score in best.items():
        for mine, other in ((i, j), (j, i)):
            key = mine, statements[other].place.document_id
            most[key] = max(most.get(key, -1.0), score)
    return [
        (i, j)
        for (i, j), score in best.items()
        if score >= most[i, statements[j].place.document_id]
        and score >= most[j, statements[i].place.document_id]
    ]


def _part(on_step: OnStep, start: float, end: float) -> OnStep:
    return lambda share: on_step(start + (end - start) * share)
