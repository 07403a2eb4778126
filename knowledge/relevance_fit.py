"""Calibrates relevance on labelled questions, so that it is a probability on ones like them.

Every question is searched as a customer's would be; what the search saw becomes one row of
numbers, labelled by whether a passage that an answer is written from holds the answer. Rows hold
no text, so those of several knowledge bases can be kept and fitted together. How good a fit is,
is measured on rows that it has not seen: those of one document, and all of one base, stay together.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from knowledge.cost import auc, brier, calibration_error
from knowledge.errors import QuestionsRejected
from knowledge.evaluation import Question, relevant
from knowledge.relevance import FEATURES, Evidence, RelevanceModel, features
from knowledge.store import DocumentStore
from knowledge.types import ScoredChunk

#: Fewer of either kind say nothing.
MIN_EACH = 20
_N_FOLDS = 5


class Searching(Protocol):
    """Shows what a search of a customer is judged by."""

    @property
    def embedder_id(self) -> str:
        """Id of the embedder that makes the cosines."""
        ...

    def evidence(self, query: str) -> tuple[Evidence, tuple[ScoredChunk, ...]]:
        """Returns the evidence and the hits."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One search whose outcome is known.

    Args:
        values: Its features.
        found: Whether a passage among the first few holds the answer.
        answerable: Whether any passage does.
        base: Name of the knowledge base.
        document: The document that the best passage is of.
        embedder: Id of the one that made the cosines.
    """

    values: tuple[float, ...]
    found: bool
    answerable: bool
    base: str
    document: str
    embedder: str


@dataclass(frozen=True, slots=True)
class Quality:
    """How far relevance is from a probability, on rows that it was not fitted on.

    Args:
        n: Rows.
        auc: How often an answerable question comes before an unanswerable one.
        ece: Expected calibration error.
        brier: Mean squared distance from what happened.
    """

    n: int
    auc: float | None
    ece: float | None
    brier: float | None


def gather(
    questions: Sequence[Question],
    retriever: Searching,
    documents: DocumentStore,
    *,
    base: str,
    n_shown: int,
    on_question: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Searches every question and returns what was seen.

    Args:
        questions: Those without a document are unanswerable.
        retriever: Searches as it does for customers.
        documents: Where the passages stand.
        base: Name to keep the rows of this knowledge base together by.
        n_shown: First passages that an answer is written from.
        on_question: Called after each question.

    Raises:
        QuestionsRejected: a question names an unknown document or quote.
    """
    rows = []
    for question in questions:
        evidence, hits = retriever.evidence(question.query)
        wanted = relevant(question, documents) if question.document is not None else set()
        found = any(int(hit.chunk.id) in wanted for hit in hits[:n_shown])
        best = hits[0].document if hits else ""
        values, answerable = features(evidence), question.document is not None
        rows.append(Row(values, found, answerable, base, best, retriever.embedder_id))
        on_question()
    return rows


