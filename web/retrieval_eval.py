"""Measures retrieval on labelled questions, per stage and language.

A hit is the passage that holds the quote; where no quote is given, any passage of the document.
Questions without a document are unanswerable: for them the share that the relevance score
rejects is reported instead.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.confirmed import ConfirmedAnswer
from bot.settings import Settings
from knowledge.bootstrap import interval
from knowledge.errors import DocumentNotFound
from knowledge.metrics import hit_at_k, mrr_at_k, ndcg_at_k
from knowledge.retrieval import HybridRetriever
from knowledge.store import DocumentStore
from knowledge.types import Chunk, DocumentId, Retrieval
from web.console import CommandError

STAGES = ("dense", "lexical", "fused")
_DEPTH = 10  # of mrr and ndcg


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the file."""

    query: str
    document: str | None
    quote: str | None
    language: str


def evaluate_file(
    path: Path, retriever: HybridRetriever, documents: DocumentStore, *, settings: Settings
) -> dict[str, Any]:
    """Returns `{k, n_unanswerable, rejected, stages: {stage: {language: {n, hit_at_k, …}}}}`.

    Beside it stand `hits`, 1 or 0 a question for comparing runs, `intervals`, the 95 % interval
    of each hit@k, and `fused_minus_better`, the paired interval of the fused ranking's hits less
    those of the better of the other two.

    Raises:
        CommandError: a line is not as expected, or names an unknown document.
    """
    return evaluate(read_questions(path), retriever, documents, settings=settings)


def evaluate(
    questions: Iterable[Question],
    retriever: HybridRetriever,
    documents: DocumentStore,
    *,
    settings: Settings,
) -> dict[str, Any]:
    """Returns the report of `evaluate_file` for questions from elsewhere."""
    k = settings.knowledge.top_k
    scores: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    rejected: list[bool] = []
    for question in questions:
        found = retriever.search(question.query, top_k=max(k, settings.knowledge.candidates))
        if question.document is None:
            rejected.append(found.relevance < settings.chat.relevance_threshold)
            continue
        relevant = _relevant(question, documents)
        for stage in STAGES:
            value = _score(ranking(found, stage), relevant, k)
            for language in (question.language, "all"):
                scores[stage, language].append(value)
    hits: dict[str, dict[str, list[float]]] = {stage: {} for stage in STAGES}
    for (stage, language), values in sorted(scores.items()):
        hits[stage][language] = [value[0] for value in values]
    return {
        "k": k,
        "n_unanswerable": len(rejected),
        "rejected": sum(rejected) / len(rejected) if rejected else None,
        "stages": {stage: _means(scores, stage) for stage in STAGES},
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


def confirmed_questions(
    answers: Iterable[ConfirmedAnswer], documents: DocumentStore
) -> Iterator[Question]:
    """Yields liked answers as questions; those whose passage is gone are left out."""
    for answer in answers:
        try:
            document = documents.get(DocumentId(answer.document_id))
        except DocumentNotFound:
            continue
        if answer.quote in documents.version(document.id).text:
            yield Question(answer.query, document.name, answer.quote, answer.language)


def rows(report: dict[str, Any]) -> list[tuple[object, ...]]:
    """Returns the report as rows of a table."""
    return [
        (stage, language, m["n"], *(f"{m[name]:.3f}" for name in list(m)[1:]))
        for stage, languages in report["stages"].items()
        for language, m in languages.items()
    ]


def read_questions(path: Path) -> Iterator[Question]:
    """Yields the file's questions.

    Raises:
        CommandError: there is no such file, or a line is not a JSON object with a query.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
            query = str(given["query"])
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(
                f"{path}, line {number}: expected an object with query and document; {error}"
            ) from error
        document, quote = given.get("document") or None, given.get("quote") or None
        yield Question(query, document, quote, str(given.get("language") or "other"))


def ranking(found: Retrieval, stage: str) -> list[int]:
    """Returns chunk ids, best first, as one stage ranked them."""
    if stage == "fused":
        return [int(hit.chunk.id) for hit in found.hits]
    ranked = [(getattr(hit, f"{stage}_rank"), int(hit.chunk.id)) for hit in found.hits]
    return [chunk_id for rank, chunk_id in sorted(r for r in ranked if r[0] is not None)]


def _relevant(question: Question, documents: DocumentStore) -> set[int]:
    document = documents.find_by_name(str(question.document))
    if document is None:
        raise CommandError(f"There is no document {question.document!r}; load it first.")
    chunks = documents.chunks(document.id)
    if question.quote is None:
        return {int(chunk.id) for chunk in chunks}
    text = documents.version(document.id).text
    holding = _holding(chunks, text, question.quote)
    if not holding:
        raise CommandError(f"{question.quote!r} does not occur in {question.document!r}.")
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
