"""Trains a head: after the examples were cleaned and featurized, before it is saved.

Regularisation is chosen by stratified cross-validation. The scores of the folds, each given by
parts that never saw the row, then fit how the two linear parts are weighed and, for intents, how
out of scope is told. The last step fits the parts to all rows.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bot.classifiers.calibration import fit_fusion
from bot.classifiers.discriminant import fit_discriminant
from bot.classifiers.features import Features
from bot.classifiers.head import OUT_OF_SCOPE, Head, linear, weigh_ngrams
from bot.classifiers.outliers import N_SIGNS, Distances, Scope, fit_scope, measure_distances

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_MIN_OUTSIDE = 20
#: From so many rows on the discriminant helps (2 to 5 points on our own messages); below, where the
#: folds hold near-copies of each other, it takes 1 to 4 points.
_MIN_DISCRIMINANT = 1000


@dataclass(frozen=True, slots=True)
class FitOptions:
    """How a head is trained.

    Attributes:
        strengths: Inverse regularisation strengths (C) of the dense part to choose from.
        ngram_strength: C of the n-gram part; 0 leaves it out.
        folds: Of the cross-validation; fewer where a label has fewer examples.
        seed: Of the folds.
        balanced: How far rare labels are raised to the weight of frequent ones: 0 not at all, 1
            until all weigh the same.
        scope: Whether messages may belong to none of the labels.
        accept: The share of messages with a label that must not be taken for out of scope when no
            out-of-scope example is given.
    """

    strengths: tuple[float, ...] = (1.0, 10.0)
    ngram_strength: float = 1.0
    folds: int = 5
    seed: int = 0
    balanced: float = 0.0
    scope: bool = False
    accept: float = 0.99


def options_for(task: str) -> FitOptions:
    """Returns the options that serve this task best."""
    if task == "intent":
        return FitOptions(strengths=(1.0, 3.0, 10.0), balanced=0.5, scope=True)
    return FitOptions(strengths=(0.1, 1.0, 10.0), balanced=1.0)


def fit(
    task: str,
    features: Features,
    labels: Sequence[str],
    *,
    options: FitOptions,
    weights: Sequence[float] | None = None,
    descriptions: tuple[Features, Sequence[str]] | None = None,
) -> Head:
    """Trains a head on labelled messages.

    Args:
        task: Remembered by the head.
        features: One row for each message.
        labels: One for each row; `oos` are messages that belong to none of the others.
        options: How; see `options_for`.
        weights: How much each row counts; None for all the same.
        descriptions: Rows and labels that describe a label instead of being said by customers:
            its name, its description. A label may have nothing else (zero-shot).

    Raises:
        ValueError: fewer than two labels, a label with a single example, or lengths that differ.
    """
    rows = _Rows.join(features, labels, weights, descriptions)
    known = tuple(sorted(set(rows.labels) - ({OUT_OF_SCOPE} if options.scope else set())))
    _check(rows, known)
    places = {label: column for column, label in enumerate(known)}
    columns = np.asarray([places.get(label, -1) for label in rows.labels], np.int64)
    rows = replace(rows, columns=columns, shares=_balance(rows.shares, columns, options))
    trained = _Trainer(rows, len(known), options)
    strength, held_out = trained.choose_strength()
    tensors = trained.fit_parts(strength, held_out.fusion).tensors()
    names = known
    if options.scope:
        tensors |= trained.fit_scope(held_out).tensors()
        names = tuple(sorted({*known, OUT_OF_SCOPE}))
    tensors["prior"] = _prior(names, options)
    meta = {
        "n_examples": len(rows.labels),
        "n_per_label": dict(sorted(Counter(rows.labels).items())),
        "strength": strength,
        "has_scope": options.scope,
        "blocks": [list(block) for block in features.blocks],
    }
    return Head(task=task, labels=names, tensors=tensors, meta=meta)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The training rows: features, labels, their columns (-1 out of scope), how much they count."""

    dense: Floats
    sparse: "csr_matrix"
    labels: tuple[str, ...]
    columns: Ints
    shares: Floats
    is_description: npt.NDArray[np.bool_]

    @classmethod
    def join(
        cls,
        features: Features,
        labels: Sequence[str],
        weights: Sequence[float] | None,
        descriptions: tuple[Features, Sequence[str]] | None,
    ) -> "_Rows":
        from scipy.sparse import vstack

        n = len(features)
        if len(labels) != n or (weights is not None and len(weights) != n):
            n_weights = n if weights is None else len(weights)
            raise ValueError(
                f"Expected a label and a weight for each of {n} messages, "
                f"found {len(labels)} labels and {n_weights} weights."
            )
        shares = np.ones(n, np.float32) if weights is None else np.asarray(weights, np.float32)
        extra, extra_labels = descriptions or (features[:0], [])
        return cls(
            dense=np.concatenate([features.dense, extra.dense]),
            sparse=vstack([features.sparse, extra.sparse]).tocsr(),
            labels=(*labels, *extra_labels),
            columns=np.zeros(n + len(extra), np.int64),
            shares=np.concatenate([shares, _description_shares(labels, extra_labels)]),
            is_description=np.repeat([False, True], [n, len(extra)]),
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """Both linear parts and how they are weighed against each other."""

    fusion: Floats  # (2,)
    dense_weight: Floats
    dense_bias: Floats
    idf: Floats
    ngram_weight: Floats | None
    ngram_bias: Floats | None

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        found: dict[str, npt.NDArray[Any]] = {
            "fusion": self.fusion,
            "dense_weight": self.dense_weight.astype(np.float16),
            "dense_bias": self.dense_bias,
        }
        if self.ngram_weight is not None and self.ngram_bias is not None:
            found["ngram_weight"] = self.ngram_weight.astype(np.float16)
            found["ngram_bias"] = self.ngram_bias
            found["ngram_idf"] = self.idf
        return found


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Scores of rows by parts that did not see them, and how they are best added."""

    rows: Ints
    logits: Floats  # (n, n_columns), added
    fusion: Floats  # of the regression, the discriminant and the n-grams, as used


class _Trainer:
    """Fits parts to subsets of the rows.

    Enough out-of-scope examples get a column of their own behind those of the labels, which only
    serves as a sign of being out of scope; fewer are left out of the parts.
    """

    def __init__(self, rows: _Rows, n_labels: int, options: FitOptions) -> None:
        self._rows = rows
        self._n_labels = n_labels
        self._options = options
        self._folds = _assign_folds(rows, options)
        inside = rows.columns >= 0
        self._has_outside = int((~inside).sum()) >= _MIN_OUTSIDE
        self._n_columns = n_labels + self._has_outside
        self._targets = np.where(inside, rows.columns, n_labels)
        self._is_taught = inside | self._has_outside
        self._uses_discriminant = int(self._is_taught.sum()) >= _MIN_DISCRIMINANT

    def choose_strength(self) -> tuple[float, _HeldOut]:
        """Returns the C with the least held-out loss, and the held-out scores it gave."""
        tested = np.flatnonzero(self._folds >= 0)
        strengths = self._options.strengths
        if len(tested) == 0:
            fusion = np.asarray([1.2, 0.3], np.float32)
            return strengths[-1], _HeldOut(
                tested, np.zeros((0, self._n_columns), np.float32), fusion
            )
        others = []
        if self._uses_discriminant:
            others.append(self._held_out(self._discriminant_scores, tested))
        if self._options.ngram_strength:
            others.append(self._held_out(self._ngram_scores, tested))
        best: tuple[float, float, _HeldOut] | None = None
        for strength in strengths:
            dense = self._held_out(self._dense_scores(strength), tested)
            parts = [dense, *others]
            columns, shares = self._rows.columns[tested], self._rows.shares[tested]
            inside = columns >= 0
            known = [part[inside, : self._n_labels] for part in parts]
            fusion, loss = fit_fusion(known, columns[inside], shares[inside])
            logits = np.tensordot(fusion, np.stack(parts), axes=1)
            if best is None or loss < best[0]:
                best = (loss, strength, _HeldOut(tested, logits, fusion))
        assert best is not None  # noqa: S101  # strengths is not empty
        return best[1], best[2]

    def fit_parts(self, strength: float, fusion: Floats) -> _Parts:
        """Fits all parts to all rows; both that read the dense rows become one."""
        subset = np.flatnonzero(self._is_taught)
        weight, bias = self._fit_dense(subset, strength)
        if self._uses_discriminant:
            closed_weight, closed_bias = self._fit_discriminant(subset)
            share = fusion[1] / fusion[0]
            weight, bias = weight + share * closed_weight, bias + share * closed_bias
        if not self._options.ngram_strength:
            return _Parts(fusion[[0, 0]], weight, bias, np.zeros(0, np.float32), None, None)
        idf = inverse_frequency(self._rows.sparse[subset])
        ngram_weight, ngram_bias = self._fit_ngrams(subset, idf)
        return _Parts(fusion[[0, -1]], weight, bias, idf, ngram_weight, ngram_bias)

    def fit_scope(self, held_out: _HeldOut) -> Scope:
        """Fits what tells messages out of scope, on held-out rows.

        Where too few out-of-scope examples are given, messages stand in for them whose own label
        is left out of the comparison, as if it were one the company does not know.
        """
        rows, tested = self._rows, held_out.rows
        columns, folds = rows.columns[tested], self._folds[tested]
        signs = np.zeros((len(tested), N_SIGNS), np.float32)
        strange = np.zeros_like(signs)
        for fold in range(self._options.folds):
            here = folds == fold
            if not here.any():
                continue
            part = self._distances(self._folds != fold)
            dense, logits = rows.dense[tested[here]], held_out.logits[here]
            signs[here] = part.signs(dense, logits)
            strange[here] = part.signs(dense, logits, ignored=np.maximum(columns[here], 0))
        inside, outside = signs[columns >= 0], signs[columns < 0]
        distances = self._distances(np.ones(len(rows.columns), bool))
        if self._has_outside:
            return fit_scope(distances, inside, outside, accept=None)
        outside = np.concatenate([outside, strange[columns >= 0]])
        return fit_scope(distances, inside, outside, accept=self._options.accept)

    def _distances(self, mask: npt.NDArray[np.bool_]) -> Distances:
        kept = np.flatnonzero(mask & (self._rows.columns >= 0))
        return measure_distances(self._rows.dense[kept], self._rows.columns[kept], self._n_labels)

    def _held_out(self, fit_and_score: Callable[[Ints, Ints], Floats], tested: Ints) -> Floats:
        """Returns (n_tested, n_columns): each fold's rows scored by a part fitted to the others."""
        scores = np.zeros((len(tested), self._n_columns), np.float32)
        for fold in range(self._options.folds):
            here = self._folds[tested] == fold
            if here.any():
                kept = np.flatnonzero((self._folds != fold) & self._is_taught)
                scores[here] = fit_and_score(kept, tested[here])
        return scores

    def _dense_scores(self, strength: float) -> Callable[[Ints, Ints], Floats]:
        def fit_and_score(kept: Ints, asked: Ints) -> Floats:
            return linear(self._rows.dense[asked], *self._fit_dense(kept, strength))

        return fit_and_score

    def _ngram_scores(self, kept: Ints, asked: Ints) -> Floats:
        idf = inverse_frequency(self._rows.sparse[kept])
        rows = weigh_ngrams(self._rows.sparse[asked], idf)
        return linear(rows, *self._fit_ngrams(kept, idf))

    def _fit_dense(self, kept: Ints, strength: float) -> tuple[Floats, Floats]:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        model.fit(self._rows.dense[kept], self._targets[kept], self._rows.shares[kept])
        return _per_label(model)

    def _discriminant_scores(self, kept: Ints, asked: Ints) -> Floats:
        return linear(self._rows.dense[asked], *self._fit_discriminant(kept))

    def _fit_discriminant(self, kept: Ints) -> tuple[Floats, Floats]:
        return fit_discriminant(self._rows.dense[kept], self._targets[kept], self._n_columns)

    def _fit_ngrams(self, kept: Ints, idf: Floats) -> tuple[Floats, Floats]:
        from sklearn.svm import LinearSVC

        rows = weigh_ngrams(self._rows.sparse[kept], idf)
        model = LinearSVC(C=self._options.ngram_strength, random_state=self._options.seed)
        model.fit(rows, self._targets[kept], self._rows.shares[kept])
        return _per_label(model)


def _description_shares(labels: Sequence[str], described: Sequence[str]) -> Floats:
    """Returns how much each description counts: more where it stands for all examples."""
    counts, rows = Counter(labels), Counter(described)
    usual = sum(counts.values()) / max(1, len(counts))
    shares = [1.0 if counts[x] else np.clip(usual / rows[x], 1.0, 8.0) for x in described]
    return np.asarray(shares, np.float32)


def _per_label(model: Any) -> tuple[Floats, Floats]:
    """Returns weights (d, k) and biases (k,), also for two labels, of which libraries keep one."""
    weight = np.asarray(model.coef_.T, np.float32)
    bias = np.asarray(model.intercept_, np.float32)
    if weight.shape[1] == 1:
        return np.hstack([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return weight, bias


def inverse_frequency(counts: "csr_matrix") -> Floats:
    """Returns (n_buckets,): how rare each n-gram is among the messages."""
    n_with = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + n_with)) + 1.0, np.float32)


