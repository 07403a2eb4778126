"""Retrains the intent head with the company's own intents and compares it with the one in service.

What ships is always learned again, so no default intent is lost. The company's examples are judged
by cross-validation: each is predicted by a head that has not seen it. Its predictions are kept with
the head, so that the next renewal compares on the same footing.
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

    def held_out(self) -> Sequence[Example]:
        """Returns the examples that ship for comparing; no head learns from them."""

    def fit(self, examples: Sequence[Example], *, on_step: Step) -> LabelModel:
        """Trains a head; `on_step` is told the share in [0, 1] and may raise to end it."""

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

    def judged(self) -> Sequence[Example]:
        """Returns the examples that are learned from and judged by cross-validation."""
        return [
            Example(text, intent.key)
            for intent in self.intents
            if intent.draft.enabled
            for text in intent.draft.examples
        ]

    def described(self) -> Sequence[Example]:
        """Returns names and descriptions of intents that have hardly an example."""
        return [
            Example(text, intent.key)
            for intent in self.intents
            if intent.draft.enabled and len(intent.draft.examples) < WANTED_EXAMPLES
            for text in intent.draft.descriptions()
        ]


@dataclass(frozen=True, slots=True)
class Renewed:
    """A new head, how it compares (None without an old one), and where it comes from."""

    model: LabelModel
    comparison: Comparison | None
    lineage: Mapping[str, object]


def renew(
    learning: IntentLearning, material: Material, *, serving: ServingHead, on_step: Step
) -> Renewed:
    """Trains a head on all there is and compares it with the one in service."""
    own = material.judged()
    fixed = _fixed(learning.shipped(), material, own)
    n_fits = (_N_FOLDS if own else 0) + 1

    def fit(examples: Sequence[Example], number: int) -> LabelModel:
        return learning.fit(examples, on_step=lambda share: on_step((number + share) / n_fits))

    validated: dict[str, str] = {}  # by the text's hash
    for fold in range(n_fits - 1):
        inside = [example for example in own if _fold(example.text) == fold]
        if inside:
            rest = [example for example in own if _fold(example.text) != fold]
            said = fit([*fixed, *rest], fold).predict([example.text for example in inside])
            validated |= {_hash(e.text): label for e, label in zip(inside, said, strict=True)}
    model = fit([*fixed, *own], n_fits - 1)
    comparison = None
    if serving.folder.is_dir():
        held_out = _said(model, learning.held_out())
        held_out += [(example, validated[_hash(example.text)]) for example in own]
        comparison = _compared(learning.load(serving.folder), held_out, serving)
    lineage: dict[str, object] = {
        "examples": dict(sorted(Counter(e.label for e in [*fixed, *own]).items())),
        "own": dict(sorted(Counter(e.label for e in own).items())),
        "n_corrected": len(material.corrected),
        CROSS_VALIDATED: validated,
    }
    return Renewed(model, comparison, lineage)


def _fixed(
    shipped: Sequence[Example], material: Material, own: Sequence[Example]
) -> Sequence[Example]:
    """Returns what every fold learns from; the company's word counts for a text that it labels."""
    known = {e.label for e in shipped} | {i.key for i in material.intents if i.draft.enabled}
    corrected = {same_text(e.text): e for e in material.corrected if e.label in known}
    for example in own:
        corrected.pop(same_text(example.text), None)
    taken = corrected.keys() | {same_text(example.text) for example in own}
    kept = [example for example in shipped if same_text(example.text) not in taken]
    return [*kept, *corrected.values(), *material.described()]


def _said(model: LabelModel, examples: Sequence[Example]) -> list[tuple[Example, str]]:
    said = model.predict([example.text for example in examples])
    return list(zip(examples, said, strict=True))


def _compared(
    old: LabelModel, held_out: Sequence[tuple[Example, str]], serving: ServingHead
) -> Comparison:
    lineage = serving.record.lineage if serving.record else {}
    earlier = lineage.get(CROSS_VALIDATED)
    validated = earlier if isinstance(earlier, dict) else {}
    said = old.predict([example.text for example, _ in held_out])
    judged = [
        Judged(example.label, str(validated.get(_hash(example.text), label)), new)
        for (example, new), label in zip(held_out, said, strict=True)
    ]
    return compare(judged, old_labels=old.labels, against=serving.name)


def _hash(text: str) -> str:
    return hashlib.sha256(same_text(text).encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]


def _fold(text: str) -> int:
    return int(_hash(text), 16) % _N_FOLDS
