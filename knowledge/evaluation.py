"""Measures retrieval on labelled questions, per stage and language.

A hit is the passage that holds the quote; where no quote is given, any passage of the document.
Questions without a document are unanswerable: for them the share that the relevance score
rejects is reported instead.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol, Self

from knowledge.bootstrap import interval
from knowledge.errors import QuestionsRejected
from knowledge.judged import Judged
from knowledge.metrics import hit_at_k, mrr_at_k, ndcg_at_k
from knowledge.search_settings import RetrievalOptions, SearchSettings
from knowledge.store import DocumentStore
from knowledge.types import Chunk, Retrieval

STAGES = ("dense", "lexical", "fused")
RERANKED = "reranked"  # a further stage where a reranker read the first of the fusion
MAX_QUESTIONS = 5000
MAX_FILE_BYTES = 2 << 20
_DEPTH = 10  # of mrr and ndcg
_MAX_QUERY_CHARS = 4000
_MAX_LANGUAGE_CHARS = 16


class Searching(Protocol):
    """Finds passages by the settings in force."""

    @property
    def settings(self) -> SearchSettings:
        """Says which settings are in force."""
        ...

    @property
    def reranker(self) -> str | None:
        """Name of the reranker that orders what is found, None without one."""
        ...

    def search(self, query: str, *, top_k: int | None = None) -> Retrieval:
        """Returns the best passages."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and where its answer stands."""

    query: str
    document: str | None
    quote: str | None
    language: str


@dataclass(frozen=True, slots=True)
class Measure:
    """What results are held against.

    Args:
        k: Hits count among so many first passages.
        candidates: As deep as each ranking is looked through.
        threshold: Of relevance, below which nothing counts as found.
        n_shown: First passages that an answer is written from; relevance is right to be high where
            one of them holds the answer.
    """

    k: int
    candidates: int
    threshold: float
    n_shown: int

    @classmethod
    def by(cls, live: RetrievalOptions, *, n_shown: int) -> Self:
        """Returns what customers are answered by."""
        return cls(live.top_k, live.candidates, live.threshold, n_shown)


