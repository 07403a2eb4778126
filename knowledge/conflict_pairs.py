"""Which figures are held against each other, and the signs of each pair.

Only statements of near passages are compared: a search of the vector index gives them, so the
time grows with the number of statements, not with its square.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowledge.conflict_signs import (
    Claim,
    Pair,
    Rarity,
    Read,
    Reader,
    RowKeys,
    apart_in_time,
    different_codes,
    figure_signs,
    meaning_signs,
    statement_signs,
)
from knowledge.contrasts import load_contrasts
from knowledge.embedding import Vectors
from knowledge.quantity import Quantity
from knowledge.statements import Statement

#: Statements less alike are not compared.
LOOSE = 0.25
_GROUP = 8
#: Figures further apart than this many times are hardly answers to one question.
_MAX_RATIO = 12.0
#: Pairs below this strength are not worth embedding their questions.
_PROMISING = 0.4
_NONE = -0.5

Near = Callable[[Vectors, int], Sequence[tuple[int, float]]]
Embed = Callable[[Sequence[str]], Vectors]
OnStep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two different figures of one dimension."""

    a: Claim
    b: Claim
    signs: dict[str, float]


def near_statements(
    statements: Sequence[Statement], near: Near, *, n_chunks: int, on_step: OnStep
) -> list[tuple[int, int, float]]:
    """Returns pairs of statement numbers with their cosine, for those that share a dimension.

    Args:
        statements: All of them.
        near: Finds (chunk id, cosine) pairs of passages near a vector.
        n_chunks: How many passages near each statement are looked at.
        on_step: Told the share that is done; may wait, or raise to give up.
    """
    of_chunk: dict[int, list[int]] = defaultdict(list)
    for number, one in enumerate(statements):
        of_chunk[one.place.chunk_id].append(number)
    dimensions = [{q.dimension for q in one.quantities} for one in statements]
    found: dict[tuple[int, int], float] = {}
    for i, one in enumerate(statements):
        on_step(i / len(statements))
        for chunk_id, _ in near(one.vector, n_chunks):
            if chunk_id == one.place.chunk_id:
                continue
            for j in of_chunk.get(chunk_id, ()):
                pair = (i, j) if i < j else (j, i)
                if pair in found or not dimensions[i] & dimensions[j]:
                    continue
                alike = float(one.vector @ statements[j].vector)
                if alike >= LOOSE:
                    found[pair] = alike
    return [(i, j, alike) for (i, j), alike in sorted(found.items())]


class Comparison:
    """Statements with what was read of them; gives the signs of pairs of their figures."""

    def __init__(self, statements: Sequence[Statement], on_step: OnStep) -> None:
        reader = Reader(load_contrasts())
        self._statements = statements
        self._reads: list[Read] = []
        self.claims: list[list[Claim]] = []
        for number, one in enumerate(statements):
            on_step(number / len(statements))
            self._reads.append(reader.read(one))
            self.claims.append(reader.claims(number, one))
        self._rarity = Rarity(self._reads)
        self._keys = RowKeys(statements)

    def may_conflict(self, i: int, j: int) -> bool:
        """False for two products or rows of a table, and for documents of different times."""
        a, b = self._statements[i], self._statements[j]
        return not (
            different_codes(self._reads[i], self._reads[j])
            or apart_in_time(a, b)
            or (a.place.document_id == b.place.document_id and bool(a.key or b.key))
        )

    def compare(self, pairs: Sequence[tuple[int, int, float]], on_step: OnStep) -> list[Compared]:
        """Returns the pairs of figures with the signs that need no model; all but the hopeless."""
        found: list[Compared] = []
        ranking = _Ranking(self._statements)
        for n, (i, j, alike) in enumerate(pairs):
            on_step(n / len(pairs))
            a, b = self._statements[i], self._statements[j]
            pair = Pair(a, b, self._reads[i], self._reads[j], alike)
            shared = statement_signs(pair, self._rarity, self._keys)
            if shared["contrast"] or shared["special"]:
                continue
            for mine, theirs in self._figures(i, j):
                one = Compared(mine, theirs, shared | figure_signs(mine, theirs))
                agrees = mine.quantity.agrees(theirs.quantity)
                ranking.add(one, agrees=agrees)
                if not agrees and strength_of(one.signs) >= _PROMISING:
                    found.append(one)
        for one in found:
            one.signs.update(ranking.signs(one))
        return found

    def ask(self, found: Sequence[Compared], embed: Embed, on_step: OnStep) -> None:
        """Adds how well the statements of each pair answer each other's question."""
        questions = list(dict.fromkeys(side.question for one in found for side in (one.a, one.b)))
        asked: dict[str, Vectors] = {}
        for first in range(0, len(questions), _GROUP):
            on_step(first / len(questions))
            group = questions[first : first + _GROUP]
            asked |= dict(zip(group, embed(group), strict=True))
        for one in found:
            said = [self._statements[side.statement].vector for side in (one.a, one.b)]
            vectors = asked[one.a.question], asked[one.b.question]
            one.signs.update(meaning_signs(vectors, (said[0], said[1])))

    def _figures(self, i: int, j: int) -> Iterator[tuple[Claim, Claim]]:
        """Yields figures of one dimension; one that has its equal differs from no other there."""
        for mine in self.claims[i]:
            for theirs in self.claims[j]:
                if _comparable(mine.quantity, theirs.quantity) and (
                    mine.quantity.agrees(theirs.quantity)
                    or not (_has_equal(mine, self.claims[j]) or _has_equal(theirs, self.claims[i]))
                ):
                    yield mine, theirs


