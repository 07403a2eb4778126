"""The search flow: embed → dense and lexical candidates → fuse → look up → rerank → judge.

Hits are looked up in the database at the very end, so whatever was removed, replaced or disabled
a moment ago, by any process, is not returned even if an index still knows it.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from math import log
from time import perf_counter

from sqlalchemy import Engine

from knowledge.cross_language import lift_other_language
from knowledge.embedding import Embedder, Vectors, is_chinese
from knowledge.expansion import Expansion, expand
from knowledge.fusion import LearnedFusion, Signs, reciprocal_rank_fusion
from knowledge.live_chunks import LiveChunk, load_live, load_searched_texts
from knowledge.pins import lift_pinned
from knowledge.relevance import N_PASSAGES, Evidence, Relevance, features, word_share
from knowledge.reranking import Reranker, reranked
from knowledge.search_filter import Scope, SearchFilter, nearest, open_scope
from knowledge.search_indexes import SearchIndexes
from knowledge.search_settings import RetrievalOptions, SearchSettings
from knowledge.terms import TermStore
from knowledge.types import Audience, Candidate, Retrieval, ScoredChunk

logger = logging.getLogger(__name__)

__all__ = ["HybridRetriever", "RetrievalOptions"]

#: How often the candidates are widened when too many of them turned out to be gone.
_MAX_ROUNDS = 4
_MAX_ROUNDS_FILTERED = 5  # more would be too many ids for a statement
#: A passage that has all words of the question counts as much as this many by vector, so that a
#: code alone leads to its passage; with half of the words, an eighth of it, because the words
#: that customers' questions happen to share with passages are mostly noise. Measured on the demo
#: company and six sets of public questions.
_WORDS_WEIGHT = 1.5
_WORDS_POWER = 3
_MAX_WORD_VOTES = 10
#: The beginning of a passage tells its language; reading more would cost a search milliseconds.
_LANGUAGE_CHARS = 200
#: A letter beside a digit, as in HG-K1702 and E3; years and amounts alone are no codes.
_CODE = re.compile(r"[a-z][-_./]*\d|\d[-_./]*[a-z]")


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Candidates of both indexes, their fusion and what a reranker read, all best first."""

    dense: list[tuple[int, float]]
    lexical: list[tuple[int, float]]
    fused: list[tuple[int, float]]  # in the reranker's order where one read them
    reread: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What goes into the fusion."""

    dense: Sequence[tuple[int, float]]
    lexical: Sequence[tuple[int, float]]
    live: dict[int, LiveChunk]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to search with, and for whom."""

    options: RetrievalOptions
    audience: Audience
    scope: Scope | None = None