def evaluate(
    questions: Sequence[Question],
    retriever: Searching,
    documents: DocumentStore,
    *,
    measure: Measure,
    on_question: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Returns `{k, n_unanswerable, rejected, stages: {stage: {language: {n, hit_at_k, …}}}}`.

    `relevance` holds how well relevance tells both kinds of questions apart, how far it is from a
    probability and what the dial does, see `knowledge.judged`. Beside it stand `hits`, 1 or 0 a
    question for comparing runs, `intervals`, the 95 % interval of each hit@k, and
    `fused_minus_better`, the paired interval of the fused ranking's hits less those of the better
    of the other two.

    Args:
        questions: What to ask.
        retriever: Searches as it does for customers.
        documents: Where the passages stand.
        measure: What results are held against.
        on_question: Called before each question with the share that is done; may raise to stop.

    Raises:
        QuestionsRejected: a question names an unknown document or quote.
    """
    scores: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    judged = Judged()
    stages = _stages_of(retriever)
    for number, question in enumerate(questions):
        on_question(number / len(questions))
        found = retriever.search(question.query, top_k=max(measure.k, measure.candidates))
        if question.document is None:
            judged.unanswerable.append(found.relevance)
            judged.refused.append(found.relevance < measure.threshold)
            continue
        wanted = relevant(question, documents)
        judged.answerable.append(found.relevance)
        judged.found.append(bool(wanted & set(ranking(found, "fused")[: measure.n_shown])))
        for stage in stages:
            value = _score(ranking(found, stage), wanted, measure.k)
            for language in (question.language, "all"):
                scores[stage, language].append(value)
    return _report(stages, scores, judged, k=measure.k)


def _report(
    stages: Sequence[str],
    scores: dict[tuple[str, str], list[tuple[float, float, float]]],
    judged: Judged,
    *,
    k: int,
) -> dict[str, Any]:
    hits: dict[str, dict[str, list[float]]] = {stage: {} for stage in stages}
    for (stage, language), values in sorted(scores.items()):
        hits[stage][language] = [value[0] for value in values]
    return {
        "k": k,
        "n_unanswerable": len(judged.refused),
        "rejected": sum(judged.refused) / len(judged.refused) if judged.refused else None,
        "relevance": judged.report(),
        "stages": {stage: _means(scores, stage) for stage in stages},
        "intervals": {
            stage: {language: interval(values) for language, values in languages.items()}
            for stage, languages in hits.items()
        },
        "fused_minus_better": {
            language: _against_better(hits, language) for language in hits["fused"]
        },
        "hits": hits,
    }


def _against_better(hits: dict[str, dict[str, list[float]]], language: str) -> tuple[float, float]:
    better = max((hits["dense"][language], hits["lexical"][language]), key=sum)
    pairs = zip(hits["fused"][language], better, strict=True)
    return interval([fused - other for fused, other in pairs])


def read_questions(content: bytes, name: str) -> list[Question]:
    """Returns the questions of a JSONL file.

    Raises:
        QuestionsRejected: it holds none or too many, or a line is no JSON object with a query.
    """
    if len(content) > MAX_FILE_BYTES:
        raise QuestionsRejected(
            f"{name} has {len(content):,} bytes, more than the limit of {MAX_FILE_BYTES:,}."
        )
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise QuestionsRejected(f"{name} is not UTF-8 text: {error}") from error
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    questions = [_question(line, f"{name}, line {number}") for number, line in numbered]
    if not 1 <= len(questions) <= MAX_QUESTIONS:
        raise QuestionsRejected(
            f"{name}: expected 1 to {MAX_QUESTIONS:,} questions, found {len(questions):,}."
        )
    return questions


def _question(line: str, place: str) -> Question:
    try:
        given = json.loads(line)
        query = str(given["query"]).strip()[:_MAX_QUERY_CHARS]
        document, quote = given.get("document") or None, given.get("quote") or None
        language = str(given.get("language") or "other")[:_MAX_LANGUAGE_CHARS]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise QuestionsRejected(
            f"{place}: expected an object with query and document; {error}"
        ) from error
    if not query or not all(one is None or isinstance(one, str) for one in (document, quote)):
        raise QuestionsRejected(f"{place}: expected query, document and quote as texts.")
    return Question(query, document, quote, language)


def fingerprint(questions: Sequence[Question]) -> str:
    """Returns the SHA-256 by which two runs of the same questions know each other."""
    return hashlib.sha256("\n".join(map(repr, questions)).encode()).hexdigest()


def packed(questions: Sequence[Question]) -> list[list[object]]:
    """Returns questions as JSON keeps them; `Question(*values)` undoes it."""
    return [list(astuple(question)) for question in questions]


def ranking(found: Retrieval, stage: str) -> list[int]:
    """Returns chunk ids, best first, as one stage ranked them."""
    if stage == RERANKED or (stage == "fused" and not _is_reranked(found)):
        return [int(hit.chunk.id) for hit in found.hits]
    if stage == "fused":
        before = sorted(found.hits, key=lambda hit: -hit.score)
        return [int(hit.chunk.id) for hit in before]
    ranked = [(getattr(hit, f"{stage}_rank"), int(hit.chunk.id)) for hit in found.hits]
    return [chunk_id for rank, chunk_id in sorted(r for r in ranked if r[0] is not None)]


def _is_reranked(found: Retrieval) -> bool:
    """True where a reranker ordered the hits."""
    return any(hit.rerank_rank is not None for hit in found.hits)


def _stages_of(retriever: Searching) -> tuple[str, ...]:
    is_used = retriever.reranker is not None and retriever.settings.current().rerank_candidates > 0
    return (*STAGES, RERANKED) if is_used else STAGES


def relevant(question: Question, documents: DocumentStore) -> set[int]:
    """Returns the ids of the passages that answer a question.

    Raises:
        QuestionsRejected: its document or quote is not there.
    """
    document = documents.find_by_name(str(question.document))
    if document is None:
        raise QuestionsRejected(f"There is no document {question.document!r}; load it first.")
    chunks = documents.chunks(document.id)
    if question.quote is None:
        return {int(chunk.id) for chunk in chunks}
    text = documents.version(document.id).text
    holding = _holding(chunks, text, question.quote)
    if not holding:
        raise QuestionsRejected(f"{question.quote!r} does not occur in {question.document!r}.")
    return holding


def _holding(chunks: Sequence[Chunk], text: str, quote: str) -> set[int]:
    """The passages with a whole occurrence of the quote, or else with the most of one."""
    places = [(m, m + len(quote)) for m in _occurrences(text, quote)]
    overlaps = {
        int(chunk.id): max((min(chunk.end, b) - max(chunk.start, a) for a, b in places), default=0)
        for chunk in chunks
    }
    most = max(overlaps.values(), default=0)
    return {chunk_id for chunk_id, n in overlaps.items() if n == most and n > 0}


def _occurrences(text: str, quote: str) -> Iterator[int]:
    start = text.find(quote)
    while start >= 0:
        yield start
        start = text.find(quote, start + 1)


def _score(ids: Sequence[int], relevant: set[int], k: int) -> tuple[float, float, float]:
    return (
        hit_at_k(ids, relevant, k),
        mrr_at_k(ids, relevant, _DEPTH),
        ndcg_at_k(ids, relevant, _DEPTH),
    )


def _means(
    scores: dict[tuple[str, str], list[tuple[float, float, float]]], stage: str
) -> dict[str, dict[str, float]]:
    names = ("hit_at_k", "mrr_at_10", "ndcg_at_10")
    return {
        language: {"n": len(values)}
        | {name: sum(v[i] for v in values) / len(values) for i, name in enumerate(names)}
        for (found, language), values in sorted(scores.items())
        if found == stage
    }
