"""Fits the weights of the report of contradictions and says how well they do on unseen shops.

Each set of labelled pairs is held out in turn: the weights and the threshold come from the other
sets, so no figure is measured on what it was fitted on. The shipped weights are then fitted on all
sets. Needs the packaged embedder and some minutes:

    python -m tests.fit_conflicts            # only measures
    python -m tests.fit_conflicts --write    # also writes knowledge/conflict_weights.json
    python -m tests.fit_conflicts --measure tests/sets/conflicts_bicycles_en   # as shipped
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from bot.database import open_database, upgrade
from knowledge.conflict_model import ConflictModel, Rows
from knowledge.conflict_pairs import Compared
from knowledge.conflict_signs import as_row
from knowledge.conflicts import ConflictFinder, best_conflicts
from knowledge.embedding import Embedder, load_embedder
from knowledge.statements import Statement, load_statements
from knowledge.words import WordSplitter
from tests.knowledge.conflict_sets import Score, is_pair, load_pairs, score
from tests.knowledge_kit import KnowledgeBase

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "knowledge" / "demo" / "documents"
SETS = {
    "shop": ROOT / "tests" / "sets" / "conflicts",
    "sports club": ROOT / "tests" / "knowledge" / "data" / "conflicts_dev",
    "coworking": ROOT / "tests" / "dev_sets" / "conflicts_coworking",
    "dental practice": ROOT / "tests" / "dev_sets" / "conflicts_dental",
}
WEIGHTS = ROOT / "knowledge" / "conflict_weights.json"
#: Above it the threshold is set, on sets that the weights were not fitted on.
PRECISION = 0.8
#: How much the sets weigh against the wish for small weights.
_TRUST = 0.3
#: Signs that speak for a contradiction; those that may do either; all others speak against one.
FOR = frozenset(
    {
        "place",
        "shared",
        "shared_of_longer",
        "about",
        "names_shared",
        "topic",
        "key",
        "clause",
        "same_unit",
        "answers",
        "answers_least",
        "questions",
    }
)
EITHER = frozenset({"in_chinese", "rows", "n_equal"})
_CHUNK_TOKENS = 150


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A set's compared figures; a label of None is neither right nor wrong."""

    folder: Path
    statements: Sequence[Statement]
    compared: Sequence[Compared]
    labels: Sequence[bool | None]


def main() -> None:
    """Measures the shipped weights on the folders given, or each set held out, and fits on all."""
    embedder = load_embedder("packaged", device="cpu")
    if "--measure" in sys.argv:
        for folder in map(Path, sys.argv[sys.argv.index("--measure") + 1 :]):
            result = measure(ConflictModel.load(WEIGHTS), prepare(folder, embedder))
            found = f"{result.n_found} of {result.n_planted}"
            sys.stdout.write(f"{folder.name}: precision {result.precision:.2f}, found {found}\n")
        return
    sets = {name: prepare(folder, embedder) for name, folder in SETS.items()}
    lines, n_right, n_wrong, n_found, n_planted = [], 0, 0, 0, 0
    for name, held_out in sets.items():
        result = measure(
            fit_unseen([one for other, one in sets.items() if other != name]), held_out
        )
        n_right, n_wrong = n_right + result.n_right, n_wrong + result.n_wrong
        n_found, n_planted = n_found + result.n_found, n_planted + result.n_planted
        lines.append(f"{name} {result.precision:.2f} and {result.n_found} of {result.n_planted}")
    total = f"all {n_right / max(1, n_right + n_wrong):.2f} and {n_found} of {n_planted}"
    note = (
        "Logistic regression on pairs of figures of four sets; precision and planted pairs found, "
        f"each set held out in turn: {'; '.join([*lines, total])}. Made by `python -m "
        "tests.fit_conflicts --write`."
    )
    sys.stdout.write(note + "\n")
    if "--write" in sys.argv:
        replace(fit_unseen(list(sets.values())), note=note).save(WEIGHTS)


