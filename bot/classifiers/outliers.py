"""Decides how probable it is that a message belongs to none of the labels.

Several signs are put together by a small logistic model fitted on held-out data: how far the
message is from the nearest class under a shared covariance, how much farther that is than from the
data as a whole, how much evidence the classifier saw for its best label, how far ahead of the
others that is, and, where examples of it were given, how much looks like something out of scope.
A softmax alone is confident on nonsense.

Sources: Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples",
NeurIPS 2018 (Mahalanobis); Ren et al., "A Simple Fix to Mahalanobis Distance", 2021 (relative
distance); Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020; Larson et al.,
"An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", EMNLP 2019 (the
task). Putting the signs together, and standing in for missing out-of-scope examples by labels held
out of the training, are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_SHRINKAGE = 0.1
#: How many of the messages are taken to be out of scope, whatever the training file holds.
_OUTSIDE_SHARE = 0.15
#: Log odds that a message must lie beyond what was seen, where no out-of-scope example is given:
#: new customers word things in new ways, and turning away a good question is the worse mistake.
_CAUTION = 2.0
N_SIGNS = 6


@dataclass(frozen=True, slots=True)
class Distances:
    """Class means and covariances of the dense rows, already whitened.

    `whitening` (d, r) maps a row to where the shared within-class covariance is the identity;
    `means` (k, r) are the class means there; `center` (r,) and `spread` (r,) describe all data.
    """

    whitening: Floats
    means: Floats
    center: Floats
    spread: Floats

    def signs(
        self, dense: Floats, logits: Floats, *, ignored: npt.NDArray[np.int64] | None = None
    ) -> Floats:
        """Returns (n, N_SIGNS) float32: what speaks for a message being out of scope.

        Args:
            dense: (n, d) rows.
            logits: (n, k) of the classifier, or (n, k + 1) with a last column for out of scope.
            ignored: For each row a column to leave out, as if that label were not known.
        """
        n_labels = len(self.means)
        known = logits[:, :n_labels]
        rows = dense @ self.whitening  # (n, r)
        squared = (rows**2).sum(axis=1)[:, None] - 2 * rows @ self.means.T
        squared = np.maximum(squared + (self.means**2).sum(axis=1), 0.0)  # (n, k)
        if ignored is not None:
            places = (np.arange(len(rows)), ignored)
            squared[places], known = np.inf, known.copy()
            known[places] = known.min(axis=1)
        nearest = squared.min(axis=1) / rows.shape[1]
        background = (((rows - self.center) / self.spread) ** 2).mean(axis=1)
        top = known.max(axis=1)
        energy = top + np.log(np.exp(known - top[:, None]).sum(axis=1))
        second = np.partition(known, -2, axis=1)[:, -2]
        apart = logits[:, -1] - top if logits.shape[1] > n_labels else np.zeros_like(top)
        signs = [np.sqrt(nearest), nearest - background, -top, energy - top, second - top, apart]
        return np.stack(signs, axis=1).astype(np.float32)


def measure_distances(dense: Floats, columns: npt.NDArray[np.int64], n_labels: int) -> Distances:
    """Fits means and covariance to in-scope rows, (n, d), of the classes in `columns`.

    The covariance is shrunk towards a multiple of the identity, so few examples are enough.
    """
    means = np.stack([dense[columns == column].mean(axis=0) for column in range(n_labels)])
    within = dense - means[columns]
    covariance = within.T @ within / len(dense)
    size = float(np.trace(covariance)) / len(covariance) or 1.0
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * size * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whitening = (vectors / np.sqrt(np.maximum(values, 1e-9))).astype(np.float32)  # (d, d)
    rows = dense @ whitening
    spread = np.sqrt(rows.var(axis=0) + 1e-6)
    return Distances(
        whitening=whitening,
        means=(means @ whitening).astype(np.float32),
        center=rows.mean(axis=0).astype(np.float32),
        spread=spread.astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """Distances with the logistic model over their signs.

    `weights` (N_SIGNS + 1,) ends with the intercept; `mean` and `scale` standardize the signs.
    """

    distances: Distances
    weights: Floats
    mean: Floats
    scale: Floats

    def margin(self, dense: Floats, logits: Floats) -> Floats:
        """Returns (n,) log odds of being out of scope."""
        signs = (self.distances.signs(dense, logits) - self.mean) / self.scale
        return np.asarray(signs @ self.weights[:-1] + self.weights[-1], np.float32)

    def outside(self, dense: Floats, logits: Floats) -> Floats:
        """Returns (n,) probabilities of being out of scope."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.margin(dense, logits))), np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Returns what `from_tensors` takes, to be saved with the head."""
        return {
            "scope_whitening": self.distances.whitening.astype(np.float16),
            "scope_means": self.distances.means,
            "scope_center": self.distances.center,
            "scope_spread": self.distances.spread,
            "scope_weights": self.weights,
            "scope_mean": self.mean,
            "scope_scale": self.scale,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> "Scope":
        """Builds the scope that `tensors` came from."""
        names = ("whitening", "means", "center", "spread")
        parts = [np.asarray(tensors[f"scope_{name}"], np.float32) for name in names]
        rest = [np.asarray(tensors[f"scope_{name}"], np.float32) for name in _LOGISTIC]
        return cls(Distances(*parts), *rest)


_LOGISTIC = ("weights", "mean", "scale")


def fit_scope(
    distances: Distances,
    inside: Floats,
    outside: Floats,
    *,
    accept: float | None,
) -> Scope:
    """Fits the logistic model to signs of held-out messages.

    Args:
        distances: What the signs will be measured with.
        inside: (n, N_SIGNS) signs of messages that belong to a label.
        outside: (m, N_SIGNS) signs of messages that do not.
        accept: The share of `inside` that must stay below even odds; None keeps the odds as
            fitted, as if a fixed share of messages were out of scope.
    """
    from sklearn.linear_model import LogisticRegression

    signs = np.concatenate([inside, outside])
    mean, scale = signs.mean(axis=0), signs.std(axis=0) + 1e-6
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    shares = np.repeat(
        [(1 - _OUTSIDE_SHARE) / len(inside), _OUTSIDE_SHARE / len(outside)],
        [len(inside), len(outside)],
    )
    model = LogisticRegression(C=1.0)
    model.fit((signs - mean) / scale, truth, shares * len(signs))
    weights = np.append(model.coef_[0], model.intercept_[0]).astype(np.float32)
    scope = Scope(distances, weights, mean.astype(np.float32), scale.astype(np.float32))
    if accept is None:
        return scope
    margins = ((inside - mean) / scale) @ weights[:-1] + weights[-1]
    weights[-1] -= np.quantile(margins, accept) + _CAUTION
    return scope
