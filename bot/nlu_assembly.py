"""Puts together what understands messages and what keeps people's labels; part of the assembly."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Engine

from bot import audit
from bot.classifiers.analysis import MessageAnalyzer
from bot.classifiers.care import IntentCare
from bot.classifiers.corrections import corrected_examples
from bot.classifiers.features import Featurizer
from bot.classifiers.files import load_head, save_head
from bot.classifiers.intent_learning import HeadFiles, HeadLearning
from bot.classifiers.intents import IntentStore
from bot.classifiers.labels import LABELS, Task
from bot.classifiers.registry import HeadChange, HeadRegistry
from bot.classifiers.remembered import RememberedEmbedder
from bot.classifiers.renewal import IntentLearning
from bot.classifiers.served_heads import ServedHeads
from bot.classifiers.uncertain import UncertainMessages
from bot.label_store import LabelStore
from bot.settings import Settings
from bot.understanding import Analyzer
from knowledge.embedding import Embedder

SHIPPED_HEADS = Path(__file__).parent / "classifiers" / "heads"


def open_analyzer(settings: Settings, engine: Engine, embedder: Embedder) -> Analyzer:
    """Opens what understands messages; without a head that fits the embedder, rules do."""

    def open_featurizer() -> Featurizer:
        from bot.classifiers.english import load_english

        return Featurizer(embedder, load_english())

    serving = open_heads(settings, engine).serving
    return MessageAnalyzer(open_featurizer, dim=embedder.dim, serving=serving)


def open_labels(
    settings: Settings, engine: Engine, *, intents: Callable[[], Sequence[str]]
) -> LabelStore:
    """Opens the labels that people overwrite."""
    return LabelStore(engine, intents=intents, sla_minutes=settings.chat.sla_by_severity)


def open_heads(
    settings: Settings, engine: Engine, *, check: Callable[[Path], object] = load_head
) -> HeadRegistry:
    """Opens the heads of the data folder; each change is noted in the audit."""

    def note(change: HeadChange) -> None:
        detail = {"head": change.name, "reason": change.reason}
        audit.record(
            engine, change.by, action=f"nlu.{change.action}", target=change.task, detail=detail
        )

    return HeadRegistry(
        settings.data_dir / "nlu",
        packaged=SHIPPED_HEADS,
        tasks=[task.value for task in Task],
        check=check,
        on_change=note,
    )


def open_intents(
    settings: Settings,
    engine: Engine,
    embedder: Embedder,
    *,
    learning: IntentLearning | None = None,
) -> IntentCare:
    """Opens what looks after the intents; the English embedder is loaded when it is needed."""
    remembered = RememberedEmbedder(embedder, settings.data_dir / "cache")
    return IntentCare(
        store=IntentStore(engine, default_labels=LABELS[Task.INTENT]),
        registry=open_heads(settings, engine, check=learning.load if learning else load_head),
        embedder=remembered,
        learning=learning or _open_learning(settings, remembered),
        corrections=lambda: corrected_examples(engine, Task.INTENT),
        uncertain=UncertainMessages(engine, embed=embedder.embed_queries),
    )


def follow_heads(intents: IntentCare, analyzer: Analyzer) -> ServedHeads:
    """Has the analyzer take the heads that are put in force, where it can."""
    return ServedHeads(intents.registry, getattr(analyzer, "reload", lambda: None))


def _open_learning(settings: Settings, multilingual: RememberedEmbedder) -> IntentLearning:
    def load() -> RememberedEmbedder:
        from bot.classifiers.english import load_english

        return RememberedEmbedder(load_english(), settings.data_dir / "cache")

    return HeadLearning(multilingual, load, files=HeadFiles(save_head, load_head))
