"""Adds labels to a head without touching what it knows.

A head that is trained anew with one more label also moves the others a little, and with them
messages that lie between two of them. Here the old labels keep their columns as they are: only a
message that a new label claims is labelled differently.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.classifiers.features import Features
from bot.classifiers.head import OUT_OF_SCOPE, Head

Floats = npt.NDArray[np.float32]


def extend(base: Head, full: Head, features: Features, labels: Sequence[str]) -> Head:
    """Returns `base` with those labels of `full` that it does not know.

    A softmax is the same whatever is added to all columns, so the columns of `full` are moved to
    where its mean over the shared labels is that of `base`, and scaled by how it weighs its parts.

    Args:
        base: Trained without the new labels; with a scope.
        full: Trained on the same and the examples of the new labels.
        features: The examples of the new labels.
        labels: Their labels.
    """
    added = [label for label in full.known_labels if label not in base.known_labels]
    known = tuple(sorted([*base.known_labels, *added]))
    tensors: dict[str, npt.NDArray[Any]] = dict(base.tensors)
    for n_part, name in enumerate(("dense", "ngram")):
        if f"{name}_weight" in base.tensors:
            ratio = float(full.tensors["fusion"][n_part]) / float(base.tensors["fusion"][n_part])
            for kind in ("weight", "bias"):
                columns = _columns(f"{name}_{kind}", base, full, ratio)
                joined = np.stack([columns[label] for label in known], axis=-1)
                rest = _rows(base, f"{name}_{kind}")[..., len(base.known_labels) :]
                joined = np.concatenate([joined, rest], axis=-1)
                tensors[f"{name}_{kind}"] = joined.astype(base.tensors[f"{name}_{kind}"].dtype)
    tensors["scope_means"] = _means(base, features, labels, known)
    names = tuple(sorted({*known, OUT_OF_SCOPE}))
    tensors["prior"] = _prior(base, names)
    meta = {**full.meta, "extended_by": added}
    return Head(task=base.task, labels=names, tensors=tensors, meta=meta)


def _rows(head: Head, name: str) -> Floats:
    return np.asarray(head.tensors[name], np.float32)  # (d, k) or (k,)


def _columns(name: str, base: Head, full: Head, ratio: float) -> Mapping[str, Floats]:
    """Returns each label's column: the base's own, the new ones moved and scaled to fit."""
    old, new = _rows(base, name), _rows(full, name)
    columns = {label: old[..., i] for i, label in enumerate(base.known_labels)}
    places = {label: i for i, label in enumerate(full.known_labels)}
    shared = new[..., [places[label] for label in base.known_labels]].mean(axis=-1)
    middle = old[..., : len(base.known_labels)].mean(axis=-1)
    for label, place in places.items():
        if label not in columns:
            columns[label] = ratio * (new[..., place] - shared) + middle
    return columns


def _means(base: Head, features: Features, labels: Sequence[str], known: Sequence[str]) -> Floats:
    """Returns the class means in the base's whitened space, with those of the new labels."""
    means = dict(zip(base.known_labels, _rows(base, "scope_means"), strict=True))
    rows = features.dense @ _rows(base, "scope_whitening")  # (n, r)
    given = np.asarray(labels)
    for label in known:
        if label not in means:
            means[label] = rows[given == label].mean(axis=0)
    return np.stack([means[label] for label in known]).astype(np.float32)


def _prior(base: Head, names: Sequence[str]) -> Floats:
    """Returns what a message without substance gets: as before, hardly ever a new label."""
    old = dict(zip(base.labels, _rows(base, "prior"), strict=True))
    prior = np.asarray([old.get(name, min(old.values())) for name in names], np.float32)
    return np.asarray(prior / prior.sum(), np.float32)
