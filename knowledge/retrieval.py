"""The search flow: embed → dense and lexical candidates → fuse → look up → judge.

Hits are looked up in the database at the very end, so whatever was removed, replaced or disabled
a moment ago, by any process, is not returned even if an index still knows it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log
from time import perf_counter

from sqlalchemy import Engine

from knowledge.embedding import Embedder, Vectors
from knowledge.fusion import reciprocal_rank_fusion
from knowledge.live_chunks import LiveChunk, load_live, passage_text
from knowledge.relevance import N_PASSAGES, Evidence, RelevanceModel, features, word_share
from knowledge.search_indexes import SearchIndexes
from knowledge.types import Audience, Retrieval, ScoredChunk

logger = logging.getLogger(__name__)

#: How often the candidates are widened when too many of them turned out to be gone.
_MAX_ROUNDS = 4
#: A passage that has all words of the question counts as much as this many by vector, so that a
#: code alone leads to its passage; with half of the words, an eighth of it, because the words
#: that customers' questions happen to share with passages are mostly noise. Measured on the demo
#: company and six sets of public questions.
_WORDS_WEIGHT = 1.5
_WORDS_POWER = 3
_MAX_WORD_VOTES = 10


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """How much a search looks at and gives back.

    Args:
        top_k: Passages returned when the caller does not say.
        candidates: Passages taken from each index before fusion.
    """

    top_k: int
    candidates: int

    def __post_init__(self) -> None:
        if self.top_k < 1 or self.candidates < 1:
            raise ValueError(f"Expected positive numbers, got {self!r}.")


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Candidates of both indexes and their fusion, all best first."""

    dense: list[tuple[int, float]]
    lexical: list[tuple[int, float]]
    fused: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How many passages, and for whom."""

    top_k: int
    audience: Audience


class HybridRetriever:
    """Finds the passages of live documents that fit a question best.

    Args:
        engine: The database, for looking hits up.
        indexes: Open indexes of this process.
        embedder: The embedder that filled them.
        options: Sizes.
        relevance: Judges what was found.
        now: The clock that effective and expiry dates are held against.
    """

    def __init__(
        self,
        engine: Engine,
        indexes: SearchIndexes,
        *,
        embedder: Embedder,
        options: RetrievalOptions,
        relevance: RelevanceModel,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._indexes = indexes
        self._embedder = embedder
        self._options = options
        self._relevance = relevance
        self._now = now
        if relevance.embedder != embedder.id:
            logger.warning(
                "relevance was fitted for embedder %s, not %s", relevance.embedder, embedder.id
            )

    def search(
        self, query: str, *, top_k: int | None = None, audience: Audience = Audience.CUSTOMER
    ) -> Retrieval:
        """Returns the best `top_k` passages, how sure we are of them, and the time per stage.

        Who does not say `audience` gets what customers may see.
        """
        clock = _Clock()
        wanted = top_k or self._options.top_k
        self._indexes.catch_up()
        clock.lap("refresh")
        if not query.strip() or not len(self._indexes):
            return Retrieval(query=query, hits=(), relevance=0.0, timings_ms=clock.finish())
        vector = self._embedder.embed_queries([query])[0]  # (dim,)
        clock.lap("embed")
        ranked, live = self._find(query, vector, _Wanted(wanted, audience), clock)
        hits = _hits(ranked, live, wanted)
        relevance = self._relevance.predict(features(self._evidence(query, ranked, hits)))
        clock.lap("relevance")
        return Retrieval(query=query, hits=hits, relevance=relevance, timings_ms=clock.finish())

    def _find(
        self, query: str, vector: Vectors, wanted: "_Wanted", clock: "_Clock"
    ) -> tuple[_Ranked, dict[int, LiveChunk]]:
        """Returns live candidates; looks further while hits that are gone starve the result."""
        now = self._now()
        n_candidates = max(self._options.candidates, wanted.top_k)
        for round_ in range(_MAX_ROUNDS):
            dense = self._indexes.search_dense(vector, n_candidates)
            clock.lap("dense")
            lexical = self._indexes.search_lexical(query, n_candidates)
            clock.lap("lexical")
            ids = {id for id, _ in dense} | {id for id, _ in lexical}
            live = load_live(self._engine, sorted(ids), audience=wanted.audience, now=now)
            dense = [pair for pair in dense if pair[0] in live]
            lexical = [pair for pair in lexical if pair[0] in live]
            votes = [(id, 1.0) for id, _ in dense]
            words = self._word_votes(query, lexical[:_MAX_WORD_VOTES], live)
            fused = reciprocal_rank_fusion([votes, words])
            clock.lap("fuse")
            seen_all = n_candidates >= len(self._indexes)
            if len(fused) >= wanted.top_k or seen_all or round_ == _MAX_ROUNDS - 1:
                break
            n_candidates *= 4
        return _Ranked(dense, lexical, fused), live

    def _word_votes(
        self, query: str, lexical: Sequence[tuple[int, float]], live: dict[int, LiveChunk]
    ) -> list[tuple[int, float]]:
        """Returns each passage with a weight by the share of the question's words it has."""
        rarities, split = self._rarities(query), self._indexes.words.split
        votes = []
        for id, _ in lexical:
            chunk = live[id].chunk
            found = frozenset(split(passage_text(live[id].title, chunk.headings, chunk.text)))
            share = word_share(rarities, found)
            votes.append((id, _WORDS_WEIGHT * share**_WORDS_POWER))
        return votes

    def evidence(self, query: str) -> tuple[Evidence, tuple[ScoredChunk, ...]]:
        """Returns what a search of `query` is judged by, and its hits; for fitting relevance."""
        vector = self._embedder.embed_queries([query])[0]  # (dim,)
        wanted = _Wanted(self._options.top_k, Audience.CUSTOMER)
        ranked, live = self._find(query, vector, wanted, _Clock())
        hits = _hits(ranked, live, self._options.top_k)
        return self._evidence(query, ranked, hits), hits

    def _evidence(self, query: str, ranked: _Ranked, hits: Sequence[ScoredChunk]) -> Evidence:
        split = self._indexes.words.split
        texts = [
            passage_text(hit.title, hit.chunk.headings, hit.chunk.text) for hit in hits[:N_PASSAGES]
        ]
        lexical_ids = [id for id, _ in ranked.lexical]
        best = ranked.dense[0][0] if ranked.dense else None
        return Evidence(
            query=query,
            words=self._rarities(query),
            passages=[(text, frozenset(split(text))) for text in texts],
            cosines=[score for _, score in ranked.dense],
            word_scores=[score for _, score in ranked.lexical],
            agreement=1 / (1 + lexical_ids.index(best)) if best in lexical_ids else 0.0,
        )

    def _rarities(self, query: str) -> dict[str, float]:
        """Returns for each content word log(n / n_with) in units of log n: 1 rare, 0 everywhere."""
        words = self._indexes.words.content_words(query)
        total = len(self._indexes) + 1
        counts = self._indexes.document_frequencies(words)
        return {
            word: log(total / min(total, count + 0.5)) / log(total * 2)
            for word, count in zip(words, counts, strict=True)
        }


class _Clock:
    """Adds up milliseconds per stage."""

    def __init__(self) -> None:
        self._start = self._last = perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self._laps[stage] = self._laps.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now

    def finish(self) -> dict[str, float]:
        total = (perf_counter() - self._start) * 1000
        return {stage: round(ms, 2) for stage, ms in {**self._laps, "total": total}.items()}


def _hits(ranked: _Ranked, live: dict[int, LiveChunk], top_k: int) -> tuple[ScoredChunk, ...]:
    dense = {id: (rank, score) for rank, (id, score) in enumerate(ranked.dense, start=1)}
    lexical = {id: (rank, score) for rank, (id, score) in enumerate(ranked.lexical, start=1)}
    hits = []
    for rank, (id, score) in enumerate(ranked.fused[:top_k], start=1):
        dense_rank, dense_score = dense.get(id, (None, None))
        lexical_rank, lexical_score = lexical.get(id, (None, None))
        hits.append(
            ScoredChunk(
                chunk=live[id].chunk,
                document=live[id].document,
                title=live[id].title,
                score=score,
                rank=rank,
                dense_score=dense_score,
                lexical_score=lexical_score,
                dense_rank=dense_rank,
                lexical_rank=lexical_rank,
            )
        )
    return tuple(hits)
