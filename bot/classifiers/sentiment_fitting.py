"""Trains the sentiment head from labels of two, three or five levels at once.

A message has three scores, linear in its features: valence (which side), opinion (a side at all)
and strength (how far out). Together they give five logits, so a label that names only a side says
that one of two levels is true, and a set without neutral messages compares the sides alone. What
sources differ in beside their words, how often each level occurs, is kept apart in offsets.

Public sets are not shipped. What they taught is (`Base`): the most probable weights and how much
evidence each rests on. Retraining starts there, and leaves it only where the examples at hand
outweigh that evidence.

Source: Bishop, "Pattern Recognition and Machine Learning", 4.5 (Laplace approximation, kept
diagonal and trusted only in part, because features are not independent); Anderson, "Regression and
Ordered Categorical Variables", JRSS B 1984 (scores shared by ordered labels).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bot.classifiers.features import Features
from bot.classifiers.fitting import inverse_frequency
from bot.classifiers.head import Head, weigh_ngrams

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEVELS = ("very_negative", "negative", "neutral", "positive", "very_positive")
#: What each score (valence, opinion, strength) adds to the logit of each level.
SCORES = np.asarray([[-1, -1, 0, 1, 1], [1, 1, 0, 1, 1], [1, 0, 0, 0, 1]], np.float32)
_SIDES = {"negative": (0, 1), "neutral": (2,), "positive": (3, 4)}
_LIMIT_F16 = 6e4
_BALANCE = np.asarray([-0.5, -0.5, 0.0, 0.5, 0.5])
#: Our own examples hold far more complaints than praise, which says nothing about customers: the
#: balance of the sides stays that of the base, and only a company's file behind them moves it.
_FIRMNESS = 1000.0


@dataclass(frozen=True, slots=True)
class SentimentOptions:
    """How the sentiment head is trained.

    Attributes:
        scales: How large weights of each block usually are (the prior's standard deviation).
        trust: How much the base's evidence counts for each score. Which side a word is on holds
            everywhere; what passes for neutral does not, and only our own labels tell strength.
        offset_scale: How much sources differ in how often each level occurs, in logits.
        folds: Of the calibration.
        max_steps: Of the optimiser.
        seed: Of the folds.
    """

    scales: Mapping[str, float]
    trust: tuple[float, float, float] = (20.0, 0.3, 0.0)
    offset_scale: float = 1.0
    folds: int = 3
    max_steps: int = 120
    seed: int = 0


DEFAULT_OPTIONS = SentimentOptions(
    scales={"multilingual": 5.0, "english": 3.0, "surface": 1.0, "ngrams": 8.0}
)


def sentiment_options(*, has_company_file: bool) -> SentimentOptions:
    """Returns the options for our own examples alone, or with a company's file behind them.

    Our examples must not wear away what many more reviews taught; a company's own may.
    """
    if has_company_file:
        return replace(DEFAULT_OPTIONS, trust=(1.0, 0.3, 0.0))
    return DEFAULT_OPTIONS


@dataclass(frozen=True, slots=True)
class Base:
    """What earlier examples taught: the weights, and the evidence for each beyond the prior.

    Tensors: `weight` and `evidence` (d + n_buckets, 3) float16, `offsets` (5,), `idf` (n_buckets,).
    """

    tensors: Mapping[str, npt.NDArray[Any]]
    meta: Mapping[str, Any]


def fit_base(
    features: Features,
    labels: Sequence[str],
    *,
    sources: Sequence[str],
    options: SentimentOptions = DEFAULT_OPTIONS,
) -> Base:
    """Sums up labelled messages that will not be at hand when the head is trained again.

    Args:
        features: One row for each message.
        labels: One for each row.
        sources: The set of each row; each has one way of labelling, told by the labels it uses.
        options: How.
    """
    targets = Targets.read(labels, sources)
    idf = inverse_frequency(features.sparse)
    problem = _Problem.of(features, targets, idf, options, base=None)
    weight, offsets = problem.solve(options)
    tensors = {
        "weight": weight.astype(np.float16),
        "evidence": np.minimum(problem.evidence(weight, offsets), _LIMIT_F16).astype(np.float16),
        "offsets": offsets.mean(axis=0).astype(np.float32),
        "idf": idf.astype(np.float16),
    }
    meta = {"n_examples": len(labels), "sources": list(targets.sources)}
    return Base(tensors=tensors, meta=meta)


def fit_sentiment(
    features: Features,
    labels: Sequence[str],
    *,
    sources: Sequence[str],
    base: Base | None = None,
    options: SentimentOptions = DEFAULT_OPTIONS,
    weights: Sequence[float] | None = None,
) -> Head:
    """Trains the head on examples, starting from what a base knows.

    Args:
        features: One row for each message.
        labels: One for each row.
        sources: The set of each row. How often each level occurs and how sure to be is taken from
            the last set named, so a company's own file goes behind the shipped examples.
        base: What was learned before; None to learn from the examples alone.
        options: How.
        weights: How much each row counts; None for all the same.

    Raises:
        ValueError: a label that is no level, a set with one label, or lengths that differ.
    """
    if not len(features) == len(labels) == len(sources):
        raise ValueError(
            f"Expected a label and a source for each of {len(features)} messages, "
            f"found {len(labels)} labels and {len(sources)} sources."
        )
    targets = Targets.read(labels, sources)
    idf = inverse_frequency(features.sparse) if base is None else base.tensors["idf"]
    problem = _Problem.of(features, targets, np.asarray(idf, np.float32), options, base=base)
    if weights is not None:
        problem = replace(problem, shares=np.asarray(weights, np.float64))
    sharpness = _sharpness(problem, options)
    weight, offsets = problem.solve(options)
    n_dense = features.dense.shape[1]
    tensors = {
        "dense_weight": (weight[:n_dense] @ SCORES).astype(np.float16),
        "dense_bias": offsets[-1].astype(np.float32),
        "ngram_weight": (weight[n_dense:] @ SCORES).astype(np.float16),
        "ngram_bias": np.zeros(len(LEVELS), np.float32),
        "ngram_idf": np.asarray(idf, np.float16),
        "fusion": np.asarray([sharpness, sharpness], np.float32),
        "prior": np.full(len(LEVELS), 1.0 / len(LEVELS), np.float32),
    }
    meta = {
        "n_examples": len(labels),
        "n_per_label": dict(sorted(Counter(labels).items())),
        "n_base_examples": 0 if base is None else base.meta["n_examples"],
        "has_scope": False,
        "blocks": [list(block) for block in features.blocks],
    }
    return Head(task="sentiment", labels=LEVELS, tensors=tensors, meta=meta)


@dataclass(frozen=True, slots=True)
class Targets:
    """Which levels each label leaves open, and among which it chose: (n, 5) each."""

    allowed: Flags
    possible: Flags
    used_scores: Floats  # (n, 3), 0 for strength where labels say nothing of it
    places: npt.NDArray[np.int64]  # of each row's source in `sources`
    sources: tuple[str, ...]

    @classmethod
    def read(cls, labels: Sequence[str], sources: Sequence[str]) -> "Targets":
        """Reads labels as their source means them.

        A source that uses `very_…` labels has five levels; in others a side covers two of them, and
        where `neutral` never occurs it was not a choice.
        """
        unknown = sorted({*labels} - {*LEVELS})
        if unknown:
            raise ValueError(f"Expected labels among {', '.join(LEVELS)}, found {unknown!r}.")
        names = tuple(dict.fromkeys(sources))
        used: dict[str, set[str]] = {name: set() for name in names}
        for label, source in zip(labels, sources, strict=True):
            used[source].add(label)
        allowed = np.zeros((len(labels), len(LEVELS)), bool)
        possible = np.ones_like(allowed)
        used_scores = np.ones((len(labels), len(SCORES)), np.float32)
        for row, (label, source) in enumerate(zip(labels, sources, strict=True)):
            allowed[row, list(_meaning(label, used[source]))] = True
            used_scores[row, 2] = _has_strength(used[source])
            possible[row, 2] = len(used[source]) != 2 or "neutral" in used[source]
        for name, found in used.items():
            if len(found) < 2:
                raise ValueError(
                    f"Expected at least two labels in {name}, found {sorted(found)!r}."
                )
        places = np.asarray([names.index(source) for source in sources], np.int64)
        return cls(allowed, possible, used_scores, places, names)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Rows, what their labels say, and where the weights are expected: all that is minimised."""

    dense: Floats  # (n, d), centered
    center: Floats  # (d,)
    ngrams: "csr_matrix"  # (n, n_buckets)
    targets: Targets
    mean: Doubles  # (d + n_buckets, 3), where weights are expected
    precision: Doubles  # how firmly
    start: Doubles  # (5,) offsets
    shares: Doubles  # (n,) how much each row counts
    firmness: float  # of the balance of the sides at the start

    @classmethod
    def of(
        cls,
        features: Features,
        targets: Targets,
        idf: Floats,
        options: SentimentOptions,
        *,
        base: Base | None,
    ) -> "_Problem":
        n_buckets = features.sparse.shape[1]
        blocks = (*features.blocks, ("ngrams", n_buckets))
        scales = np.concatenate(
            [np.full(width, options.scales.get(name, 1.0)) for name, width in blocks]
        )
        precision = np.repeat((scales**-2.0)[:, None], len(SCORES), axis=1)
        mean = np.zeros_like(precision)
        start = np.zeros(len(LEVELS))
        center = features.dense.mean(axis=0)
        if base is not None:
            mean = np.asarray(base.tensors["weight"], np.float64)
            evidence = np.asarray(base.tensors["evidence"], np.float64)
            precision = precision + evidence * np.asarray(options.trust)
            start = np.asarray(base.tensors["offsets"], np.float64)
            start = start + center @ mean[: len(center)] @ SCORES
        return cls(
            dense=features.dense - center,
            center=center,
            ngrams=weigh_ngrams(features.sparse, idf),
            targets=targets,
            mean=mean,
            precision=precision,
            start=start,
            shares=np.ones(len(features)),
            firmness=0.0 if base is None else _FIRMNESS,
        )

    def solve(
        self, options: SentimentOptions, rows: npt.NDArray[np.int64] | None = None
    ) -> tuple[Doubles, Doubles]:
        """Returns the most probable weights (d + n_buckets, 3) and offsets (n_sources, 5)."""
        from scipy.optimize import minimize

        rows = np.arange(len(self.dense)) if rows is None else rows
        dense, ngrams = self.dense[rows], self.ngrams[rows]
        ngrams_t = ngrams.T.tocsr()
        allowed, possible = self.targets.allowed[rows], self.targets.possible[rows]
        used_scores = self.targets.used_scores[rows]
        shares = self.shares[rows]
        places, n_sources = self.targets.places[rows], len(self.targets.sources)
        n_dense, spread = dense.shape[1], 1.0 / np.sqrt(self.precision)
        n_weights = self.mean.size
        firm = np.full(n_sources + 1, self.firmness)  # (shared, of each source)
        if n_sources > 1:
            firm[-1] = 0.0

        def loss(values: Doubles) -> tuple[float, Doubles]:
            steps = values[:n_weights].reshape(self.mean.shape)
            moves = values[n_weights:].reshape(n_sources + 1, len(LEVELS))
            weight = (self.mean + spread * steps).astype(np.float32)
            scores = dense @ weight[:n_dense] + ngrams @ weight[n_dense:]
            logits = (scores * used_scores) @ SCORES + (self.start + moves[0] + moves[1:])[places]
            missed, pull = _marginal_loss(logits, allowed, possible, shares)
            back = (pull @ SCORES.T * used_scores).astype(np.float32)  # (n, 3)
            slope = np.concatenate([dense.T @ back, ngrams_t @ back])
            by_source = np.zeros((n_sources, len(LEVELS)))
            np.add.at(by_source, places, pull)
            tied = np.concatenate([[1e-3], np.full(n_sources, options.offset_scale**-2.0)])[:, None]
            pulls = tied * moves + firm[:, None] * (moves @ _BALANCE)[:, None] * _BALANCE
            value = missed + 0.5 * (steps**2).sum() + 0.5 * (pulls * moves).sum()
            shifts = np.vstack([by_source.sum(axis=0), by_source]) + pulls
            return value, np.concatenate([(slope * spread + steps).ravel(), shifts.ravel()])

        begin = np.zeros(n_weights + (n_sources + 1) * len(LEVELS))
        stop = {"maxiter": options.max_steps, "ftol": 1e-7, "maxcor": 15}
        found = minimize(loss, begin, jac=True, method="L-BFGS-B", options=stop).x
        weight = self.mean + spread * found[:n_weights].reshape(self.mean.shape)
        moves = found[n_weights:].reshape(n_sources + 1, len(LEVELS))
        shift = self.center @ weight[:n_dense] @ SCORES  # back to features that are not centered
        return weight, self.start + moves[0] + moves[1:] - shift

    def logits(self, weight: Doubles, offsets: Doubles, rows: npt.NDArray[np.int64]) -> Doubles:
        n_dense = self.dense.shape[1]
        scores = (self.dense[rows] + self.center) @ weight[:n_dense]
        scores = (scores + self.ngrams[rows] @ weight[n_dense:]) * self.targets.used_scores[rows]
        return np.asarray(scores @ SCORES + offsets[self.targets.places[rows]], np.float64)

    def evidence(self, weight: Doubles, offsets: Doubles) -> Doubles:
        """Returns (d + n_buckets, 3): the curvature of the labels' likelihood, at least 0."""
        logits = self.logits(weight, offsets, np.arange(len(self.dense)))
        curvature = _variances(logits, self.targets.possible)
        curvature = np.maximum(curvature - _variances(logits, self.targets.allowed), 0.0)  # (n, 3)
        curvature = curvature * self.targets.used_scores
        curvature = curvature * self.shares[:, None]
        squares = self.ngrams.multiply(self.ngrams).T @ curvature
        return np.concatenate([(self.dense**2).T @ curvature, squares])


def _has_strength(used: set[str]) -> bool:
    return any(name.startswith("very_") for name in used)


def _meaning(label: str, used: set[str]) -> tuple[int, ...]:
    if _has_strength(used):
        return (LEVELS.index(label),)
    return _SIDES[label]


def _masked_softmax(logits: Doubles, mask: Flags) -> tuple[Doubles, Doubles]:
    masked = np.where(mask, logits, -np.inf)
    top = masked.max(axis=1, keepdims=True)
    shares = np.exp(masked - top)
    total = shares.sum(axis=1, keepdims=True)
    return shares / total, (top + np.log(total))[:, 0]


def _marginal_loss(
    logits: Doubles, allowed: Flags, possible: Flags, shares: Doubles
) -> tuple[float, Doubles]:
    """Returns minus the log-probability that one of the allowed levels is true, and its slope."""
    among, log_among = _masked_softmax(logits, possible)
    within, log_within = _masked_softmax(logits, allowed)
    return float(shares @ (log_among - log_within)), shares[:, None] * (among - within)


def _variances(logits: Doubles, mask: Flags) -> Doubles:
    shares, _ = _masked_softmax(logits, mask)
    scores = SCORES.astype(np.float64)
    return np.asarray(shares @ scores.T**2 - (shares @ scores.T) ** 2)


def _sharpness(problem: _Problem, options: SentimentOptions) -> float:
    """Returns by what logits are multiplied so that held-out confidences are honest."""
    from scipy.optimize import minimize_scalar

    n = len(problem.dense)
    folds = np.random.default_rng(options.seed).permutation(n) % options.folds
    logits = np.zeros((n, len(LEVELS)))
    for fold in range(options.folds):
        weight, offsets = problem.solve(options, np.flatnonzero(folds != fold))
        held_out = np.flatnonzero(folds == fold)
        logits[held_out] = problem.logits(weight, offsets, held_out)
    kept = problem.targets.places == len(problem.targets.sources) - 1
    logits, shares = logits[kept], problem.shares[kept]
    allowed, possible = problem.targets.allowed[kept], problem.targets.possible[kept]

    def loss(log_sharpness: float) -> float:
        return _marginal_loss(np.exp(log_sharpness) * logits, allowed, possible, shares)[0]

    found = minimize_scalar(loss, bounds=(-2.0, 1.0), method="bounded")
    return float(np.exp(found.x))
