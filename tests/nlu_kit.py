"""A quick stand-in for training intent heads: a text gets the label it shares most words with."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.classifiers.intents import Example
from bot.classifiers.remembered import RememberedEmbedder

WORDS = ("now", "today", "please", "again", "friend", "shop")
SHIPPED = [
    *(Example(f"where is my parcel {word}", "delivery") for word in WORDS),
    *(Example(f"give me the money back {word}", "refund") for word in WORDS),
    *(Example(f"hello {word}", "greeting") for word in WORDS),
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
    """Trains `WordModel`s; `spoil` names a label that is forgotten where there are others beside
    the shipped ones; `error` makes training fail."""

    def __init__(self, embedder: RememberedEmbedder | None = None) -> None:
        self.embedder = embedder
        self.spoil: str | None = None
        self.error: Exception | None = None
        self.fitted: list[list[Example]] = []

    def shipped(self) -> Sequence[Example]:
        return SHIPPED

    def prepare(self, examples: Sequence[Example], *, on_step: Callable[[float], None]) -> None:
        on_step(0.0)
        if self.embedder is not None:
            self.embedder.embed_queries([example.text for example in examples])

    def fit(self, examples: Sequence[Example], *, on_step: Callable[[float], None]) -> WordModel:
        on_step(0.0)
        if self.error is not None:
            raise self.error
        self.fitted.append(list(examples))
        is_spoilt = {e.label for e in examples} - {e.label for e in SHIPPED}
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for example in examples:
            for word in example.text.lower().split():
                if not is_spoilt or example.label != self.spoil:
                    votes[word][example.label] += 1
        shares = {
            word: {label: n / counts.total() for label, n in counts.items()}
            for word, counts in votes.items()
        }
        on_step(1.0)
        return WordModel(shares, sorted({example.label for example in examples}))

    def load(self, folder: Path) -> WordModel:
        if not (folder / "model.json").exists():  # the head that ships: real, and of another kind
            return self.fit(SHIPPED, on_step=lambda share: None)
        stored = json.loads((folder / "model.json").read_text())
        return WordModel(stored["votes"], stored["labels"])
