"""Trains intent heads on the examples that ship and what a company adds."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.classifiers.extending import extend
from bot.classifiers.features import Featurizer, normalize
from bot.classifiers.fitting import FitOptions, fit, options_for
from bot.classifiers.head import Head
from bot.classifiers.intents import Example
from bot.classifiers.remembered import RememberedEmbedder
from bot.classifiers.renewal import Step
from knowledge.embedding import is_chinese

INTENT = "intent"
EXAMPLES = Path(__file__).with_name("examples")
#: A label with fewer examples weighs as if it had so many, each example at most `_MAX_WEIGHT`.
_ENOUGH = 60.0
_MAX_WEIGHT = 8.0
_KEPT_BASES = 4  # as many as a cross-validation and the head itself need
_MULTILINGUAL_SHARE = 0.8  # of the time that embedding takes


@dataclass(frozen=True, slots=True)
class HeadFiles:
    """How a head is written into a folder, and read from one."""

    save: Callable[[Head, Path], object]
    load: Callable[[Path], Head]


@dataclass(frozen=True, slots=True)
class TextHead:
    """A head with what it reads texts by."""

    head: Head
    featurizer: Featurizer
    files: HeadFiles

    @property
    def labels(self) -> Sequence[str]:
        """The labels it may give."""
        return self.head.labels

    def predict(self, texts: Sequence[str]) -> Sequence[str]:
        """Returns each text's label."""
        if not texts:
            return []
        return [found.label for found in self.head.predict(self.featurizer.features(texts))]

    def save(self, folder: Path) -> None:
        """Writes the head's files into an empty folder."""
        self.files.save(self.head, folder)


class HeadLearning:
    """An `IntentLearning` over real heads.

    Args:
        multilingual: Remembers the vectors of all texts.
        english: Loads the embedder of texts that are not Chinese, when it is first needed.
        files: How heads are kept.
        examples: The folder of the examples that ship.
    """

    def __init__(
        self,
        multilingual: RememberedEmbedder,
        english: Callable[[], RememberedEmbedder],
        *,
        files: HeadFiles,
        examples: Path = EXAMPLES,
    ) -> None:
        self._multilingual = multilingual
        self._load_english = english
        self._files = files
        self._examples = examples
        self._lock = threading.Lock()
        self._english: RememberedEmbedder | None = None
        self._bases: dict[tuple[Example, ...], Head] = {}

    def shipped(self) -> Sequence[Example]:
        """Returns the examples that ship."""
        lines = (
            line
            for file in sorted(self._examples.glob("*.jsonl"))
            for line in file.read_text("utf-8").splitlines()
        )
        rows: list[Mapping[str, str]] = [json.loads(line) for line in lines if line.strip()]
        return [Example(row["text"], row[INTENT]) for row in rows if row.get(INTENT)]

    def prepare(self, examples: Sequence[Example], *, on_step: Step) -> None:
        """Embeds what is not remembered yet."""
        texts = [normalize(example.text) for example in examples]
        share = _MULTILINGUAL_SHARE
        self._multilingual.embed_in_steps(texts, on_step=lambda done: on_step(done * share))
        self._open_english().embed_in_steps(
            [text for text in texts if not is_chinese(text)],
            on_step=lambda done: on_step(share + done * (1.0 - share)),
        )

    def fit(self, examples: Sequence[Example], *, on_step: Step) -> TextHead:
        """Trains a head; labels that do not ship are added to one that knows the others.

        Raises:
            ValueError: there are fewer than two labels.
        """
        on_step(0.0)
        default = {example.label for example in self.shipped()}
        own = [example for example in examples if example.label not in default]
        head = self._base([example for example in examples if example.label in default])
        featurizer = self._featurizer()
        if own:
            on_step(0.5)
            full = self._fit(examples)
            features = featurizer.features([example.text for example in own])
            head = extend(head, full, features, [example.label for example in own])
        on_step(1.0)
        return TextHead(head, featurizer, self._files)

    def _base(self, examples: Sequence[Example]) -> Head:
        """Trains a head, unless it is one of those trained last: cross-validation asks again."""
        key = tuple(examples)
        if key not in self._bases:
            head = self._fit(examples)
            while len(self._bases) >= _KEPT_BASES:
                self._bases.pop(next(iter(self._bases)))
            self._bases[key] = head
        return self._bases[key]

    def _fit(self, examples: Sequence[Example]) -> Head:
        """Trains one head; a label with one example is taught by it as by a description."""
        counts = Counter(example.label for example in examples if not example.describes)
        said = [e for e in examples if not e.describes and counts[e.label] > 1]
        rest = [e for e in examples if e.describes or counts[e.label] == 1]
        featurizer = self._featurizer()
        features = featurizer.features([example.text for example in said])
        described = None
        if rest:
            texts = [example.text for example in rest]
            described = (featurizer.features(texts), [example.label for example in rest])
        labels = [example.label for example in said]
        return fit(
            INTENT,
            features,
            labels,
            options=_options(),
            weights=_weights(labels),
            descriptions=described,
        )

    def load(self, folder: Path) -> TextHead:
        """Reads a head."""
        return TextHead(self._files.load(folder), self._featurizer(), self._files)

    def _featurizer(self) -> Featurizer:
        return Featurizer(self._multilingual, self._open_english())

    def _open_english(self) -> RememberedEmbedder:
        with self._lock:
            if self._english is None:
                self._english = self._load_english()
            return self._english


def _weights(labels: Sequence[str]) -> Sequence[float]:
    """Lets the few examples of a new label weigh more, so that they stand up to the many others."""
    counts = Counter(labels)
    return [min(_MAX_WEIGHT, max(1.0, _ENOUGH / counts[label])) for label in labels]


def _options() -> FitOptions:
    """One strength, chosen when the shipped head was made: several heads are trained in a row."""
    options = options_for(INTENT)
    return replace(options, strengths=options.strengths[-1:])
