"""Trains intent heads on the examples that ship and what a company adds."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.classifiers.features import Featurizer, normalize
from bot.classifiers.fitting import FitOptions, fit, options_for
from bot.classifiers.head import Head
from bot.classifiers.intents import Example
from bot.classifiers.remembered import RememberedEmbedder
from bot.classifiers.renewal import Step
from knowledge.embedding import is_chinese

INTENT = "intent"
EXAMPLES = Path(__file__).with_name("examples")
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
        """Trains a head; a label with one example is taught by it as by a description."""
        on_step(0.0)
        counts = Counter(example.label for example in examples if not example.describes)
        said = [e for e in examples if not e.describes and counts[e.label] > 1]
        rest = [e for e in examples if e.describes or counts[e.label] == 1]
        featurizer = self._featurizer()
        features = featurizer.features([example.text for example in said])
        described = None
        if rest:
            texts = [example.text for example in rest]
            described = (featurizer.features(texts), [example.label for example in rest])
        on_step(0.3)
        labels = [example.label for example in said]
        head = fit(INTENT, features, labels, options=_options(), descriptions=described)
        on_step(1.0)
        return TextHead(head, featurizer, self._files)

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


def _options() -> FitOptions:
    """One strength, chosen when the shipped head was made: several heads are trained in a row."""
    options = options_for(INTENT)
    return replace(options, strengths=options.strengths[-1:])
