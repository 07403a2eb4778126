"""A renewal adds intents, loses none, and puts a head in force only where nothing fell."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.classifiers.comparison import Judged, compare
from bot.classifiers.intents import Example, IntentDraft, IntentStore
from bot.classifiers.registry import HeadRegistry
from bot.classifiers.remembered import RememberedEmbedder
from bot.classifiers.renewal import CROSS_VALIDATED, Material, ServingHead, renew
from bot.classifiers.renewal_job import RenewalStep, queue_intents
from knowledge.jobs import CHECK_INTENTS, TRAIN_INTENTS, JobStore
from knowledge.types import JobState
from knowledge.worker import IngestionWorker
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase
from tests.nlu_kit import SHIPPED, WordLearning
from tests.shared import word_splitter

GIFT = IntentDraft(
    key="gift",
    name_en="Gift wrapping",
    description_en="asks for a gift wrap",
    examples_en=tuple(f"gift wrap {word}" for word in ("it", "this", "them", "all", "both", "one")),
)


class Bench:
    """A worker with the renewal's step over a fresh folder, in which a head ships."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.embedder = RememberedEmbedder(FakeEmbedder(), folder / "cache")
        self.learning = WordLearning(self.embedder)
        packaged = folder / "heads"
        (packaged / "intent").mkdir(parents=True)
        self.learning.fit(SHIPPED, on_step=lambda share: None).save(packaged / "intent")
        self.learning.fitted.clear()
        self.intents = IntentStore(engine, default_labels={"delivery", "refund", "greeting"})
        self.registry = HeadRegistry(folder / "nlu", packaged=packaged, tasks=("intent",))
        self.jobs = JobStore(engine)
        self.corrected: list[tuple[int, Example]] = []
        self.step = RenewalStep(self.intents, self.registry, self.learning, lambda: self.corrected)
        base = KnowledgeBase(folder, engine, FakeEmbedder(), word_splitter())
        self.worker = IngestionWorker(
            engine,
            base.indexes,
            embedder=base.embedder,
            options=base.worker._options,
            steps={CHECK_INTENTS: self.step, TRAIN_INTENTS: self.step},
        )

    def train(self) -> JobState:
        job_id = queue_intents(self.jobs, by="lin", train=True)
        self.worker.run_until_idle()
        return self.jobs.get(job_id).state

    def predict(self, text: str) -> str:
        folder = self.registry.serving("intent")
        return self.learning.load(folder).predict([text])[0]


@pytest.fixture
def bench(tmp_path: Path, engine: Engine) -> Iterator[Bench]:
    return Bench(tmp_path, engine)


def test_new_intent_is_recognised(bench: Bench) -> None:
    bench.intents.create(GIFT, author="lin")
    assert bench.predict("gift wrap please") != "gift"
    assert bench.train() is JobState.SUCCEEDED
    assert bench.predict("gift wrap it now") == "gift"
    [head] = bench.registry.list("intent")
    assert head.serves
    assert head.record is not None
    assert head.record.comparison is not None
    assert head.record.comparison.labels["gift"] == (None, 1.0)
    assert head.record.comparison.fallen == ()
    assert head.record.lineage["own"] == {"gift": 6}


def test_worse_head_waits_for_a_person(bench: Bench) -> None:
    bench.intents.create(GIFT, author="lin")
    bench.learning.spoil = "refund"
    assert bench.train() is JobState.SUCCEEDED
    [head] = bench.registry.list("intent")
    assert not head.serves
    assert "refund" in bench.registry.doubt(head)
    bench.registry.discard("intent", head.name, by="lin")
    assert bench.registry.list("intent") == []


def test_intent_is_learned_from_its_description(bench: Bench) -> None:
    described = IntentDraft(key="gift", name_en="Gift", description_en="gift wrap wanted")
    bench.intents.create(described, author="lin")
    bench.train()
    assert bench.predict("a gift wrap") == "gift"


def test_disabled_intent_is_left_out(bench: Bench) -> None:
    bench.intents.create(GIFT, author="lin")
    bench.train()
    bench.intents.update("gift", IntentDraft(**{**_fields(GIFT), "enabled": False}), author="lin")
    bench.train()
    assert bench.predict("gift wrap it") != "gift"