class HybridRetriever:
    """Finds the passages of live documents that fit a question best.

    Args:
        engine: The database, for looking hits up.
        indexes: Open indexes of this process.
        embedder: The embedder that filled them.
        options: In force until others are applied.
        relevance: Judges what was found.
        fusion: Learned weights; where they are of another embedder, ranks are joined.
        reranker: Scores the first of the fusion again; None: there is none.
        now: The clock that effective and expiry dates are held against.
    """

    def __init__(
        self,
        engine: Engine,
        indexes: SearchIndexes,
        *,
        embedder: Embedder,
        options: RetrievalOptions,
        relevance: Relevance,
        fusion: LearnedFusion | None = None,
        reranker: Reranker | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._indexes = indexes
        self._embedder = embedder
        self.settings = SearchSettings(engine, options)
        self._relevance = relevance
        self.terms = TermStore(engine)
        self._fusion = fusion if fusion and fusion.embedder == embedder.id else None
        self._reranker = reranker
        self._now = now
        if relevance.embedder != embedder.id:
            logger.warning(
                "relevance was fitted for embedder %s, not %s", relevance.embedder, embedder.id
            )

    @property
    def embedder_id(self) -> str:
        """Id of the embedder that questions are searched with."""
        return self._embedder.id

    @property
    def reranker(self) -> str | None:
        """Name of the reranker's weights, None without one."""
        return self._reranker.id if self._reranker else None

    def search(
        self,
        query: str,
        *,
        top_k: int | None = None,
        options: RetrievalOptions | None = None,
        audience: Audience = Audience.CUSTOMER,
        only: SearchFilter | None = None,
    ) -> Retrieval:
        """Returns the best `top_k` passages, how sure we are of them, and the time per stage.

        Args:
            query: As the customer wrote it.
            top_k: Instead of the number in the settings.
            options: To try instead of the settings in force.
            audience: Who does not say it gets what customers may see.
            only: Documents to search in; all when not given.
        """
        options = options or self.settings.current()
        options = replace(options, top_k=top_k) if top_k else options
        scope = open_scope(self._engine, only) if only else None
        wanted = _Wanted(options, audience, scope)
        while True:
            generation = self._indexes.generation
            found = self._search(query, wanted)
            # Where another embedder takes over, its index cannot be asked with the old vector.
            if generation % 2 == 0 and generation == self._indexes.generation:
                return found

    def _search(self, query: str, wanted: "_Wanted") -> Retrieval:
        clock = _Clock()
        self._indexes.catch_up()
        clock.lap("refresh")
        if not query.strip() or not len(self._indexes):
            return Retrieval(
                query=query,
                hits=(),
                relevance=0.0,
                timings_ms=clock.finish(),
                threshold=wanted.options.threshold,
            )
        asked = self._expand(query)
        vectors = self._embed(asked)
        clock.lap("embed")
        ranked, live = self._find(asked, vectors, wanted, clock)
        candidates = _candidates(ranked, live, wanted.options)
        hits = _hits(candidates, live, wanted.options)
        relevance = self._relevance.predict(features(self._evidence(asked, ranked, hits, live)))
        clock.lap("relevance")
        return Retrieval(
            query=query,
            hits=hits,
            relevance=relevance,
            timings_ms=clock.finish(),
            settings=asdict(wanted.options),
            candidates=candidates,
            threshold=wanted.options.threshold,
        )

    def _find(
        self, asked: Expansion, vectors: Vectors, wanted: "_Wanted", clock: "_Clock"
    ) -> tuple[_Ranked, dict[int, LiveChunk]]:
        """Returns live candidates; looks further while hits that are gone starve the result."""
        now, options = self._now(), wanted.options
        n_candidates = max(options.candidates, options.top_k)
        last = (_MAX_ROUNDS_FILTERED if wanted.scope else _MAX_ROUNDS) - 1
        for round_ in range(last + 1):
            dense = self._dense(vectors, n_candidates, wanted.scope)
            clock.lap("dense")
            lexical = self._indexes.search_lexical(asked.widened, n_candidates)
            clock.lap("lexical")
            ids = {id for id, _ in dense} | {id for id, _ in lexical}
            live = load_live(self._engine, sorted(ids), audience=wanted.audience, now=now)
            live = _inside(live, wanted.scope)
            clock.lap("load")
            dense = [pair for pair in dense if pair[0] in live]
            lexical = [pair for pair in lexical if pair[0] in live]
            fused = self._fuse(asked, _Candidates(dense, lexical, live), options)
            pinned = {id for id in ids & live.keys() if live[id].chunk.pinned}
            fused = lift_pinned(fused, pinned, cosines=dense, top_k=options.top_k)
            clock.lap("fuse")
            seen_all = n_candidates >= len(self._indexes)
            if len(fused) >= options.top_k or seen_all or round_ == last:
                break
            n_candidates *= 4
        ranked = self._rerank(asked, _Ranked(dense, lexical, fused), live, options)
        if ranked.reread:
            clock.lap("rerank")
        return ranked, live

    def _rerank(
        self,
        asked: Expansion,
        ranked: _Ranked,
        live: dict[int, LiveChunk],
        options: RetrievalOptions,
    ) -> _Ranked:
        """Has the first of the fusion read again; pinned passages stay where they were put."""
        if self._reranker is None or not options.rerank_candidates:
            return ranked
        first = [id for id, _ in ranked.fused[: options.rerank_candidates]]
        given = self._reranker.score(asked.text, [live[id].passage for id in first])
        scores = dict(zip(first, given, strict=True))
        fused = reranked(ranked.fused, scores)
        reread = [(id, scores[id]) for id, _ in fused[: len(first)]]
        pinned = {id for id, it in live.items() if it.chunk.pinned}
        fused = lift_pinned(fused, pinned, cosines=ranked.dense, top_k=options.top_k)
        return replace(ranked, fused=fused, reread=reread)

    def _expand(self, query: str) -> Expansion:
        def is_known(code: str) -> bool:
            return self._indexes.document_frequencies([code])[0] > 0

        return expand(query, self.terms.groups(), is_known=is_known)

    def _embed(self, asked: Expansion) -> Vectors:
        """Returns (1 or 2, dim): the question, and the question with its other words."""
        texts = dict.fromkeys([asked.text, asked.widened])
        return self._embedder.embed_queries(list(texts))

    def _dense(
        self, vectors: Vectors, n_candidates: int, scope: Scope | None
    ) -> list[tuple[int, float]]:
        if scope is not None and scope.few is not None:
            return nearest(self._engine, scope.few, vectors, embedder=self._embedder.id)
        best: dict[int, float] = {}
        for vector in vectors:
            for id, score in self._indexes.search_dense(vector, n_candidates):
                best[id] = max(score, best.get(id, score))
        return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:n_candidates]

    def _fuse(
        self,
        asked: Expansion,
        found: "_Candidates",
        options: RetrievalOptions,
    ) -> list[tuple[int, float]]:
        """Joins both rankings: by learned weights, or by rank for an embedder without any."""
        dense, lexical, live, weight = found.dense, found.lexical, found.live, options.word_weight
        if self._fusion is None or options.fusion == "rank":
            votes = self._shares(asked, lexical[:_MAX_WORD_VOTES])
            words = [
                (id, weight * _WORDS_WEIGHT * share**_WORDS_POWER)
                for id, (share, _) in votes.items()
            ]
            return reciprocal_rank_fusion([[(id, 1.0) for id, _ in dense], words])
        cosines, lowest = dict(dense), min((score for _, score in dense), default=0.0)
        shares = self._shares(asked, lexical)
        signs = {}
        for id in cosines.keys() | shares.keys():
            share, codes = shares.get(id, (0.0, 0.0))
            signs[id] = Signs(cosines.get(id, lowest), weight * share, weight * codes)
        return lift_other_language(self._fusion.rank(signs), _in_other_language(asked, live))

    def _shares(
        self, asked: Expansion, lexical: Sequence[tuple[int, float]]
    ) -> dict[int, tuple[float, float]]:
        """Returns the shares of the question's words and codes that each passage has.

        With other words the question is tried both ways, and the better way counts.
        """
        ways = [self._rarities(text) for text in dict.fromkeys([asked.text, asked.widened])]
        codes = [{w: r for w, r in way.items() if _CODE.search(w)} for way in ways]
        words = list(dict.fromkeys(word for way in ways for word in way))
        held = self._indexes.words_in([id for id, _ in lexical], words)
        shares = {}
        for id, _ in lexical:
            found = held.get(id, frozenset())
            shares[id] = (
                max(word_share(way, found) for way in ways),
                max(word_share(way, found) for way in codes),
            )
        return shares

    def evidence(self, query: str) -> tuple[Evidence, tuple[ScoredChunk, ...]]:
        """Returns what a search of `query` is judged by, and its hits; for fitting relevance."""
        asked = self._expand(query)
        options = self.settings.current()
        wanted = _Wanted(options, Audience.CUSTOMER)
        ranked, live = self._find(asked, self._embed(asked), wanted, _Clock())
        hits = _hits(_candidates(ranked, live, options), live, options)
        return self._evidence(asked, ranked, hits, live), hits

    def _evidence(
        self,
        asked: Expansion,
        ranked: _Ranked,
        hits: Sequence[ScoredChunk],
        live: dict[int, LiveChunk],
    ) -> Evidence:
        ids = [int(hit.chunk.id) for hit in hits[:N_PASSAGES]]
        words = self._rarities(asked.text)
        held = self._indexes.words_in(ids, list(words))
        texts = load_searched_texts(self._engine, [live[id] for id in ids])
        lexical_ids = [id for id, _ in ranked.lexical]
        best = ranked.dense[0][0] if ranked.dense else None
        return Evidence(
            query=asked.text,
            words=words,
            passages=[(t, held.get(id, frozenset())) for id, t in zip(ids, texts, strict=True)],
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


def _in_other_language(asked: Expansion, live: dict[int, LiveChunk]) -> set[int]:
    chinese = is_chinese(asked.text)
    return {id for id, it in live.items() if is_chinese(it.chunk.text[:_LANGUAGE_CHARS]) != chinese}


def _inside(live: dict[int, LiveChunk], scope: Scope | None) -> dict[int, LiveChunk]:
    """Returns those of the chunks that a filter allows."""
    if scope is None:
        return live
    return {i: one for i, one in live.items() if one.chunk.document_id in scope.document_ids}


def _spread(
    fused: Sequence[tuple[int, float]], live: dict[int, LiveChunk], per_document: int
) -> list[tuple[int, float]]:
    """Moves a document's passages beyond the first few behind those of other documents."""
    if not per_document:
        return list(fused)
    seen: Counter[str] = Counter()
    first: list[tuple[int, float]] = []
    later: list[tuple[int, float]] = []
    for pair in fused:
        document_id = live[pair[0]].chunk.document_id
        seen[document_id] += 1
        (first if seen[document_id] <= per_document else later).append(pair)
    return first + later


def _candidates(
    ranked: _Ranked, live: dict[int, LiveChunk], options: RetrievalOptions
) -> tuple[Candidate, ...]:
    dense = {id: (rank, score) for rank, (id, score) in enumerate(ranked.dense, start=1)}
    lexical = {id: (rank, score) for rank, (id, score) in enumerate(ranked.lexical, start=1)}
    reread = {id: (rank, score) for rank, (id, score) in enumerate(ranked.reread, start=1)}
    fused = _spread(ranked.fused, live, options.per_document)
    nowhere = (None, None)
    return tuple(
        Candidate(
            live[id].chunk.id,
            live[id].document,
            rank,
            score,
            *dense.get(id, nowhere),
            *lexical.get(id, nowhere),
            *reread.get(id, nowhere),
        )
        for rank, (id, score) in enumerate(fused, start=1)
    )


def _hits(
    candidates: Sequence[Candidate], live: dict[int, LiveChunk], options: RetrievalOptions
) -> tuple[ScoredChunk, ...]:
    return tuple(
        ScoredChunk(
            chunk=live[one.chunk_id].chunk,
            document=one.document,
            title=live[one.chunk_id].title,
            score=one.score,
            rank=one.rank,
            dense_score=one.dense_score,
            lexical_score=one.lexical_score,
            dense_rank=one.dense_rank,
            lexical_rank=one.lexical_rank,
            rerank_score=one.rerank_score,
            rerank_rank=one.rerank_rank,
        )
        for one in candidates[: options.top_k]
    )
