"""The queue shows what is least sure, unlike each other, and nothing that was labelled."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert

from bot.classifiers.corrections import corrected_examples
from bot.classifiers.intents import Example
from bot.classifiers.uncertain import UncertainMessages, unsure
from bot.conversations import ConversationStore
from bot.tables import LabelCorrectionRow, MessageRow
from bot.types import ComplaintFinding, MessageAnalysis, Prediction
from tests.fakes import FakeEmbedder

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def analysis(best: float, second: float, *, source: str = "head") -> MessageAnalysis:
    top = (("refund", best), ("return", second))
    return MessageAnalysis("en", Prediction("refund", best, top), intent_source=source)


class Messages:
    """Customers' messages of one conversation."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conversation = ConversationStore(engine).create(language="en")[0].id
        self._n = 0

    def add(self, text: str, found: MessageAnalysis | None, *, role: str = "customer") -> str:
        self._n += 1
        row = {
            "id": f"m{self._n}",
            "conversation_id": self._conversation,
            "ordinal": self._n,
            "role": role,
            "text": text,
            "status": "complete",
            "superseded": False,
            "handoff_offered": False,
            "analysis": dataclasses.asdict(found) if found else None,
            "created_at": NOW + timedelta(seconds=self._n),
            "updated_at": NOW,
        }
        with self._engine.begin() as connection:
            connection.execute(insert(MessageRow).values(row))
        return str(row["id"])

    def correct(self, message_id: str, label: str, *, task: str = "intent") -> None:
        row = {"message_id": message_id, "task": task, "new_label": label, "author": "lin"}
        with self._engine.begin() as connection:
            connection.execute(insert(LabelCorrectionRow).values({**row, "at": NOW}))


@pytest.fixture
def messages(engine: Engine) -> Messages:
    return Messages(engine)


@pytest.fixture
def queue(engine: Engine) -> UncertainMessages:
    return UncertainMessages(engine, embed=FakeEmbedder(dim=256).embed_queries)


def test_least_sure_message_comes_first(messages: Messages, queue: UncertainMessages) -> None:
    messages.add("money please", analysis(0.6, 0.3))
    messages.add("send it back", analysis(0.5, 0.45))
    messages.add("refund now", analysis(0.99, 0.01))  # sure
    found = queue.find(limit=5)
    assert [message.text for message in found] == ["send it back", "money please"]
    assert found[0].uncertainty == pytest.approx(0.95)
    assert found[0].about == "intent"


def test_likeness_is_shown_later(messages: Messages, queue: UncertainMessages) -> None:
    messages.add("my red parcel is late today", analysis(0.5, 0.5))
    messages.add("my red parcel is late now", analysis(0.5, 0.49))
    messages.add("gluten in the bread", analysis(0.6, 0.3))
    texts = [message.text for message in queue.find(limit=2)]
    assert texts == ["my red parcel is late today", "gluten in the bread"]


def test_same_text_is_shown_once(messages: Messages, queue: UncertainMessages) -> None:
    messages.add("Where?", analysis(0.5, 0.4))
    messages.add("where", analysis(0.5, 0.5))
    assert [message.text for message in queue.find(limit=5)] == ["where"]


def test_labelled_message_is_gone(messages: Messages, queue: UncertainMessages) -> None:
    message = messages.add("hm", analysis(0.5, 0.5))
    messages.correct(message, "return")
    assert queue.find(limit=5) == []


def test_only_learned_labels_are_asked_about(messages: Messages, queue: UncertainMessages) -> None:
    messages.add("agent", analysis(0.5, 0.5), role="agent")
    messages.add("no analysis", None)
    messages.add("a rule said so", analysis(0.5, 0.5, source="rule"))
    messages.add("nobody looked", MessageAnalysis("en", Prediction("oos", 0.0)))
    assert queue.find(limit=5) == []


def test_unsure_complaint_counts() -> None:
    finding = ComplaintFinding(True, confidence=0.55)
    found = dataclasses.replace(analysis(0.95, 0.01), complaint=finding)
    assert unsure(found) == (pytest.approx(0.9), "complaint")


def test_newest_correction_is_learned(messages: Messages, engine: Engine) -> None:
    message = messages.add("hm", analysis(0.5, 0.5))
    messages.correct(message, "return")
    messages.correct(message, "refund")
    messages.correct(message, "yes", task="complaint")
    assert corrected_examples(engine, "intent") == [(2, Example("hm", "refund"))]
    assert [e.label for _, e in corrected_examples(engine, "complaint")] == ["yes"]
