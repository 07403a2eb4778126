"""Trains a head from labelled files: read → clean → featurize → judge on folds → fit → save.

What is judged is what is shipped: each fold is labelled by a head that has not seen it, and the
head that is kept is fitted to all. A head of intents is trained on what a file has; one of
sentiment starts from what public sets taught (`bot.classifiers.sentiment_base`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bot.classifiers.card import CardFacts, draw_confusion, write_card
from bot.classifiers.dataset import Cleaned, DatasetRejected, Example, clean, read_examples
from bot.classifiers.evaluation import Figures, Probabilities, evaluate, predictions
from bot.classifiers.features import Features, Featurizer, normalize
from bot.classifiers.files import CARD, CONFUSION, save_head
from bot.classifiers.fitting import fit, options_for
from bot.classifiers.head import Head
from bot.classifiers.labels import Task
from bot.classifiers.noise import Doubt, doubtful
from bot.classifiers.sentiment_fitting import Base, fit_sentiment, sentiment_options

EXAMPLES = Path(__file__).with_name("examples")
OWN = "examples"
_OF_LANGUAGES = "languages.jsonl"
_FOLDS = 3
_SEED = 0
#: From so many rows on one fold says enough, and three would take minutes.
_ONE_FOLD_FROM = 8_000
_MIN_EXAMPLES = 2

Fit = Callable[[Features, Sequence[str], Sequence[str]], Head]


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """What a head is trained on; `paths` empty means the examples that ship."""

    paths: tuple[Path, ...] = ()
    held_out: tuple[Path, ...] = ()  # nothing that these have is trained on


@dataclass(frozen=True, slots=True)
class Trained:
    """A head with how good it is on messages that it had not seen."""

    head: Head
    figures: Figures
    doubts: tuple[Doubt, ...]
    cleaned: Cleaned
    sources: tuple[str, ...]


def shipped_paths(task: Task, folder: Path = EXAMPLES) -> tuple[Path, ...]:
    """Returns the files that ship with a task's examples; one file is of languages alone."""
    files = sorted(folder.glob("*.jsonl"))
    return tuple(one for one in files if task is Task.LANGUAGE or one.name != _OF_LANGUAGES)


def train(
    task: Task,
    files: TrainingFiles,
    *,
    featurizer: Featurizer,
    base: Base | None = None,
    on_step: Callable[[str], None] = lambda stage: None,
) -> Trained:
    """Trains one task's head.

    Args:
        task: what it tells.
        files: where its examples are.
        featurizer: what every head reads.
        base: what public sets taught of sentiment; of no use to other tasks.
        on_step: told what is done next.

    Raises:
        DatasetRejected: a file cannot be used, or has too little to learn from.
    """
    on_step("reading")
    sources, cleaned = _read(task, files)
    examples = cleaned.examples
    _check(task, examples)
    on_step("embedding")
    features = featurizer.features([normalize(one.text) for one in examples])
    labels = [one.label for one in examples]
    groups = _groups(task, files, examples)
    fit_head = _fitting(task, base, has_company_file=bool(files.paths))
    on_step("judging")
    rows, out_of_fold, names = _out_of_fold(fit_head, features, (labels, groups))
    judged = [examples[row] for row in rows]
    figures = evaluate(task, predictions(names, out_of_fold), [one.label for one in judged])
    on_step("fitting")
    head = fit_head(features, labels, groups)
    doubts = doubtful(judged, names, out_of_fold)
    return Trained(head, figures, tuple(doubts), cleaned, sources)


def keep(trained: Trained, folder: Path, *, command: str, data: Sequence[str]) -> None:
    """Writes a trained head with its card and the picture of its confusions."""
    cleaned, meta = trained.cleaned, trained.head.meta
    facts = CardFacts(
        data=data,
        n_examples=len(cleaned.examples),
        n_duplicates=cleaned.n_duplicates,
        n_near_duplicates=cleaned.n_near_duplicates,
        n_held_out=cleaned.n_held_out,
        measured="Each message labelled by a head that was fitted without it",
        chosen=_chosen(meta.get("strength")),
        command=command,
        doubts=trained.doubts,
    )
    extra = {
        CARD: write_card(trained.figures, facts).encode(),
        CONFUSION: draw_confusion(trained.figures),
    }
    save_head(trained.head, folder, extra=extra)


