"""Finds passages that answer the same question with different figures, for a person to judge.

Two statements are held against each other when their vectors are near and neither has a nearer
counterpart in the other's document. Rules then take away what is no contradiction: equal figures
in other words, another product, tier, place or day (`contrasts.toml`), table rows of different
keys, documents that are in force at different times. What is left differs in a number, date or
amount. Comparing all with all takes time that grows with the square of the statements: the block
size bounds memory, not time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Engine

from knowledge.claims import is_chinese, words
from knowledge.contrasts import Contrast, load_contrasts
from knowledge.embedding import Embedder, Vectors
from knowledge.quantities import Quantity
from knowledge.statements import Statement, codes_of, key_words, load_statements

_BLOCK = 1024
#: Tuned on the development shop of the tests: see `tests/knowledge/data/conflicts_dev`.
THRESHOLD = 0.55
_LOOSE = 0.3
_WORDS_GAIN = 0.15
_TOPIC_GAIN = 0.05
_OTHER_LANGUAGE_GAIN = 0.05
_SAME_DOCUMENT_LOSS = 0.2
#: Figures further apart than this many times are hardly answers to one question.
_MAX_RATIO = 12.0


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two statements with the figures that differ; `score` says how alike they are."""

    a: Statement
    b: Statement
    figures: tuple[tuple[Quantity, Quantity], ...]
    score: float


