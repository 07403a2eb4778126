"""Weighs the signs of two figures into the probability that they contradict each other.

A logistic regression; `conflict_weights.json` says what it was fitted on, and
`python -m tests.fit_conflicts` makes it anew.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConflictModel:
    """The weights of the signs, as standardised; a pair counts from `threshold` on."""

    names: tuple[str, ...]
    mean: Rows  # (n_signs,)
    scale: Rows  # (n_signs,)
    weights: Rows  # (n_signs,)
    intercept: float
    threshold: float
    note: str = ""

    def probabilities(self, rows: Sequence[Sequence[float]]) -> Rows:
        """Returns (n,) in [0, 1] for (n, n_signs) rows."""
        if not rows:
            return np.empty(0)
        standard = (np.asarray(rows, np.float64) - self.mean) / self.scale
        return np.asarray(1 / (1 + np.exp(-(standard @ self.weights + self.intercept))))

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads the weights that ship with the package, or others."""
        source = path or Path(str(files("knowledge"))) / "conflict_weights.json"
        content = json.loads(source.read_text("utf-8"))
        signs = content["signs"]
        return cls(
            names=tuple(signs),
            mean=np.array([sign["mean"] for sign in signs.values()]),
            scale=np.array([sign["scale"] for sign in signs.values()]),
            weights=np.array([sign["weight"] for sign in signs.values()]),
            intercept=content["intercept"],
            threshold=content["threshold"],
            note=content["note"],
        )

    def save(self, path: Path) -> None:
        """Writes the weights as `load` reads them."""
        signs = {
            name: {"mean": round(m, 5), "scale": round(s, 5), "weight": round(w, 4)}
            for name, m, s, w in zip(
                self.names,
                self.mean.tolist(),
                self.scale.tolist(),
                self.weights.tolist(),
                strict=True,
            )
        }
        content = {
            "signs": signs,
            "intercept": round(self.intercept, 4),
            "threshold": self.threshold,
            "note": self.note,
        }
        path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
