"""Real intent heads learn what ships and what a company adds, and are read back the same."""

import json
from pathlib import Path

import pytest

from bot.classifiers.files import load_head, save_head
from bot.classifiers.intent_learning import HeadFiles, HeadLearning
from bot.classifiers.intents import Example
from bot.classifiers.remembered import RememberedEmbedder
from tests.fakes import FakeEmbedder

TOPICS = {
    "delivery": ("where is my parcel", "when does the parcel come"),
    "refund": ("give me my money back", "pay the money back"),
    "oos": ("what is the capital of", "who won the match against"),
}
ENDS = ("now", "today", "please", "kettle", "Berlin", "soon")
GIFT = [Example(f"gift wrap the {end} as a present", "gift") for end in ENDS]


def nothing(share: float) -> None:
    """Steps that nobody follows."""


@pytest.fixture
def learning(tmp_path: Path) -> HeadLearning:
    examples = tmp_path / "examples"
    examples.mkdir()
    rows = [
        {"text": f"{start} {end}", "language": "en", "intent": label}
        for label, starts in TOPICS.items()
        for start in starts
        for end in ENDS
    ]
    rows.append({"text": "bonjour", "language": "other"})  # says nothing of intents
    lines = "\n".join(json.dumps(row) for row in rows)
    (examples / "messages_en.jsonl").write_text(lines, "utf-8")
    multilingual = RememberedEmbedder(FakeEmbedder(), tmp_path)
    english = RememberedEmbedder(FakeEmbedder(id="english", dim=32), tmp_path)
    files = HeadFiles(save_head, load_head)
    return HeadLearning(multilingual, lambda: english, files=files, examples=examples)


def test_shipped_examples_are_those_with_an_intent(learning: HeadLearning) -> None:
    shipped = learning.shipped()
    assert len(shipped) == 36
    assert {example.label for example in shipped} == set(TOPICS)


def test_added_intent_is_learned_beside_the_others(learning: HeadLearning) -> None:
    examples = [*learning.shipped(), *GIFT]
    model = learning.fit(examples, on_step=nothing)
    texts = ["gift wrap it as a present", "where is my parcel", "my money back"]
    assert model.predict(texts) == ["gift", "delivery", "refund"]
    assert set(model.labels) == {*TOPICS, "gift"}


def test_saved_head_says_the_same(learning: HeadLearning, tmp_path: Path) -> None:
    model = learning.fit([*learning.shipped(), *GIFT], on_step=nothing)
    folder = tmp_path / "head"
    folder.mkdir()
    model.save(folder)
    texts = [example.text for example in learning.shipped()]
    assert learning.load(folder).predict(texts) == model.predict(texts)
    assert learning.load(folder).predict([]) == []


def test_one_example_teaches_like_a_description(learning: HeadLearning) -> None:
    examples = [*learning.shipped(), Example("gift wrap as a present", "gift", describes=True)]
    assert "gift" in learning.fit(examples, on_step=nothing).labels
    single = [*learning.shipped(), GIFT[0]]
    assert "gift" in learning.fit(single, on_step=nothing).labels


def test_prepared_texts_are_not_embedded_again(learning: HeadLearning) -> None:
    told: list[float] = []
    learning.prepare(learning.shipped(), on_step=told.append)
    assert told
    assert max(told) <= 1.0
    again: list[float] = []
    learning.prepare(learning.shipped(), on_step=again.append)
    assert again == []


def test_one_label_alone_is_refused(learning: HeadLearning) -> None:
    with pytest.raises(ValueError, match="label"):
        learning.fit(GIFT, on_step=nothing)
