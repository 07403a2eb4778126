"""One trained head: features in, calibrated labels out.

Everything learned is in `tensors` (numbers) and `meta` (plain values), so a head is written as
safetensors and JSON and read back without running code. A head is linear twice, over the dense
rows and over the n-grams, and adds both in logits whose weights were fitted on held-out data. A
head with a scope also says how unlike its training data a message is; `oos` is then one of its
labels, with a probability like the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bot.classifiers.features import Features
from bot.classifiers.outliers import Scope
from bot.types import Prediction

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]

OUT_OF_SCOPE = "oos"
_TOP = 5


@dataclass(frozen=True, slots=True)
class Head:
    """A classifier of one task; its labels keep their order for ever.

    Tensors: `dense_weight` (d, k), `dense_bias` (k,), `ngram_weight` (n_buckets, k), `ngram_bias`
    (k,), `ngram_idf` (n_buckets,), `fusion` (2,), `prior` (n_labels,) and, with a scope, those of
    `outliers.Scope`. Where there is a scope, the k columns are the labels without `oos`, and one
    more at the end if there were enough out-of-scope examples to learn from.
    """

    task: str
    labels: tuple[str, ...]
    tensors: Mapping[str, npt.NDArray[Any]]
    meta: Mapping[str, Any]

    def probabilities(self, features: Features) -> Floats:
        """Returns (n, n_labels) float32, calibrated; rows sum to 1.

        A message with little substance gets what is usual instead of what its few letters say.
        """
        logits = self.logits(features)  # (n, k)
        scope = self.scope
        known = _softmax(logits[:, : len(self.known_labels)])
        if scope is not None:
            outside = scope.outside(features.dense, logits)[:, None]  # (n, 1)
            known = self._with_outside(known * (1.0 - outside), outside)
        kept = features.substance[:, None]
        prior = np.asarray(self.tensors["prior"], np.float32)
        mixed = kept * known + (1.0 - kept) * prior
        return np.asarray(mixed / mixed.sum(axis=1, keepdims=True), np.float32)

    def predict(self, features: Features) -> list[Prediction]:
        """Returns the most probable label of each message, and the runners-up."""
        predictions = []
        for row in self.probabilities(features):
            order = np.argsort(-row, kind="stable")[:_TOP]
            top = tuple((self.labels[i], float(row[i])) for i in order)
            predictions.append(Prediction(label=top[0][0], confidence=top[0][1], top=top))
        return predictions

    def outlier_scores(self, features: Features) -> Floats:
        """Returns (n,) float32, higher for messages less like the training data."""
        scope = self.scope
        if scope is None:
            raise ValueError(f"The head of {self.task!r} has no scope. Train it with one.")
        return scope.margin(features.dense, self.logits(features))

    def logits(self, features: Features) -> Floats:
        """Returns (n, k) float32: both linear parts, weighted, before the softmax."""
        dense_share, ngram_share = self.tensors["fusion"]
        logits = dense_share * linear(
            features.dense, self.tensors["dense_weight"], self.tensors["dense_bias"]
        )
        if "ngram_weight" in self.tensors:
            rows = weigh_ngrams(features.sparse, self.tensors["ngram_idf"])
            logits = logits + ngram_share * linear(
                rows, self.tensors["ngram_weight"], self.tensors["ngram_bias"]
            )
        return np.asarray(logits, np.float32)

    @property
    def scope(self) -> Scope | None:
        """The method that decides what is out of scope, if the head has one."""
        return Scope.from_tensors(self.tensors) if "scope_means" in self.tensors else None

    @property
    def known_labels(self) -> tuple[str, ...]:
        """The labels that the linear parts tell apart."""
        if "scope_means" not in self.tensors:
            return self.labels
        return tuple(label for label in self.labels if label != OUT_OF_SCOPE)

    def contributions(self, features: Features, label: str) -> dict[str, Floats]:
        """Returns (n,) per block: what each part added to the label's logit beyond the average's.

        The parts are the dense blocks by name and `ngrams`.
        """
        column = self.known_labels.index(label)
        centered = _beyond_average(self.tensors["dense_weight"], column)  # (d,)
        shares: dict[str, Floats] = {}
        start = 0
        for name, width in features.blocks:
            block = features.dense[:, start : start + width]
            shares[name] = self.tensors["fusion"][0] * (block @ centered[start : start + width])
            start += width
        if "ngram_weight" in self.tensors:
            rows = weigh_ngrams(features.sparse, self.tensors["ngram_idf"])
            shares["ngrams"] = np.asarray(rows @ self.ngram_weights(label), np.float32)
        return shares

    def ngram_weights(self, label: str) -> Floats:
        """Returns (n_buckets,): what each bucket adds to the label's logit beyond the average's."""
        column = self.known_labels.index(label)
        weights = _beyond_average(self.tensors["ngram_weight"], column)
        return np.asarray(weights * self.tensors["fusion"][1], np.float32)

    def _with_outside(self, known: Floats, outside: Floats) -> Floats:
        column = self.labels.index(OUT_OF_SCOPE)
        return np.concatenate([known[:, :column], outside, known[:, column:]], axis=1)


def weigh_ngrams(counts: "csr_matrix", idf: npt.NDArray[Any]) -> "csr_matrix":
    """Returns the rows weighted by inverse document frequency, of unit length (or zero)."""
    from scipy.sparse import csr_matrix

    data = counts.data * np.asarray(idf, np.float32)[counts.indices]
    lengths = np.sqrt(np.add.reduceat(np.append(data**2, 0.0), counts.indptr[:-1]))
    sizes = np.diff(counts.indptr)
    lengths = np.where(sizes > 0, np.maximum(lengths, 1e-9), 1.0)
    return csr_matrix(
        ((data / np.repeat(lengths, sizes)).astype(np.float32), counts.indices, counts.indptr),
        shape=counts.shape,
    )


def linear(rows: Any, weight: npt.NDArray[Any], bias: npt.NDArray[Any]) -> Floats:
    """Returns rows @ weight + bias in float32, whatever the weights are stored in."""
    return np.asarray(rows @ np.asarray(weight, np.float32) + np.asarray(bias, np.float32))


def _beyond_average(weight: npt.NDArray[Any], column: int) -> Floats:
    weight = np.asarray(weight, np.float32)
    return np.asarray(weight[:, column] - weight.mean(axis=1), np.float32)


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
