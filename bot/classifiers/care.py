"""What pages and routes call to look after the intents: own ones, clashes, heads, questions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.classifiers.clashes import Clash, repeated_examples, similar_intents
from bot.classifiers.features import normalize
from bot.classifiers.intents import IntentStore
from bot.classifiers.labels import LABELS, Task
from bot.classifiers.registry import HeadRegistry, RegisteredHead
from bot.classifiers.remembered import RememberedEmbedder
from bot.classifiers.renewal import IntentLearning, Material
from bot.classifiers.renewal_job import Corrections, RenewalStep
from bot.classifiers.uncertain import UncertainMessages
from knowledge.embedding import Vectors
from knowledge.job_run import JobRun
from knowledge.jobs import CHECK_INTENTS, TRAIN_INTENTS

_EMBEDDED_AT_ONCE = 48


@dataclass(frozen=True, slots=True)
class DefaultIntent:
    """An intent that ships; `f1` is None where it was not measured here."""

    label: str
    n_examples: int
    f1: float | None


@dataclass(frozen=True, slots=True)
class ClashReport:
    """The clashes found; those by meaning are missing where too much is not embedded yet."""

    clashes: Sequence[Clash]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class IntentCare:
    """The parts, and what is told from several of them."""

    store: IntentStore
    registry: HeadRegistry
    embedder: RememberedEmbedder
    learning: IntentLearning
    corrections: Corrections
    uncertain: UncertainMessages

    def labels(self) -> tuple[str, ...]:
        """Returns all intents there are: the default ones, then the company's that are enabled."""
        own = (intent.key for intent in self.store.list() if intent.draft.enabled)
        return (*LABELS[Task.INTENT], *own)

    def default_intents(self) -> Sequence[DefaultIntent]:
        """Returns what ships, with its last F1."""
        counts = Counter(example.label for example in self.learning.shipped())
        f1 = self.last_f1()
        return [DefaultIntent(x, counts[x], f1.get(x)) for x in LABELS[Task.INTENT]]

    def last_f1(self) -> Mapping[str, float]:
        """Returns each label's F1 of the head in service, where it was trained here."""
        head = self.serving_head()
        comparison = head.record.comparison if head and head.record else None
        return {x: after for x, (_, after) in comparison.labels.items()} if comparison else {}

    def live_labels(self) -> frozenset[str]:
        """Returns the labels that the promoted head has learned; empty where none is promoted."""
        head = self.serving_head()
        learned = head.record.lineage.get("examples") if head and head.record else None
        return frozenset(learned) if isinstance(learned, dict) else frozenset()

    def serving_head(self) -> RegisteredHead | None:
        """Returns the promoted intent head; None where the one that ships serves."""
        name = self.registry.serving_name(Task.INTENT)
        return self.registry.get(Task.INTENT, name) if name else None

    def clashes(self) -> ClashReport:
        """Returns what clashes among the enabled intents, and with the default ones."""
        own, default = Material(self.store.list()).own(), self.learning.shipped()
        same = repeated_examples(own, default)
        texts = [normalize(example.text) for example in [*default, *own]]
        if not own or self.embedder.n_missing(texts) > _EMBEDDED_AT_ONCE:
            return ClashReport(same, not own)
        similar = similar_intents(own, default, self._embed)
        return ClashReport([*same, *similar], True)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        return self.embedder.embed_queries([normalize(text) for text in texts])

    def steps(self) -> Mapping[str, Callable[[JobRun], None]]:
        """Returns what the jobs of intents do."""
        step = RenewalStep(self.store, self.registry, self.learning, self.corrections)
        return {CHECK_INTENTS: step, TRAIN_INTENTS: step}