def _assign_folds(rows: _Rows, options: FitOptions) -> Ints:
    """Returns each row's fold; -1 for rows that are always trained on.

    Each label is dealt out by itself, so every fold has its share of it. Descriptions are no test
    of anything, and a label's only example would leave nothing to train on.
    """
    folds = np.full(len(rows.columns), -1, np.int64)
    random = np.random.default_rng(options.seed)
    for column in np.unique(rows.columns):
        of_label = rows.columns == column
        own = random.permutation(np.flatnonzero(of_label & ~rows.is_description))
        if of_label.sum() > 1:
            folds[own] = (np.arange(len(own)) + random.integers(options.folds)) % options.folds
    return folds


def _balance(shares: Floats, columns: Ints, options: FitOptions) -> Floats:
    """Returns how much each row counts, rare labels raised as far as `balanced` says."""
    if not options.balanced:
        return shares
    sums = np.bincount(columns[columns >= 0], weights=shares[columns >= 0])
    factors = (sums.sum() / (len(sums) * sums)) ** options.balanced
    balanced = np.where(columns >= 0, shares * factors[np.maximum(columns, 0)], shares)
    return np.asarray(balanced, np.float32)


def _prior(names: tuple[str, ...], options: FitOptions) -> Floats:
    """What is said of a message without substance: anything, or that it is out of scope."""
    prior = np.full(len(names), 1.0 / len(names), np.float32)
    if options.scope:
        prior *= 0.6
        prior[names.index(OUT_OF_SCOPE)] += 0.4
    return prior


def _check(rows: _Rows, known: Sequence[str]) -> None:
    if len(known) < 2:
        raise ValueError(
            f"Expected examples of at least two labels, found {list(known)!r}. "
            "Add examples of what the label is to be told apart from."
        )
    counts = Counter(rows.labels)
    described = {rows.labels[row] for row in np.flatnonzero(rows.is_description)}
    single = [label for label in known if counts[label] < 2 and label not in described]
    if single:
        raise ValueError(
            f"Expected at least two examples of each label, found one of {', '.join(single)}. "
            "Add examples or a description, or leave the label out."
        )