def _chosen(strength: object) -> str:
    if strength is None:
        return "Regularised towards what the base of public sets knows."
    return f"Inverse regularisation strength chosen by cross-validation: C = {strength}."


def _read(task: Task, files: TrainingFiles) -> tuple[tuple[str, ...], Cleaned]:
    """Sentiment learns from a company's file beside our examples, other tasks from it alone."""
    own = shipped_paths(task) if not files.paths or task is Task.SENTIMENT else ()
    held_out = read_examples(files.held_out, task)
    cleaned = clean(read_examples([*own, *files.paths], task), held_out=held_out)
    return tuple(path.name for path in (*own, *files.paths)), cleaned


def _groups(task: Task, files: TrainingFiles, examples: Sequence[Example]) -> list[str]:
    """Returns the set each example is of; our own are one."""
    given = {path.name for path in files.paths}
    names = [one.source.rsplit(":", 1)[0] for one in examples]
    return [name if name in given else OWN for name in names]


def _fitting(task: Task, base: Base | None, *, has_company_file: bool) -> Fit:
    if task is Task.SENTIMENT:
        options = sentiment_options(has_company_file=has_company_file)

        def fit_levels(features: Features, labels: Sequence[str], groups: Sequence[str]) -> Head:
            return fit_sentiment(features, labels, sources=groups, base=base, options=options)

        return fit_levels

    def fit_labels(features: Features, labels: Sequence[str], groups: Sequence[str]) -> Head:
        return fit(task, features, labels, options=options_for(task))

    return fit_labels


def _out_of_fold(
    fit_head: Fit, features: Features, told: tuple[Sequence[str], Sequence[str]]
) -> tuple[np.ndarray, Probabilities, tuple[str, ...]]:
    """Returns the judged rows, their probabilities, and the labels of the columns."""
    labels, groups = np.asarray(told[0]), np.asarray(told[1])
    folds = _folds(labels)
    judged = range(1 if len(labels) >= _ONE_FOLD_FROM else _FOLDS)
    names: tuple[str, ...] = ()
    rows, found = [], []
    for fold in judged:
        kept, asked = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        head = fit_head(features[kept], list(labels[kept]), list(groups[kept]))
        names = names or head.labels
        places = [head.labels.index(name) for name in names]
        rows.append(asked)
        found.append(head.probabilities(features[asked])[:, places])
    return np.concatenate(rows), np.concatenate(found), names


def _folds(labels: np.ndarray) -> np.ndarray:
    """Deals each label's rows out by themselves; a label's first two rows are never judged."""
    random = np.random.default_rng(_SEED)
    folds = np.full(len(labels), -1)
    for label in np.unique(labels):
        own = random.permutation(np.flatnonzero(labels == label))[_MIN_EXAMPLES:]
        folds[own] = (np.arange(len(own)) + random.integers(_FOLDS)) % _FOLDS
    return folds


def _check(task: Task, examples: Sequence[Example]) -> None:
    counts: dict[str, int] = {}
    last: dict[str, Example] = {}
    for one in examples:
        counts[one.label] = counts.get(one.label, 0) + 1
        last[one.label] = one
    if len(counts) < _MIN_EXAMPLES:
        where = f" ({next(iter(last.values())).source})" if last else ""
        raise DatasetRejected(
            f"Expected examples of at least two labels of {task.value}, found "
            f"{', '.join(counts) or 'none'}{where}. Add examples of another label."
        )
    single = [one for label, one in last.items() if counts[label] <= _MIN_EXAMPLES]
    if single:
        raise DatasetRejected(
            f"{single[0].source}: expected at least {_MIN_EXAMPLES + 1} different examples of "
            f"{single[0].label!r}, found {counts[single[0].label]}. Add some or leave it out."
        )
