"""Heads from file to verdict, over a small embedder: train, keep, load, analyse, explain."""

import json
from pathlib import Path

import numpy as np
import pytest

from bot.classifiers.analysis import MessageAnalyzer
from bot.classifiers.dataset import DatasetRejected, read_examples
from bot.classifiers.explanation import Explainer
from bot.classifiers.features import Featurizer
from bot.classifiers.files import HeadRejected, load_head
from bot.classifiers.labels import Task
from bot.classifiers.training import Trained, TrainingFiles, keep, train
from bot.types import MessageAnalysis
from tests.fakes import FakeEmbedder

_TALK = {
    "refund": "refund money back return the amount paid card charge credit account transfer",
    "delivery": "parcel courier van street doorstep arrive shipped tracking truck postman",
    "invoice": "tax receipt vat bill company paper copy number heading accountant",
}
_ODD = [
    "",
    "🙂🙂",
    "啊" * 20_000,
    "1234567",
    "<script>alert(1)</script>",
    "مرحبا كيف",
    "\x00\ud800",
]


@pytest.fixture(scope="module")
def featurizer() -> Featurizer:
    return Featurizer(FakeEmbedder(), None)


@pytest.fixture(scope="module")
def trained(featurizer: Featurizer, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    path = tmp_path_factory.mktemp("given") / "talk.jsonl"
    random = np.random.default_rng(1)
    rows = [
        {"text": " ".join(random.permutation(said.split())[:5]), "label": label}
        for label, said in _TALK.items()
        for _ in range(12)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return train(Task.INTENT, TrainingFiles((path,)), featurizer=featurizer)


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("heads") / "intent"
    keep(trained, made, command="kefu nlu train", data=["Made in this test."])
    return made


def _analyzer(folder: Path, featurizer: Featurizer) -> MessageAnalyzer:
    dim = FakeEmbedder().dim
    return MessageAnalyzer(lambda: featurizer, dim=dim, serving=lambda task: folder.parent / task)


def test_training_learns_and_says_how_well(trained: Trained) -> None:
    assert trained.figures.accuracy >= 0.8
    assert {one.label for one in trained.figures.labels} >= set(_TALK)


def test_kept_head_has_card_and_picture(folder: Path) -> None:
    card = (folder / "card.md").read_text("utf-8")
    assert "| refund |" in card
    assert "Made in this test." in card
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_loaded_head_answers_as_before(
    trained: Trained, folder: Path, featurizer: Featurizer
) -> None:
    loaded = load_head(folder, task="intent")
    features = featurizer.features(["money back to my card", "where is the courier"])
    assert loaded.labels == trained.head.labels
    np.testing.assert_allclose(
        loaded.probabilities(features), trained.head.probabilities(features), atol=1e-6
    )


def test_changed_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(HeadRejected, match="not the file that its manifest names"):
        load_head(tmp_path)


def test_head_of_another_task_is_refused(folder: Path) -> None:
    with pytest.raises(HeadRejected, match="'sentiment'"):
        load_head(folder, task="sentiment")


def test_analysis_takes_head_or_certain_rule(folder: Path, featurizer: Featurizer) -> None:
    analyzer = _analyzer(folder, featurizer)
    by_head = analyzer.analyze("courier street parcel tracking", default_language="en")
    by_rule = analyzer.analyze("I want to talk to a human", default_language="en")
    assert (by_head.intent.label, by_head.intent_source) == ("delivery", "head")
    assert (by_rule.intent.label, by_rule.intent_source) == ("ask_for_person", "rule")


def test_odd_messages_are_doubted(folder: Path, featurizer: Featurizer) -> None:
    for text in _ODD:
        found = _analyzer(folder, featurizer).analyze(text, default_language="zh")
        assert isinstance(found, MessageAnalysis)
        assert found.intent.label == "oos" or found.intent.confidence <= 0.7


def test_batch_equals_one_by_one(folder: Path, featurizer: Featurizer) -> None:
    analyzer = _analyzer(folder, featurizer)
    texts = ["money back", "vat bill", "parcel van", *_ODD]
    together = analyzer.analyze_many(texts, default_language="en")
    for text, found in zip(texts, together, strict=True):
        alone = analyzer.analyze(text, default_language="en")
        assert alone.intent.label == found.intent.label
        assert alone.intent.confidence == pytest.approx(found.intent.confidence, abs=1e-4)


def test_heads_of_another_embedder_are_unused(folder: Path, featurizer: Featurizer) -> None:
    other = MessageAnalyzer(lambda: featurizer, dim=7, serving=lambda task: folder.parent / task)
    assert other.analyze("parcel van", default_language="en").intent.confidence == 0.0


def test_explanation_names_words_and_examples(
    trained: Trained, featurizer: Featurizer, tmp_path: Path
) -> None:
    path = tmp_path / "near.jsonl"
    path.write_text('{"text": "courier and parcel", "label": "delivery"}', "utf-8")
    explainer = Explainer(
        featurizer,
        FakeEmbedder().embed_queries,
        lambda task: read_examples([path], Task(task)),
    )
    found = explainer.explain("please the courier parcel", "delivery", trained.head)
    assert {word for word, _ in found.words} & {"courier", "parcel"}
    assert found.nearest[0].label == "delivery"


def test_one_label_is_too_few(featurizer: Featurizer, tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"text": "money", "label": "refund"}\n{"text": "back", "label": "refund"}')
    with pytest.raises(DatasetRejected, match=r"at least two labels.*one\.jsonl"):
        train(Task.INTENT, TrainingFiles((path,)), featurizer=featurizer)
