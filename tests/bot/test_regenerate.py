"""Answers written again: where they stand, who sees them, what becomes of cut ones."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from bot.errors import AnswerInProgress
from bot.events import Final
from bot.settings import ChatSettings
from bot.tables import MessageRow
from bot.types import MessageId, MessageStatus, Reply, Role
from tests.bot.chat_kit import Shop, first_sentence
from tests.fakes import FakeChatModel


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine, FakeChatModel(answer=first_sentence))


def again(shop: Shop, message_id: MessageId) -> Reply:
    event = list(shop.chat.stream(shop.chat.regenerate(message_id)))[-1]
    assert isinstance(event, Final)
    return event.reply


def test_replacement_stands_where_the_old_one_stood(shop: Shop) -> None:
    talk = shop.start()
    first, later = shop.ask(talk, "怎么退货？"), shop.ask(talk, "新疆几天送达？")
    second = again(shop, first.message_id)
    answers = [m.id for m in shop.conversations.messages(talk) if m.role is Role.BOT]
    assert answers == [second.message_id, later.message_id]


def test_staff_see_the_old_one_before_its_replacement(shop: Shop) -> None:
    talk = shop.start()
    first, later = shop.ask(talk, "怎么退货？"), shop.ask(talk, "新疆几天送达？")
    second = again(shop, first.message_id)
    messages = shop.conversations.messages(talk, with_superseded=True)
    shown = [(m.id, m.is_superseded) for m in messages if m.role is Role.BOT]
    assert shown == [
        (first.message_id, True),
        (second.message_id, False),
        (later.message_id, False),
    ]


def test_later_turns_read_the_replacement_in_order(shop: Shop) -> None:
    talk = shop.start()
    first = shop.ask(talk, "怎么退货？")
    shop.ask(talk, "新疆几天送达？")
    again(shop, first.message_id)
    history = shop.chat.begin(talk, "运费呢？").dialogue.history
    assert [exchange.question for exchange in history] == ["怎么退货？", "新疆几天送达？"]


def test_an_old_answer_is_written_with_the_history_of_its_time(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel(), settings=ChatSettings(history_turns=1))
    talk = shop.start()
    asked = [shop.ask(talk, f"第 {n} 次问：怎么退货？") for n in range(9)]
    turn = shop.chat.regenerate(asked[1].message_id)
    assert [e.question for e in turn.dialogue.history][-1] == "第 0 次问：怎么退货？"


def test_an_old_answer_being_written_refuses_a_message(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel(), settings=ChatSettings(history_turns=1))
    talk = shop.start()
    asked = [shop.ask(talk, "怎么退货？") for _ in range(9)]
    shop.chat.regenerate(asked[0].message_id)
    with pytest.raises(AnswerInProgress):
        shop.chat.begin(talk, "怎么退货？")


def test_a_crash_while_replacing_keeps_the_old_answer(shop: Shop) -> None:
    talk = shop.start()
    first = shop.ask(talk, "怎么退货？")
    shop.chat.regenerate(first.message_id)
    assert shop.conversations.mark_interrupted() == 1
    shown = [(m.id, m.status) for m in shop.conversations.messages(talk)][1:]
    assert shown == [(first.message_id, MessageStatus.COMPLETE)]


def test_an_abandoned_replacement_keeps_the_old_answer(shop: Shop) -> None:
    talk = shop.start()
    first = shop.ask(talk, "怎么退货？")
    left = shop.chat.regenerate(first.message_id)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with shop.engine.begin() as connection:
        connection.execute(
            update(MessageRow).where(MessageRow.id == left.reply_id).values(updated_at=long_ago)
        )
    shop.ask(talk, "新疆几天送达？")
    shown = [m.id for m in shop.conversations.messages(talk)]
    assert first.message_id in shown
    assert left.reply_id not in shown


def test_a_failed_answer_sent_again_stands_in_its_place(shop: Shop) -> None:
    talk = shop.start()
    shop.model.error = RuntimeError("no")
    list(shop.chat.stream(shop.chat.begin(talk, "怎么退货？", client_id="one")))
    shop.model.error = None
    shop.ask(talk, "新疆几天送达？")
    list(shop.chat.stream(shop.chat.begin(talk, "怎么退货？", client_id="one")))
    roles = [m.role for m in shop.conversations.messages(talk)]
    assert roles == [Role.CUSTOMER, Role.BOT, Role.CUSTOMER, Role.BOT]