def _fields(draft: IntentDraft) -> dict[str, object]:
    return {name: getattr(draft, name) for name in draft.__dataclass_fields__}


def test_corrections_are_learned_and_marked(bench: Bench) -> None:
    bench.corrected = [(7, Example("parcel lost forever", "refund")), (8, Example("x", "?"))]
    bench.train()
    texts = {(e.text, e.label) for e in bench.learning.fitted[-1]}
    assert ("parcel lost forever", "refund") in texts
    assert ("x", "?") not in texts  # no such label
    record = bench.registry.list("intent")[0].record
    assert record is not None
    assert record.lineage["corrections"] == [7, 8]


def test_company_word_counts_for_its_texts(bench: Bench) -> None:
    material = Material(
        [bench.intents.create(IntentDraft("gift", "礼", examples_en=("Hello shop!",)), author="x")]
    )
    serving = ServingHead(bench.registry.serving("intent"), None, None)
    renew(bench.learning, material, serving=serving, on_step=lambda share: None)
    labels = {e.label for e in bench.learning.fitted[-1] if e.text.lower().startswith("hello shop")}
    assert labels == {"gift"}


def test_next_renewal_compares_unseen_predictions(bench: Bench) -> None:
    bench.intents.create(GIFT, author="lin")
    bench.train()
    bench.train()
    second, first = bench.registry.list("intent")
    assert first.record is not None
    assert second.record is not None
    assert second.record.comparison is not None
    assert second.record.comparison.labels["gift"] == (1.0, 1.0)
    validated = first.record.lineage[CROSS_VALIDATED]
    assert isinstance(validated, dict)
    assert len(validated) == len(SHIPPED) + len(GIFT.examples)
    assert len(bench.learning.fitted) == 7 + 4  # the shipped head is cross-validated once


def test_failed_training_says_why(bench: Bench) -> None:
    bench.learning.error = ValueError("Expected at least two labels, got one.")
    assert bench.train() is JobState.FAILED
    assert "two labels" in (bench.jobs.newest(TRAIN_INTENTS, limit=1)[0].error or "")


def test_cancelled_training_keeps_nothing(bench: Bench) -> None:
    job_id = queue_intents(bench.jobs, by="lin", train=True)
    fit = bench.learning.fit

    def cancel_first(examples: object, *, on_step: object) -> object:
        bench.jobs.cancel(job_id)
        return fit(examples, on_step=lambda share: None)  # type: ignore[arg-type]

    bench.learning.fit = cancel_first  # type: ignore[assignment,method-assign]
    bench.worker.run_until_idle()
    assert bench.jobs.get(job_id).state is JobState.CANCELLED
    assert bench.registry.list("intent") == []


def test_check_embeds_only(bench: Bench) -> None:
    bench.intents.create(GIFT, author="lin")
    queue_intents(bench.jobs, by="lin", train=False)
    bench.worker.run_until_idle()
    assert bench.learning.fitted == []
    assert bench.embedder.n_missing(GIFT.examples) == 0


def test_open_training_is_not_queued_twice(bench: Bench) -> None:
    first = queue_intents(bench.jobs, by="lin", train=True)
    assert queue_intents(bench.jobs, by="ma", train=True) == first
    assert queue_intents(bench.jobs, by="ma", train=False) != first


def test_fall_of_a_label_is_seen() -> None:
    judged = [Judged("a", "a", "a")] * 60 + [Judged("b", "b", "b")] * 59 + [Judged("b", "b", "a")]
    compared = compare(judged, old_labels=["a", "b"], against=None)
    assert compared.fallen == ()
    judged += [Judged("b", "b", "a")]
    assert compare(judged, old_labels=["a", "b"], against=None).fallen == ("a", "b")
    assert not compare(judged, old_labels=["a", "b"], against=None).is_better


def test_new_label_counts_against_neither() -> None:
    judged = [Judged("a", "a", "a"), Judged("new", "a", "new"), Judged("new", "a", "a")]
    compared = compare(judged, old_labels=["a"], against="x")
    assert compared.labels["a"] == (1.0, 1.0)
    assert compared.labels["new"] == (None, pytest.approx(2 / 3))
    assert compared.is_better