def prepare(folder: Path, embedder: Embedder) -> LabelledSet:
    """Ingests a set as the product does and compares its statements."""
    with tempfile.TemporaryDirectory() as made:
        engine = open_database(f"sqlite:///{made}/kefu.db")
        upgrade(engine)
        words = WordSplitter(Path(made) / "words")
        base = KnowledgeBase(Path(made), engine, embedder, words, chunk_tokens=_CHUNK_TOKENS)
        base.indexes.open()
        demo = sorted(DEMO.iterdir()) if folder == SETS["shop"] else []
        for path in [*demo, *sorted((folder / "documents").iterdir())]:
            base.ingestor.submit(path.name, path.read_bytes(), author="tests")
        base.worker.run_until_idle()
        finder = ConflictFinder(engine, embedder=embedder, near=base.indexes.search_dense)
        statements = load_statements(engine, embedder=embedder.id, now=datetime.now(UTC))
        compared = finder.compared(statements, lambda _: None)
        base.indexes.close()
        engine.dispose()
    return LabelledSet(folder, statements, compared, _labels(folder, statements, compared))


def fit(sets: Sequence[LabelledSet]) -> ConflictModel:
    """Fits the weights, without a threshold; no sign may weigh against what it means."""
    kept = [
        (one, label)
        for each in sets
        for one, label in zip(each.compared, each.labels, strict=True)
        if label is not None
    ]
    names = tuple(kept[0][0].signs)
    rows = np.array([as_row(one.signs, names) for one, _ in kept])
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale == 0] = 1.0
    standard = (rows - mean) / scale
    side = np.where([label for _, label in kept], 1.0, -1.0)

    def loss(values: Rows) -> tuple[float, Rows]:
        weights, margin = values[:-1], side * (standard @ values[:-1] + values[-1])
        slope = -side / (1 + np.exp(margin)) * _TRUST
        total = _TRUST * np.logaddexp(0, -margin).sum() + weights @ weights / 2
        return float(total), np.append(standard.T @ slope + weights, slope.sum())

    bounds = [*map(_bounds, names), (None, None)]
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    return ConflictModel(names, mean, scale, found.x[:-1], float(found.x[-1]), 0.0)


def _bounds(name: str) -> tuple[float | None, float | None]:
    if name in EITHER:
        return None, None
    return (0.0, None) if name in FOR else (None, 0.0)


def fit_unseen(sets: Sequence[LabelledSet]) -> ConflictModel:
    """Fits on all, with the threshold that keeps the precision on each set while it is held out."""
    reported: list[tuple[float, bool]] = []
    for held_out in sets:
        model = fit([one for one in sets if one is not held_out])
        reported += _reported(model, held_out)
    best, threshold, n_right = 0, 1.0, 0
    for n, (probability, is_right) in enumerate(sorted(reported, reverse=True), start=1):
        n_right += is_right
        if n_right / n >= PRECISION and n_right > best:
            best, threshold = n_right, probability
    return replace(fit(sets), threshold=round(threshold - 1e-4, 4))


def measure(model: ConflictModel, labelled: LabelledSet) -> Score:
    """Returns how a model does on a set."""
    return score(labelled.folder, best_conflicts(labelled.compared, labelled.statements, model))


def _reported(model: ConflictModel, labelled: LabelledSet) -> list[tuple[float, bool]]:
    pairs = load_pairs(labelled.folder / "pairs.jsonl")
    beside = _beside(labelled.folder)
    return [
        (one.score, any(is_pair(one.a, one.b, pair) for pair in pairs))
        for one in best_conflicts(labelled.compared, labelled.statements, model)
        if not any(is_pair(one.a, one.b, pair) for pair in beside)
    ]


def _labels(
    folder: Path, statements: Sequence[Statement], compared: Sequence[Compared]
) -> list[bool | None]:
    pairs, beside = load_pairs(folder / "pairs.jsonl"), _beside(folder)
    known: dict[tuple[int, int], bool | None] = {}
    for one in compared:
        i, j = one.a.statement, one.b.statement
        if (i, j) not in known:
            a, b = statements[i], statements[j]
            is_planted = any(is_pair(a, b, pair) for pair in pairs)
            is_beside = any(is_pair(a, b, pair) for pair in beside)
            known[i, j] = True if is_planted else None if is_beside else False
    return [known[one.a.statement, one.b.statement] for one in compared]


def _beside(folder: Path) -> list[dict[str, dict[str, str]]]:
    return [*load_pairs(folder / "pairs_also.jsonl"), *load_pairs(folder / "existing.jsonl")]


if __name__ == "__main__":
    main()
