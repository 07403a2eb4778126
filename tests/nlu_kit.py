"""A quick stand-in for training intent heads: a text gets the label it shares most words with."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.classifiers.intents import Example

SHIPPED = [
    *(Example(f"where is my parcel {word}", "delivery") for word in ("now", "today", "please")),
    *(Example(f"give me the money back {word}", "refund") for word in ("now", "today", "please")),
    *(Example(f"hello {word}", "greeting") for word in ("there", "shop", "you")),
]
HELD_OUT = [
    Example("where is the parcel", "delivery"),
    Example("the money back", "refund"),
    Example("hello hello", "greeting"),
]


class WordModel:
    """Votes by word; knows nothing but the words of its examples."""

    def __init__(self, votes: dict[str, dict[str, float]], labels: Sequence[str]) -> None:
        self._votes = votes
        self.labels = tuple(labels)

    def predict(self, texts: Sequence[str]) -> Sequence[str]:
        return [self._label(text) for text in texts]

    def save(self, folder: Path) -> None:
        stored = {"votes": self._votes, "labels": self.labels}
        (folder / "model.json").write_text(json.dumps(stored))

    def _label(self, text: str) -> str:
        score: Counter[str] = Counter()
        for word in text.lower().split():
            score.update(self._votes.get(word, {}))
        return max(sorted(score), key=score.__getitem__, default="oos")


class WordLearning:
    """Trains `WordModel`s; `spoil` names a label that new heads forget; `error` makes it fail."""

    def __init__(self) -> None:
        self.spoil: str | None = None
        self.error: Exception | None = None
        self.fitted: list[list[Example]] = []

    def shipped(self) -> Sequence[Example]:
        return SHIPPED

    def held_out(self) -> Sequence[Example]:
        return HELD_OUT

    def fit(self, examples: Sequence[Example], *, on_step: Callable[[float], None]) -> WordModel:
        on_step(0.0)
        if self.error is not None:
            raise self.error
        self.fitted.append(list(examples))
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for example in examples:
            for word in example.text.lower().split():
                if example.label != self.spoil:
                    votes[word][example.label] += 1
        shares = {
            word: {label: n / counts.total() for label, n in counts.items()}
            for word, counts in votes.items()
        }
        on_step(1.0)
        return WordModel(shares, sorted({example.label for example in examples}))

    def load(self, folder: Path) -> WordModel:
        stored = json.loads((folder / "model.json").read_text())
        return WordModel(stored["votes"], stored["labels"])
