"""What was understood of a message: kept with it, acted on, and never in the way of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from bot.tables import ConversationRow
from bot.types import (
    Action,
    ComplaintFinding,
    ConversationId,
    ConversationState,
    Message,
    MessageAnalysis,
    Prediction,
    Reason,
    Role,
)
from bot.understanding import Analyzer
from tests.bot.chat_kit import Shop, first_sentence
from tests.fakes import FakeChatModel

ANGRY = MessageAnalysis(
    "zh-Hans",
    Prediction("complaint", 0.9),
    sentiment=Prediction("very_negative", 0.8),
    complaint=ComplaintFinding(True, "delivery", 3, 0.7, ("waited_long",)),
    is_angry=True,
)
GRAVE = MessageAnalysis(
    "zh-Hans", Prediction("complaint", 0.9), complaint=ComplaintFinding(True, "other", 4, 0.7)
)


@dataclass
class Scripted:
    """Gives the same analysis for everything and keeps what it was asked."""

    analysis: MessageAnalysis
    asked: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None

    def analyze(self, text: str, *, default_language: str) -> MessageAnalysis:
        self.asked.append((text, default_language))
        if self.error:
            raise self.error
        return self.analysis

    def analyze_many(self, texts: Sequence[str], *, default_language: str) -> list[MessageAnalysis]:
        return [self.analyze(text, default_language=default_language) for text in texts]


def shop_with(engine: Engine, analyzer: Analyzer) -> Shop:
    return Shop(engine, FakeChatModel(answer=first_sentence), analyzer=analyzer)


def asked(shop: Shop, conversation_id: ConversationId) -> list[Message]:
    messages = shop.conversations.messages(conversation_id)
    return [message for message in messages if message.role is Role.CUSTOMER]


def put(shop: Shop, conversation_id: ConversationId, state: ConversationState) -> None:
    with shop.engine.begin() as connection:
        connection.execute(
            update(ConversationRow).where(ConversationRow.id == conversation_id).values(state=state)
        )


@pytest.mark.parametrize("state", [ConversationState.BOT, ConversationState.PERSON])
def test_analysis_is_kept_with_the_message(engine: Engine, state: ConversationState) -> None:
    analyzer = Scripted(ANGRY)
    shop = shop_with(engine, analyzer)
    conversation_id = shop.start("en")
    put(shop, conversation_id, state)
    shop.events(conversation_id, "怎么退货？")
    assert [message.analysis for message in asked(shop, conversation_id)] == [ANGRY]
    assert analyzer.asked == [("怎么退货？", "en")]  # once, in the conversation's language


def test_reply_carries_the_same_analysis(engine: Engine) -> None:
    shop = shop_with(engine, Scripted(ANGRY))
    reply = shop.ask(shop.start(), "怎么退货？")
    assert reply.analysis == ANGRY
    assert shop.conversations.message(reply.message_id).analysis is None


def test_regenerating_reads_the_stored_analysis(engine: Engine) -> None:
    analyzer = Scripted(ANGRY)
    shop = shop_with(engine, analyzer)
    reply = shop.ask(shop.start(), "怎么退货？")
    list(shop.chat.stream(shop.chat.regenerate(reply.message_id)))
    assert len(analyzer.asked) == 1


def test_failing_analyzer_costs_no_answer(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    shop = shop_with(engine, Scripted(ANGRY, error=RuntimeError("no heads")))
    reply = shop.ask(shop.start(), "怎么退货？")
    assert reply.action is Action.ANSWER
    assert "退货" not in caplog.text


def test_serious_complaint_is_answered_with_an_offer(engine: Engine) -> None:
    shop = shop_with(engine, Scripted(ANGRY))
    reply = shop.ask(shop.start(), "退货运费由谁承担")
    assert (reply.action, reply.handoff_offered) == (Action.ANSWER, True)
    assert "转人工" in reply.text


def test_gravest_complaint_without_evidence_asks_for_a_person(engine: Engine) -> None:
    shop = shop_with(engine, Scripted(GRAVE))
    conversation_id = shop.start()
    reply = shop.ask(conversation_id, "量子力学是啥")
    assert (reply.action, reply.reason) == (Action.HANDOFF, Reason.POLICY)
    assert shop.conversations.get(conversation_id).state is ConversationState.QUEUED


@pytest.mark.parametrize(("intent", "said"), [("small_talk", "智能客服"), ("thanks", "不客气")])
def test_learned_small_talk_is_answered_in_kind(engine: Engine, intent: str, said: str) -> None:
    analysis = MessageAnalysis("zh-Hans", Prediction(intent, 0.95))
    shop = shop_with(engine, Scripted(analysis))
    reply = shop.ask(shop.start(), "量子力学是啥")
    assert reply.action is Action.SMALLTALK
    assert said in reply.text


def minutes_left(shop: Shop, conversation_id: ConversationId) -> int:
    due_at = shop.conversations.get(conversation_id).due_at
    assert due_at is not None
    return round((due_at - datetime.now(UTC)) / timedelta(minutes=1))


def test_severity_sets_priority_and_due_time(engine: Engine) -> None:
    analyzer = Scripted(ANGRY)
    shop = shop_with(engine, analyzer)
    conversation_id = shop.start()
    shop.ask(conversation_id, "怎么退货？")
    assert shop.conversations.get(conversation_id).priority == 3
    assert minutes_left(shop, conversation_id) == 30
    analyzer.analysis = GRAVE
    shop.ask(conversation_id, "怎么退货？")
    assert shop.conversations.get(conversation_id).priority == 4
    assert minutes_left(shop, conversation_id) == 15


def test_asking_for_a_person_starts_the_clock(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel(answer=first_sentence))
    said, pressed, neither = shop.start(), shop.start(), shop.start()
    shop.ask(said, "转人工")
    shop.chat.handoff(pressed)
    shop.ask(neither, "怎么退货？")
    for conversation_id in (said, pressed):
        assert shop.conversations.get(conversation_id).priority == 1
        assert minutes_left(shop, conversation_id) == 240
    assert shop.conversations.get(neither).priority is None


def test_resolved_matter_no_longer_hurries(engine: Engine) -> None:
    analyzer = Scripted(GRAVE)
    shop = shop_with(engine, analyzer)
    conversation_id = shop.start()
    shop.ask(conversation_id, "怎么退货？")
    put(shop, conversation_id, ConversationState.RESOLVED)
    analyzer.analysis = MessageAnalysis("zh-Hans", Prediction("return", 0.9))
    shop.ask(conversation_id, "怎么退货？")
    conversation = shop.conversations.get(conversation_id)
    assert (conversation.priority, conversation.due_at) == (None, None)
