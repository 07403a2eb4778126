"""Conversations: created, authorized, rated, searched."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from bot.conversations import ConversationStore
from bot.errors import AccessDenied, ConversationNotFound, MessageNotFound
from bot.transcripts import ConversationFilter
from bot.types import ConversationId, ConversationState, MessageId, Role
from tests.bot.chat_kit import Shop, first_sentence
from tests.fakes import FakeChatModel

NOBODY = ConversationId("0" * 32)


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine, FakeChatModel(answer=first_sentence))


def test_token_opens_only_its_own_conversation(engine: Engine) -> None:
    store = ConversationStore(engine)
    conversation, token = store.create(language="zh", customer={"name": "王"})
    other, _ = store.create(language="en-GB")
    assert store.authorize(conversation.id, token).customer == {"name": "王"}
    assert (conversation.language, other.language) == ("zh", "en")
    with pytest.raises(AccessDenied):
        store.authorize(other.id, token)
    with pytest.raises(ConversationNotFound):
        store.authorize(NOBODY, token)


def test_unknown_conversation_is_not_found(engine: Engine) -> None:
    store = ConversationStore(engine)
    with pytest.raises(ConversationNotFound):
        store.get(NOBODY)
    with pytest.raises(ConversationNotFound):
        store.messages(NOBODY)
    with pytest.raises(ConversationNotFound):
        store.rate(NOBODY, 5)


def test_new_conversation_has_no_messages(engine: Engine) -> None:
    store = ConversationStore(engine)
    conversation, _ = store.create(language="en")
    assert store.messages(conversation.id) == []
    assert conversation.state is ConversationState.BOT
    assert conversation.created_at.tzinfo is not None


def test_second_vote_replaces_the_first(shop: Shop) -> None:
    reply = shop.ask(shop.start(), "怎么退货？")
    shop.conversations.add_feedback(reply.message_id, "up")
    shop.conversations.add_feedback(reply.message_id, "down", reason="wrong", comment="不对")
    stored = shop.conversations.message(reply.message_id)
    assert stored.feedback == ("down", "wrong", "不对")


def test_feedback_is_checked(shop: Shop) -> None:
    conversation_id = shop.start()
    reply = shop.ask(conversation_id, "怎么退货？")
    asked = shop.conversations.messages(conversation_id)[0]
    with pytest.raises(ValueError, match="sideways"):
        shop.conversations.add_feedback(reply.message_id, "sideways")
    with pytest.raises(ValueError, match="boring"):
        shop.conversations.add_feedback(reply.message_id, "down", reason="boring")
    with pytest.raises(MessageNotFound):
        shop.conversations.add_feedback(asked.id, "up")
    with pytest.raises(MessageNotFound):
        shop.conversations.add_feedback(MessageId("nope"), "up")


@pytest.mark.parametrize("score", [0, 6, -1])
def test_rating_outside_the_scale_is_refused(shop: Shop, score: int) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        shop.conversations.rate(shop.start(), score)


def test_stored_reply_reads_as_it_was_streamed(shop: Shop) -> None:
    reply = shop.ask(shop.start(), "怎么退货？")
    stored = shop.conversations.message(reply.message_id)
    assert stored.reply == dataclasses.replace(reply, timings_ms=stored.reply.timings_ms)  # type: ignore[union-attr]
    assert stored.role is Role.BOT
    assert stored.prompt is not None
    assert len(stored.prompt_sha256 or "") == 64


def test_filters_find_conversations(shop: Shop) -> None:
    answered, unanswered, handed_off = shop.start(), shop.start("en"), shop.start()
    shop.start()  # nothing was said in it
    shop.ask(answered, "怎么退货？")
    shop.ask(unanswered, "quantum chromodynamics")
    shop.ask(handed_off, "转人工")
    shop.conversations.rate(answered, 5, comment="好")

    def found(**wanted: object) -> set[ConversationId]:
        conversations, total = shop.conversations.find(ConversationFilter(**wanted))  # type: ignore[arg-type]
        assert total == len(conversations)
        return {conversation.id for conversation in conversations}

    assert found() == {answered, unanswered, handed_off}
    assert found(unanswered=True) == {unanswered}
    assert found(unanswered=False) == {answered, handed_off}
    assert found(handed_off=True) == {handed_off}
    assert found(state=ConversationState.QUEUED) == {handed_off}
    assert found(rating=5) == {answered}
    assert found(language="en") == {unanswered}
    assert found(q="QUANTUM") == {unanswered}
    assert found(q="无理由") == {answered}
    assert found(q="100%_") == set()
    now = datetime.now(UTC)
    assert found(date_from=now + timedelta(hours=1)) == set()
    assert found(date_to=now + timedelta(hours=1)) == {answered, unanswered, handed_off}


def test_pages_are_newest_first_and_complete(shop: Shop) -> None:
    started = [shop.start() for _ in range(5)]
    for conversation_id in started:
        shop.ask(conversation_id, "你好")
    pages = [
        shop.conversations.find(ConversationFilter(page=page, page_size=2)) for page in (1, 2, 3)
    ]
    assert [total for _, total in pages] == [5, 5, 5]
    listed = [conversation for conversations, _ in pages for conversation in conversations]
    assert [conversation.id for conversation in listed] == started[::-1]
    assert [conversation.n_messages for conversation in listed] == [2] * 5
    assert {conversation.title for conversation in listed} == {"你好"}


def test_page_bounds_are_checked() -> None:
    with pytest.raises(ValueError, match="page_size"):
        ConversationFilter(page_size=1000)
