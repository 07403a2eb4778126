"""Retrains the intent head with the company's own intents and compares it with the one in service.

What ships is always learned again, so no default intent is lost. The comparison is made by
cross-validation, so that every message is judged by a head that has not seen it and yet all are
learned from in the end. What was said of each is kept with the head, by the text's hash, so that
the next renewal compares on the same footing; for the head that ships it is found out anew.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.classifiers.comparison import Judged, compare
from bot.classifiers.intents import WANTED_EXAMPLES, CompanyIntent, Example, same_text
from bot.classifiers.registry import Comparison, HeadRecord

_N_FOLDS = 3
_HEX = 24
#: In a head's lineage: what cross-validation said of each example, by the text's hash.
CROSS_VALIDATED = "cross_validated"

Step = Callable[[float], None]


class LabelModel(Protocol):
    """A trained head that reads texts."""

    @property
    def labels(self) -> Sequence[str]:
        """The labels it may give."""

    def predict(self, texts: Sequence[str]) -> Sequence[str]:
        """Returns each text's label."""

    def save(self, folder: Path) -> None:
        """Writes its files into an empty folder."""


class IntentLearning(Protocol):
    """How intent heads are trained, and on what beside the company's examples."""

    def shipped(self) -> Sequence[Example]:
        """Returns the examples that ship, to learn from."""

    def prepare(self, examples: Sequence[Example], *, on_step: Step) -> None:
        """Computes what takes long and need not be done again for each head."""

    def fit(self, examples: Sequence[Example], *, on_step: Step) -> LabelModel:
        """Trains a head; `on_step` is told the share in [0, 1] and may raise to end it.

        Raises:
            ValueError: the examples cannot be learned from.
        """

    def load(self, folder: Path) -> LabelModel:
        """Reads a head."""


@dataclass(frozen=True, slots=True)
class ServingHead:
    """The head in service: where it is, its name (None: it ships) and its record."""

    folder: Path
    name: str | None
    record: HeadRecord | None


@dataclass(frozen=True, slots=True)
class Material:
    """What the company gives to learn from.

    Attributes:
        intents: its own intents; those that are not enabled are left out.
        corrected: messages with the label that a person gave them.
    """

    intents: Sequence[CompanyIntent]
    corrected: Sequence[Example] = ()

    def own(self) -> Sequence[Example]:
        """Returns the examples of its intents."""
        return [
            Example(text, intent.key)
            for intent in self.intents
            if intent.draft.enabled
            for text in intent.draft.examples
        ]

    def described(self) -> Sequence[Example]:
        """Returns names and descriptions of intents that have hardly an example."""
        return [
            Example(text, intent.key, describes=True)
            for intent in self.intents
            if intent.draft.enabled and len(intent.draft.examples) < WANTED_EXAMPLES
            for text in intent.draft.descriptions()
        ]


@dataclass(frozen=True, slots=True)
class Renewed:
    """A new head, how it compares, and where it comes from."""

    model: LabelModel
    comparison: Comparison
    lineage: Mapping[str, object]


def renew(
    learning: IntentLearning, material: Material, *, serving: ServingHead, on_step: Step
) -> Renewed:
    """Trains a head on all there is and compares it with the one in service."""
    shipped, own = learning.shipped(), material.own()
    earlier = _earlier(serving)
    is_asked = not earlier and serving.folder.is_dir()
    fits = _Fits(learning, on_step, total=1 + _N_FOLDS * (2 if is_asked else 1))
    if is_asked:
        earlier = fits.cross_validated(shipped, always=())
    always = _always(shipped, material, own)
    judged = [*_without(shipped, [*own, *always]), *own]
    validated = fits.cross_validated(judged, always=always)
    model = fits.fit([*judged, *always])
    old = learning.load(serving.folder) if serving.folder.is_dir() else None
    comparison = _compared(old, judged, serving, said=(earlier, validated))
    lineage: dict[str, object] = {
        "examples": dict(sorted(Counter(e.label for e in [*judged, *always]).items())),
        "own": dict(sorted(Counter(e.label for e in own).items())),
        CROSS_VALIDATED: validated,
    }
    return Renewed(model, comparison, lineage)


class _Fits:
    """Trains one head after the other and tells how far all are."""

    def __init__(self, learning: IntentLearning, on_step: Step, *, total: int) -> None:
        self._learning = learning
        self._on_step = on_step
        self._total = total
        self._n_done = 0

    def fit(self, examples: Sequence[Example]) -> LabelModel:
        def step(share: float) -> None:
            self._on_step(min(1.0, (self._n_done + share) / self._total))

        model = self._learning.fit(examples, on_step=step)
        self._n_done += 1
        return model

    def cross_validated(
        self, examples: Sequence[Example], *, always: Sequence[Example]
    ) -> dict[str, str]:
        """Returns what heads that have not seen a text say of it, by its hash.

        Args:
            examples: what is judged.
            always: what every head learns from.
        """
        said: dict[str, str] = {}
        for fold in range(_N_FOLDS):
            inside = [example for example in examples if _fold(example.text) == fold]
            rest = [example for example in examples if _fold(example.text) != fold]
            labels = self.fit([*rest, *always]).predict([example.text for example in inside])
            said |= {_hash(e.text): label for e, label in zip(inside, labels, strict=True)}
        return said


def _always(
    shipped: Sequence[Example], material: Material, own: Sequence[Example]
) -> Sequence[Example]:
    """Returns what is learned from but not judged: corrected messages, and descriptions."""
    known = {e.label for e in shipped} | {i.key for i in material.intents if i.draft.enabled}
    corrected = {same_text(e.text): e for e in material.corrected if e.label in known}
    return [*_without(list(corrected.values()), own), *material.described()]


def _without(examples: Sequence[Example], others: Sequence[Example]) -> Sequence[Example]:
    """Leaves out what `others` say again: the company's word counts for a text that it labels."""
    taken = {same_text(other.text) for other in others}
    return [example for example in examples if same_text(example.text) not in taken]


def _earlier(serving: ServingHead) -> dict[str, str]:
    """Returns what cross-validation said when the head in service was made."""
    kept = serving.record.lineage.get(CROSS_VALIDATED) if serving.record else None
    return {str(key): str(label) for key, label in kept.items()} if isinstance(kept, dict) else {}


def _compared(
    old: LabelModel | None,
    judged: Sequence[Example],
    serving: ServingHead,
    *,
    said: tuple[Mapping[str, str], Mapping[str, str]],
) -> Comparison:
    """Compares what both said; of texts that were new to it, the old head is asked now."""
    before, after = said
    unseen = [example for example in judged if _hash(example.text) not in before]
    labels = old.predict([example.text for example in unseen]) if old else [""] * len(unseen)
    known = dict(before) | {_hash(e.text): x for e, x in zip(unseen, labels, strict=True)}
    pairs = ((example.label, _hash(example.text)) for example in judged)
    found = [Judged(label, known[key], after[key]) for label, key in pairs]
    return compare(found, old_labels=old.labels if old else (), against=serving.name)


def _hash(text: str) -> str:
    return hashlib.sha256(same_text(text).encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]


def _fold(text: str) -> int:
    return int(_hash(text), 16) % _N_FOLDS
