"""Why a head says what it says: the words that pushed it, and the labelled messages like this one.

A word's push is how much the label's log-probability falls when the word is left out, which sees
the encoders as well as the n-grams.

Source: J. Li, W. Monroe and D. Jurafsky, Understanding Neural Networks through Representation
Erasure, 2016.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bot.classifiers.dataset import Example
from bot.classifiers.features import Featurizer, normalize
from bot.classifiers.head import Head
from knowledge.embedding import Vectors

_MAX_WORDS = 60
_N_WORDS, _N_NEAREST = 5, 3
_MIN_PUSH = 0.01
_TOKEN = re.compile(
    r"[\u3400-\u9fff]{1,2}|[^\W\u3400-\u9fff]+(?:['’-][^\W\u3400-\u9fff]+)*|[!?！？]+"
)

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Nearest:
    """A labelled message like the one explained; `similarity` is a cosine."""

    text: str
    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What speaks for a label: words with their push, strongest first, and examples."""

    label: str
    words: tuple[tuple[str, float], ...]
    nearest: tuple[Nearest, ...]


class Explainer:
    """Explains predictions by what a head reads and the examples that ship.

    Args:
        featurizer: what the heads read.
        embed: gives unit vectors of messages; one that remembers makes the second time quick.
        examples: a task's labelled messages.
    """

    def __init__(
        self, featurizer: Featurizer, embed: Embed, examples: Callable[[str], Sequence[Example]]
    ) -> None:
        self._featurizer = featurizer
        self._embed = embed
        self._examples = examples

    def explain(self, text: str, label: str, head: Head) -> Explanation:
        """Returns what pushed the head towards `label`, and the messages nearest to the text."""
        return Explanation(label, self._words(text, label, head), self._nearest(text, head.task))

    def _words(self, text: str, label: str, head: Head) -> tuple[tuple[str, float], ...]:
        plain = normalize(text)
        found = list(_TOKEN.finditer(plain))[:_MAX_WORDS]
        without = [plain[: one.start()] + " " + plain[one.end() :] for one in found]
        shares = head.probabilities(self._featurizer.features([plain, *without]))
        of_label = np.log(np.maximum(shares[:, head.labels.index(label)], 1e-6))  # (1 + words,)
        pushes = of_label[0] - of_label[1:]
        order = np.argsort(-pushes, kind="stable")[:_N_WORDS]
        return tuple(
            (found[at].group(), round(float(pushes[at]), 3))
            for at in order
            if pushes[at] >= _MIN_PUSH
        )

    def _nearest(self, text: str, task: str) -> tuple[Nearest, ...]:
        examples = self._examples(task)
        if not examples:
            return ()
        vectors = self._embed([normalize(one.text) for one in examples])
        likeness = vectors @ self._embed([normalize(text)])[0]
        order = np.argsort(-likeness, kind="stable")[:_N_NEAREST]
        return tuple(
            Nearest(examples[at].text, examples[at].label, round(float(likeness[at]), 3))
            for at in order
        )
