"""How sure we are that a search found anything that answers the query.

A logistic regression over a few cheap signs. Its coefficients are data (`relevance.json`, which
says how they were fitted), so a company's own questions can refit them. Words and vectors are
weighed together, because each alone fails: a question in the other language shares no words with
its answer, and every question lies near some passage.
"""

import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import exp
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from knowledge.embedding import is_chinese

FORMAT = 1
_HAS_DIGIT = re.compile(r"\d")
#: How many of the best passages may hold the query's words.
N_PASSAGES = 3

FEATURES = (
    "top_cosine",  # of the best passage by vector
    "cosine_gap",  # its lead over the tenth
    "word_share",  # of the query's words, weighed by rarity, found in one of the best passages
    "word_score",  # BM25 of the best passage by words, per query word
    "agreement",  # 1 when both indexes put the same passage first, falling with its rank
    "codes_missing",  # share of the query's numbers and codes that no best passage has
    "other_language",  # 1 when query and best passage are in different scripts
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one search saw; scores are best first.

    Args:
        query: The question as searched.
        words: Its content words with the share of passages that do not hold each, in [0, 1].
        passages: The best passages' texts, with those of `words` that each has.
        cosines: Scores of the vector index.
        word_scores: Scores of the lexical index.
        agreement: 1 / rank that the lexical index gave the best passage by vector, else 0.
    """

    query: str
    words: Mapping[str, float]
    passages: Sequence[tuple[str, frozenset[str]]]
    cosines: Sequence[float]
    word_scores: Sequence[float]
    agreement: float


def features(evidence: Evidence) -> tuple[float, ...]:
    """Returns one number for each name in `FEATURES`."""
    best = evidence.passages[:N_PASSAGES]
    cosines = list(evidence.cosines[:10]) or [0.0]
    codes = [word for word in evidence.words if _HAS_DIGIT.search(word)]
    found = frozenset[str]().union(*(words for _, words in best))
    foreign = bool(best) and is_chinese(evidence.query) != is_chinese(best[0][0])
    return (
        cosines[0],
        cosines[0] - cosines[-1],
        max((word_share(evidence.words, words) for _, words in best), default=0.0),
        (evidence.word_scores[0] if evidence.word_scores else 0.0) / (len(evidence.words) or 1),
        evidence.agreement,
        sum(code not in found for code in codes) / (len(codes) or 1),
        float(foreign),
    )


class Relevance(Protocol):
    """Judges what a search found."""

    @property
    def embedder(self) -> str:
        """Id of the embedder whose cosines it understands."""
        ...

    def predict(self, values: Sequence[float]) -> float:
        """Returns the probability in [0, 1] that the best passages answer the query."""
        ...


@dataclass(frozen=True, slots=True)
class RelevanceModel:
    """Standardises the features, then a logistic regression.

    Args:
        embedder: Whose cosines it was fitted on.
        mean: Of each feature.
        scale: Standard deviation of each feature, never 0.
        weights: One for each feature.
        intercept: Of the regression.
        note: On what it was fitted and how well it did on sets held out.
    """

    embedder: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    note: str

    def __post_init__(self) -> None:
        for name in ("mean", "scale", "weights"):
            if len(getattr(self, name)) != len(FEATURES):
                raise ValueError(f"Expected {len(FEATURES)} numbers in {name!r}.")

    def predict(self, values: Sequence[float]) -> float:
        """Returns the probability in [0, 1] that the best passages answer the query."""
        return 1.0 / (1.0 + exp(-max(-30.0, min(30.0, self.log_odds(values)))))

    def log_odds(self, values: Sequence[float]) -> float:
        """Returns the weighted sum that `predict` turns into a probability."""
        total = self.intercept
        for value, mean, scale, weight in zip(
            values, self.mean, self.scale, self.weights, strict=True
        ):
            total += weight * (value - mean) / scale
        return total

    def save(self, path: Path) -> None:
        """Writes JSON that `load` reads."""
        content = {"format": FORMAT, "features": list(FEATURES), **asdict(self)}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads a saved model, or the one that is shipped.

        Raises:
            ValueError: the file is of another format or has other features.
        """
        source = path or Path(str(files("knowledge"))) / "relevance.json"
        content = json.loads(source.read_text("utf-8"))
        if content.pop("format") != FORMAT or tuple(content.pop("features")) != FEATURES:
            raise ValueError(f"{source} was fitted for other features; fit it again.")
        for name in ("mean", "scale", "weights"):
            content[name] = tuple(content[name])
        return cls(**content)


def fit(
    rows: Sequence[Sequence[float]],
    labels: Sequence[bool],
    *,
    embedder: str,
    note: str,
    weights: Sequence[float] | None = None,
) -> RelevanceModel:
    """Fits a model on searches whose outcome is known.

    Args:
        rows: `features` of each search.
        labels: Whether its best passages did answer the query; both must occur.
        embedder: Id of the embedder that made the cosines.
        note: On what it is fitted; kept with the model.
        weights: How much each row counts; equal when not given.
    """
    from sklearn.linear_model import LogisticRegression

    values = np.asarray(rows, dtype=np.float64)  # (n, n_features)
    if values.ndim != 2 or values.shape[1] != len(FEATURES):
        raise ValueError(f"Expected (n, {len(FEATURES)}) features, got {values.shape}.")
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    regression = LogisticRegression(C=1.0, max_iter=1000)
    regression.fit((values - mean) / scale, np.asarray(labels), sample_weight=weights)
    return RelevanceModel(
        embedder=embedder,
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        weights=tuple(map(float, regression.coef_[0])),
        intercept=float(regression.intercept_[0]),
        note=note,
    )


def word_share(words: Mapping[str, float], found: Container[str]) -> float:
    """Returns the share of `words`, weighed by their rarity, that is among `found`."""
    total = sum(words.values())
    return sum(rarity for word, rarity in words.items() if word in found) / total if total else 0.0