def _comparable(a: Quantity, b: Quantity) -> bool:
    if a.dimension != b.dimension:
        return False
    if a.dimension in ("date", "time", "month day"):
        return True
    if a.unit != b.unit and a.dimension == "count:piece" and "piece" not in (a.unit, b.unit):
        return False  # racks and spaces
    small, large = sorted((a.high, b.high))
    return small > 0 and large / small <= _MAX_RATIO


def _has_equal(one: Claim, others: Sequence[Claim]) -> bool:
    return any(one.quantity.agrees(other.quantity) for other in others)


def strength_of(signs: Mapping[str, float]) -> float:
    """Returns how promising a pair is before anything is embedded for it."""
    return (
        signs["place"]
        + 0.4 * signs["shared"]
        - 0.12 * (1 - signs["key"])
        - 0.15 * signs["names_clash"]
        - 0.1 * max(0.0, signs["ratio"] - 1)
    )


@dataclass(frozen=True, slots=True)
class _Rivals:
    """How much stronger the other pairs of a figure are, at best; `equal` where figures agree."""

    best: float
    n_better: int
    equal: float
    equal_there: float


class _Ranking:
    """How pairs stand among the other pairs of their figures.

    A figure that agrees with a nearer one of the same document is no contradiction of another
    one there; and what has many nearer rivals is rarely about this one.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        self._documents = [one.place.document_id for one in statements]
        self._of_claim: dict[int, list[tuple[int, float, bool]]] = defaultdict(list)

    def add(self, one: Compared, *, agrees: bool) -> None:
        """Takes a pair in; all must be in before one is asked for."""
        strength = strength_of(one.signs)
        self._of_claim[id(one.a)].append((one.b.statement, strength, agrees))
        self._of_claim[id(one.b)].append((one.a.statement, strength, agrees))

    def signs(self, one: Compared) -> dict[str, float]:
        """Returns the signs of a pair's standing."""
        strength = strength_of(one.signs)
        sides = [
            self._rivals(mine, other.statement, strength)
            for mine, other in ((one.a, one.b), (one.b, one.a))
        ]
        return {
            "rival": max(side.best for side in sides),
            "rival_least": min(side.best for side in sides),
            "rank": math.log1p(max(side.n_better for side in sides)),
            "rank_least": math.log1p(min(side.n_better for side in sides)),
            "equal": max(side.equal for side in sides),
            "equal_there": max(side.equal_there for side in sides),
        }

    def _rivals(self, mine: Claim, other: int, strength: float) -> _Rivals:
        best, equal, there, n_better = _NONE, _NONE, _NONE, 0
        for rival, its_strength, agrees in self._of_claim[id(mine)]:
            if rival == other:
                continue
            gap = its_strength - strength
            if not agrees:
                best, n_better = max(best, gap), n_better + (gap > 0)
                continue
            equal = max(equal, gap)
            if self._documents[rival] == self._documents[other]:
                there = max(there, gap)
        return _Rivals(best, n_better, equal, there)