def calibrated(model: RelevanceModel, rows: Sequence[Row], *, note: str) -> RelevanceModel:
    """Returns the model with its log-odds stretched and shifted to fit the rows.

    Two numbers can be fitted on few questions, and the order of searches stays as it is: on rows
    of knowledge bases held out this came nearer to a probability than all weights fitted anew.
    Every base weighs the same.

    Args:
        model: To begin with; calibrating the outcome again changes nothing more.
        rows: Searches whose outcome is known.
        note: On what it is fitted; kept with the model.

    Raises:
        QuestionsRejected: there are too few questions of either kind, they were searched with
            another embedder, or the model puts those that are not answered first.

    Source: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    embedders = {row.embedder for row in rows}
    if embedders != {model.embedder}:
        raise QuestionsRejected(f"Expected rows of {model.embedder}, found {sorted(embedders)}.")
    n_found = sum(row.found for row in rows)
    if min(n_found, len(rows) - n_found) < MIN_EACH:
        raise QuestionsRejected(
            f"Expected at least {MIN_EACH} questions that are answered and {MIN_EACH} that are "
            f"not, found {n_found} and {len(rows) - n_found}."
        )
    slope, shift = _platt(model, rows)
    if slope <= 0:
        raise QuestionsRejected(
            "Questions that are not answered got the higher relevance; check their labels."
        )
    return replace(
        model,
        weights=tuple(slope * weight for weight in model.weights),
        intercept=slope * model.intercept + shift,
        note=note,
    )


def _platt(model: RelevanceModel, rows: Sequence[Row]) -> tuple[float, float]:
    """Returns by what to multiply the log-odds and what to add to them."""
    from sklearn.linear_model import LogisticRegression

    sizes = Counter(row.base for row in rows)
    weights = [len(rows) / len(sizes) / sizes[row.base] for row in rows]
    odds = np.array([[model.log_odds(row.values)] for row in rows])  # (n, 1)
    regression = LogisticRegression(C=1e6, max_iter=1000)  # two numbers need no restraint
    regression.fit(odds, [row.found for row in rows], sample_weight=weights)
    return float(regression.coef_[0, 0]), float(regression.intercept_[0])


def quality(rows: Sequence[Row], relevance: Sequence[float]) -> Quality:
    """Returns how good the relevance given to each row is."""
    high = [value for row, value in zip(rows, relevance, strict=True) if row.answerable]
    low = [value for row, value in zip(rows, relevance, strict=True) if not row.answerable]
    found = [row.found for row in rows]
    return Quality(
        len(rows), auc(high, low), calibration_error(relevance, found), brier(relevance, found)
    )


def by_model(rows: Sequence[Row], model: RelevanceModel) -> list[float]:
    """Returns the relevance that a model gives to each row."""
    return [model.predict(row.values) for row in rows]


def held_out(model: RelevanceModel, rows: Sequence[Row], *, by_base: bool) -> list[float]:
    """Returns each row's relevance by the model calibrated without its document or its base.

    Args:
        model: To be calibrated.
        rows: Of one or several bases.
        by_base: Leave a whole base out at a time, as a new company's would be; else a fifth of
            the documents.

    Raises:
        QuestionsRejected: as `calibrated` does.
    """
    folds = _by_base(rows) if by_base else _by_document(rows)
    relevance = [0.0] * len(rows)
    for fold in range(max(folds) + 1):
        seen = [row for row, of in zip(rows, folds, strict=True) if of != fold]
        fitted = calibrated(model, seen, note="")
        for number, (row, of) in enumerate(zip(rows, folds, strict=True)):
            if of == fold:
                relevance[number] = fitted.predict(row.values)
    return relevance


def _by_base(rows: Sequence[Row]) -> list[int]:
    names = sorted({row.base for row in rows})
    return [names.index(row.base) for row in rows]


def _by_document(rows: Sequence[Row]) -> list[int]:
    """Deals documents out in a fixed order, the one with the most questions first."""
    sizes, fold_of = np.zeros(_N_FOLDS), dict[str, int]()
    for name, n in sorted(
        Counter(row.document for row in rows).items(), key=lambda it: (-it[1], it)
    ):
        fold_of[name] = int(sizes.argmin())
        sizes[fold_of[name]] += n
    return [fold_of[row.document] for row in rows]


def dump_rows(rows: Iterable[Row]) -> str:
    """Returns rows as JSON lines."""
    return "".join(json.dumps({"features": FEATURES, **asdict(row)}) + "\n" for row in rows)


def read_rows(text: str, name: str) -> list[Row]:
    """Reads what `dump_rows` wrote.

    Raises:
        QuestionsRejected: a line is of another form or has other features.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            given: dict[str, Any] = json.loads(line)
            if tuple(given.pop("features")) != FEATURES:
                raise ValueError("other features; gather them again")
            rows.append(Row(**given | {"values": tuple(map(float, given["values"]))}))
        except (ValueError, KeyError, TypeError) as error:
            raise QuestionsRejected(f"{name}, line {number}: expected a row; {error}") from error
    return rows