class ConflictFinder:
    """Finds contradictions among the live passages.

    Args:
        engine: The database.
        embedder: The embedder that filled it; embeds sentences without their figures.
        threshold: Statements less alike than this are not compared.
        now: The clock that expiry dates are held against.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        embedder: Embedder,
        threshold: float = THRESHOLD,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._embedder = embedder
        self._threshold = threshold
        self._contrasts = load_contrasts()
        self._now = now

    def find(self, *, pause: Callable[[], None] = lambda: None) -> list[Conflict]:
        """Returns the contradictions, the most alike statements first.

        Args:
            pause: Called between small steps; may wait, or raise to give up.
        """
        statements = load_statements(self._engine, embedder=self._embedder.id, now=self._now())
        candidates = list(self._candidates(statements, pause))
        wanted = sorted({n for pair in candidates for n in pair})
        masked = self._masked(statements, wanted, pause)
        judge = _Judge(statements, self._contrasts)
        scored = [
            (self._score(statements[i], statements[j], float(masked[i] @ masked[j])), i, j)
            for i, j in candidates
        ]
        alike = [(score, i, j) for score, i, j in scored if judge.may_conflict(i, j)]
        found = []
        for score, i, j in _mutually_best(alike, statements):
            figures = judge.differing(i, j)
            if score >= self._threshold and figures:
                found.append(Conflict(statements[i], statements[j], figures, score))
        return sorted(found, key=lambda one: -one.score)

    def _candidates(
        self, statements: Sequence[Statement], pause: Callable[[], None]
    ) -> Iterator[tuple[int, int]]:
        """Yields pairs that are loosely alike and share a dimension."""
        if not statements:
            return
        vectors = np.stack([one.vector for one in statements])  # (n, dim)
        dimensions = [{q.dimension for q in one.quantities} for one in statements]
        for first in range(0, len(statements), _BLOCK):
            pause()
            near = vectors[first : first + _BLOCK] @ vectors.T >= _LOOSE  # (block, n)
            for row, column in np.argwhere(near):
                i, j = first + int(row), int(column)
                if i >= j or statements[i].place.chunk_id == statements[j].place.chunk_id:
                    continue
                if dimensions[i] & dimensions[j]:
                    yield i, j

    def _masked(
        self, statements: Sequence[Statement], wanted: Sequence[int], pause: Callable[[], None]
    ) -> dict[int, Vectors]:
        made: dict[int, Vectors] = {}
        for first in range(0, len(wanted), 8):
            pause()
            group = wanted[first : first + 8]
            vectors = self._embedder.embed_queries([statements[n].masked() for n in group])
            made |= dict(zip(group, vectors, strict=True))
        return made

    def _score(self, a: Statement, b: Statement, masked: float) -> float:
        score = (float(a.vector @ b.vector) + masked) / 2
        mine, theirs = words(a.masked()), words(b.masked())
        if mine and theirs:
            score += _WORDS_GAIN * len(mine & theirs) / min(len(mine), len(theirs))
        if self._contrasts[0].named(a.text.lower()) & self._contrasts[0].named(b.text.lower()):
            score += _TOPIC_GAIN
        if is_chinese(a.text) != is_chinese(b.text):
            score += _OTHER_LANGUAGE_GAIN
        if a.place.document_id == b.place.document_id:
            score -= _SAME_DOCUMENT_LOSS
        return score


class _Judge:
    """The rules; holds what they read of each statement."""

    def __init__(self, statements: Sequence[Statement], contrasts: Sequence[Contrast]) -> None:
        self._statements = statements
        self._contrasts = contrasts
        self._keys = _distinctive_keys(statements)

    def may_conflict(self, i: int, j: int) -> bool:
        """True unless the two speak of different things or times."""
        a, b = self._statements[i], self._statements[j]
        return (
            not _apart_in_time(a, b)
            and not _different_codes(a, b)
            and self._same_row(a, b)
            and not any(self._contrasting(one, a, b) for one in self._contrasts)
        )

    def differing(self, i: int, j: int) -> tuple[tuple[Quantity, Quantity], ...]:
        """Returns the pairs of figures that are of one thing and differ."""
        a, b = self._statements[i], self._statements[j]
        found: list[tuple[Quantity, Quantity]] = []
        for dimension in sorted({q.dimension for q in a.quantities}):
            mine = [q for q in a.quantities if q.dimension == dimension]
            theirs = [q for q in b.quantities if q.dimension == dimension]
            only_a = [q for q in mine if not any(q.agrees(other) for other in theirs)]
            only_b = [q for q in theirs if not any(q.agrees(other) for other in mine)]
            pairs = [
                (self._clause_likeness(a, q, b, other), -n, q, other)
                for n, (q, other) in enumerate((q, o) for q in only_a for o in only_b)
                if _comparable(q, other) and not self._clauses_contrast(a, q, b, other)
            ]
            if pairs:
                best = max(pairs, key=lambda pair: pair[:2])
                found.append((best[2], best[3]))
        return tuple(found)

    def _clause_likeness(self, a: Statement, q: Quantity, b: Statement, other: Quantity) -> float:
        mine, theirs = words(a.clause(q)), words(b.clause(other))
        return len(mine & theirs) / max(1, min(len(mine), len(theirs)))

    def _clauses_contrast(self, a: Statement, q: Quantity, b: Statement, other: Quantity) -> bool:
        mine, theirs = a.clause(q).lower(), b.clause(other).lower()
        for contrast in self._contrasts:
            in_a, in_b = contrast.named(mine), contrast.named(theirs)
            if in_a and in_b and not in_a & in_b:
                return True
        return False

    def _contrasting(self, contrast: Contrast, a: Statement, b: Statement) -> bool:
        mine, theirs = f"{a.key} {a.text}".lower(), f"{b.key} {b.text}".lower()
        in_a, in_b = contrast.named(mine), contrast.named(theirs)
        wide_a = in_a or contrast.named(a.place.about.lower())
        wide_b = in_b or contrast.named(b.place.about.lower())
        if in_a and in_b and not in_a & in_b:
            return True
        if (in_a or in_b) and wide_a and wide_b and not wide_a & wide_b:
            return True
        one_sided = contrast.is_special(mine) != contrast.is_special(theirs)
        if not one_sided:
            return False
        other = b if contrast.is_special(mine) else a
        return not contrast.is_special(f"{other.place.about}\n{other.place.text}".lower())

    def _same_row(self, a: Statement, b: Statement) -> bool:
        """A table row is compared only with what names its key."""
        return self._names_key(a, b) and self._names_key(b, a)

    def _names_key(self, row: Statement, other: Statement) -> bool:
        if not row.key:
            return True
        wanted = self._keys.get((row.place.document_id, row.key), frozenset())
        there = key_words(f"{other.key} {other.text} {other.place.title}") | key_words(
            " ".join(other.place.headings)
        )
        return bool(wanted & there)


def _comparable(a: Quantity, b: Quantity) -> bool:
    if a.dimension in ("date", "time"):
        return True
    small, large = sorted((a.high, b.high))
    return small > 0 and large / small <= _MAX_RATIO


def _distinctive_keys(statements: Sequence[Statement]) -> dict[tuple[str, str], frozenset[str]]:
    """Returns what of each table row's key the other rows of its document do not have."""
    keys = {(one.place.document_id, one.key) for one in statements if one.key}
    read = {key: key_words(key[1]) for key in keys}
    return {
        mine: frozenset(
            word
            for word in found
            if not any(
                word in other for key, other in read.items() if key[0] == mine[0] and key != mine
            )
        )
        or found
        for mine, found in read.items()
    }


def _different_codes(a: Statement, b: Statement) -> bool:
    """Two products; what a title names holds for every sentence below it."""
    mine = a.codes or codes_of(f"{a.place.about} {a.place.document}")
    theirs = b.codes or codes_of(f"{b.place.about} {b.place.document}")
    return bool(mine and theirs) and not any(
        one in other or other in one for one in mine for other in theirs
    )


def _apart_in_time(a: Statement, b: Statement) -> bool:
    """True where one document ends before the other begins."""
    return _ends_before(a, b) or _ends_before(b, a)


def _ends_before(first: Statement, second: Statement) -> bool:
    end, begin = first.place.expires_at, second.place.effective_from
    return end is not None and begin is not None and end <= begin


def _mutually_best(
    scored: Sequence[tuple[float, int, int]], statements: Sequence[Statement]
) -> list[tuple[float, int, int]]:
    """Keeps pairs of which each is the other's best within its document."""
    best: dict[tuple[int, str], float] = {}
    for score, i, j in scored:
        for mine, other in ((i, j), (j, i)):
            key = mine, statements[other].place.document_id
            best[key] = max(best.get(key, -1.0), score)
    return [
        (score, i, j)
        for score, i, j in scored
        if score >= best[i, statements[j].place.document_id]
        and score >= best[j, statements[i].place.document_id]
    ]
