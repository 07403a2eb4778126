"""The reply flow with real storage: what streams, what is stored, what goes wrong."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, update

from bot.chat import ChatService
from bot.errors import (
    AnswerInProgress,
    ConversationNotFound,
    MessageNotFound,
    MessageRejected,
    ModelUnavailable,
    QueueFull,
)
from bot.events import Citations, Event, Failure, Final, Status, Token
from bot.tables import ConversationRow
from bot.types import (
    Action,
    ConversationId,
    ConversationState,
    Message,
    MessageId,
    MessageStatus,
    Reason,
    Role,
)
from tests.bot.chat_kit import RETURNS_ZH, Shop, first_sentence
from tests.fakes import FakeChatModel


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine, FakeChatModel(answer=first_sentence))


def slow_shop(engine: Engine) -> Shop:
    """Writes long answers slowly enough to be interrupted."""
    return Shop(engine, FakeChatModel(answer=lambda _: "运费 10 元。" * 200, token_delay_s=0.005))


def take_until_text(events: Iterator[Event]) -> list[Event]:
    """Takes events until some text has come."""
    taken: list[Event] = []
    while sum(isinstance(event, Token) for event in taken) < 5:
        taken.append(next(events))
    return taken


def roles(messages: list[Message]) -> list[tuple[Role, MessageStatus]]:
    return [(message.role, message.status) for message in messages]


def test_answer_streams_and_is_cited(shop: Shop) -> None:
    events = shop.events(shop.start(), "怎么退货？")
    kinds = [type(event) for event in events]
    assert kinds[0] is Status
    assert kinds[-2:] == [Citations, Final]
    final = events[-1]
    assert isinstance(final, Final)
    reply = final.reply
    assert (reply.action, reply.reason, reply.status) == (Action.ANSWER, None, "complete")
    assert "[1]" in reply.text
    citation = reply.citations[0]
    assert citation.quote == RETURNS_ZH[citation.start : citation.end]
    assert reply.model == "fake-model"
    assert {"analyze", "retrieve", "prompt", "first_token", "decode", "ground", "total"} <= set(
        reply.timings_ms
    )


def test_evidence_and_prompt_are_kept(shop: Shop) -> None:
    reply = shop.ask(shop.start(), "怎么退货？")
    stored = shop.conversations.message(reply.message_id)
    assert stored.evidence is not None
    hits = stored.evidence["hits"]
    assert isinstance(hits, list)
    assert hits[0]["document"] == "退货说明.txt"
    assert stored.evidence["relevance"] >= 0.5  # type: ignore[operator]
    assert "怎么退货" in (stored.prompt or "")


def test_nothing_relevant_is_said_so_without_the_model(shop: Shop) -> None:
    reply = shop.ask(shop.start(), "量子力学是啥")
    assert (reply.action, reply.reason) == (Action.REFUSE, Reason.NO_EVIDENCE)
    assert reply.handoff_offered
    assert shop.company.get("zh").fallback in reply.text
    assert shop.model.prompts == []


def test_invention_is_replaced_by_a_quotation(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel("You have 99 days and pay $500."))
    reply = shop.ask(shop.start("en"), "How much is the return label in the EU?")
    assert reply.reason is Reason.LOW_CONFIDENCE
    assert "99" not in reply.text
    assert reply.citations[0].quote == "The return label costs €6.90 in the EU."


def test_answer_beside_the_best_passage_becomes_a_quotation(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel("新疆需要 4–7 天送达。"))
    reply = shop.ask(shop.start(), "退货运费由谁承担")
    assert reply.reason is Reason.LOW_CONFIDENCE
    assert [cited.document for cited in reply.citations] == ["退货说明.txt"]


def test_empty_answer_is_replaced_by_a_quotation(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel("  "))
    reply = shop.ask(shop.start(), "退货运费由谁承担")
    assert reply.action is Action.ANSWER
    assert reply.citations


def test_other_languages_are_refused_politely(shop: Shop) -> None:
    reply = shop.ask(shop.start("en"), "Wie kann ich das zurückgeben?")
    assert reply.reason is Reason.UNSUPPORTED_LANGUAGE
    assert "English and Chinese" in reply.text
    assert shop.retriever.queries == []


def test_follow_up_is_searched_with_its_topic(shop: Shop) -> None:
    conversation_id = shop.start()
    shop.ask(conversation_id, "怎么退货？")
    reply = shop.ask(conversation_id, "那运费呢？")
    assert reply.query == "怎么退货？ 运费呢？"
    assert shop.conversations.message(reply.message_id).reply is not None
    assert "user" in str(shop.model.prompts[-1][1].role)


def test_follow_ups_are_suggested_only_if_answered(shop: Shop) -> None:
    suggestions = shop.ask(shop.start(), "退货运费由谁承担").suggestions
    assert len(suggestions) <= 3
    assert shop.chat.suggestions("zh") == ("怎么退货？",)


def test_request_for_a_person_is_recorded(shop: Shop) -> None:
    conversation_id = shop.start()
    reply = shop.ask(conversation_id, "转人工")
    assert (reply.action, reply.reason) == (Action.HANDOFF, Reason.CUSTOMER_ASKED)
    conversation = shop.conversations.get(conversation_id)
    assert conversation.state is ConversationState.QUEUED
    assert conversation.handoff_at is not None
    assert shop.conversations.messages(conversation_id)[-1].role is Role.SYSTEM
    again = shop.ask(conversation_id, "转人工")
    assert "已经记录" in again.text
    assert shop.conversations.get(conversation_id).handoff_at == conversation.handoff_at


def test_button_records_the_request(shop: Shop) -> None:
    conversation_id = shop.start("en")
    message = shop.chat.handoff(conversation_id)
    assert message.role is Role.SYSTEM
    assert shop.company.get("en").contact in message.text
    assert shop.conversations.get(conversation_id).state is ConversationState.QUEUED
    reply = shop.ask(conversation_id, "How much is the return label in the EU?")
    assert "€6.90" in reply.text or reply.citations
    assert "recorded" in reply.text
    with pytest.raises(ConversationNotFound):
        shop.chat.handoff(ConversationId("nope"))


def test_bot_is_silent_while_a_person_speaks(shop: Shop) -> None:
    conversation_id = shop.start()
    shop.turns.request_person(conversation_id, "…")
    with shop.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE conversations SET state = 'person'")
    events = shop.events(conversation_id, "你好，怎么退货")
    assert [type(event) for event in events] == [Final]
    final = events[0]
    assert isinstance(final, Final)
    assert (final.reply.action, final.reply.text) == (Action.NONE, "")
    assert roles(shop.conversations.messages(conversation_id))[-1][0] is Role.CUSTOMER


def test_repeated_client_id_returns_the_first_answer(shop: Shop) -> None:
    conversation_id = shop.start()
    first = list(shop.chat.stream(shop.chat.begin(conversation_id, "怎么退货？", client_id="a")))
    again = list(shop.chat.stream(shop.chat.begin(conversation_id, "怎么退货？", client_id="a")))
    assert isinstance(first[-1], Final)
    assert isinstance(again[-1], Final)
    assert again[-1].reply.message_id == first[-1].reply.message_id
    assert again[-1].reply.text == first[-1].reply.text
    assert len(shop.conversations.messages(conversation_id)) == 2
    assert len(shop.model.prompts) == 1


def test_repeated_client_id_after_a_failure_answers(shop: Shop) -> None:
    conversation_id = shop.start()
    shop.model.error = ModelUnavailable("gone")
    failed = list(shop.chat.stream(shop.chat.begin(conversation_id, "怎么退货？", client_id="a")))
    assert isinstance(failed[-1], Failure)
    shop.model.error = None
    again = list(shop.chat.stream(shop.chat.begin(conversation_id, "怎么退货？", client_id="a")))
    assert isinstance(again[-1], Final)
    assert len(shop.conversations.messages(conversation_id)) == 2


def test_one_answer_at_a_time(engine: Engine) -> None:
    shop = slow_shop(engine)
    other_process = Shop(engine, FakeChatModel())
    conversation_id = shop.start()
    events = shop.chat.stream(shop.chat.begin(conversation_id, "退货运费多少"))
    take_until_text(events)
    for service in (shop.chat, other_process.chat):
        with pytest.raises(AnswerInProgress):
            service.begin(conversation_id, "还有吗")
    events.close()  # type: ignore[attr-defined]
    assert shop.ask(conversation_id, "你好").action is Action.SMALLTALK


def test_text_so_far_is_saved_while_it_streams(engine: Engine) -> None:
    shop = slow_shop(engine)
    conversation_id = shop.start()
    events = shop.chat.stream(shop.chat.begin(conversation_id, "退货运费多少"))
    take_until_text(events)
    time.sleep(0.02)
    take_until_text(events)
    stored = shop.conversations.messages(conversation_id)[1]
    assert stored.status is MessageStatus.STREAMING
    assert stored.text.startswith("运")
    events.close()  # type: ignore[attr-defined]


def test_closed_stream_is_stored_as_interrupted(engine: Engine) -> None:
    shop = slow_shop(engine)
    conversation_id = shop.start()
    events = shop.chat.stream(shop.chat.begin(conversation_id, "退货运费多少"))
    shown = "".join(event.text for event in take_until_text(events) if isinstance(event, Token))
    events.close()  # type: ignore[attr-defined]
    stored = shop.conversations.messages(conversation_id)[1]
    assert (stored.status, stored.text) == (MessageStatus.INTERRUPTED, shown)
    assert not shop.chat.is_busy


def run_in_thread(chat: ChatService, conversation_id: ConversationId) -> list[Event]:
    """Streams an answer in another thread and waits until text comes; the list grows."""
    events: list[Event] = []

    def run() -> None:
        events.extend(chat.stream(chat.begin(conversation_id, "退货运费多少")))

    threading.Thread(target=run, daemon=True).start()
    deadline = time.monotonic() + 10
    while not any(isinstance(event, Token) for event in events) and time.monotonic() < deadline:
        time.sleep(0.005)
    return events


def wait_for_end(events: list[Event]) -> Event:
    deadline = time.monotonic() + 10
    while not isinstance(events[-1], Final | Failure) and time.monotonic() < deadline:
        time.sleep(0.005)
    return events[-1]


@pytest.mark.parametrize("same_process", [True, False])
def test_stop_ends_the_answer_and_keeps_its_text(engine: Engine, same_process: bool) -> None:
    shop = slow_shop(engine)
    conversation_id = shop.start()
    events = run_in_thread(shop.chat, conversation_id)
    stopper = shop.chat if same_process else Shop(engine, FakeChatModel()).chat
    assert stopper.stop(conversation_id)
    final = wait_for_end(events)
    assert isinstance(final, Final)
    assert final.reply.status is MessageStatus.INTERRUPTED
    stored = shop.conversations.messages(conversation_id)[1]
    assert stored.text == final.reply.text
    assert stored.text.startswith("运")
    assert len(stored.text) < 1000
    assert not stopper.stop(conversation_id)


def test_failure_is_told_and_kept(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    conversation_id = shop.start()
    shop.model.error = RuntimeError("boom")
    with caplog.at_level(logging.ERROR):
        events = shop.events(conversation_id, "怎么退货？")
    failure = events[-1]
    assert isinstance(failure, Failure)
    assert failure.reference in caplog.text
    assert "怎么退货" not in caplog.text
    assert roles(shop.conversations.messages(conversation_id)) == [
        (Role.CUSTOMER, MessageStatus.COMPLETE),
        (Role.BOT, MessageStatus.FAILED),
    ]
    shop.model.error = None
    assert shop.ask(conversation_id, "怎么退货？").action is Action.ANSWER


def test_regenerated_answer_replaces_the_old_one(shop: Shop) -> None:
    conversation_id = shop.start()
    first = shop.ask(conversation_id, "怎么退货？")
    events = list(shop.chat.stream(shop.chat.regenerate(first.message_id)))
    assert isinstance(events[-1], Final)
    second = events[-1].reply
    assert second.message_id != first.message_id
    shown = [message.id for message in shop.conversations.messages(conversation_id)]
    assert second.message_id in shown
    assert first.message_id not in shown
    with pytest.raises(MessageNotFound):
        shop.chat.regenerate(first.message_id)


def test_answer_is_not_written_again_while_a_person_answers(shop: Shop) -> None:
    conversation_id = shop.start()
    first = shop.ask(conversation_id, "怎么退货？")
    with shop.engine.begin() as connection:
        connection.execute(update(ConversationRow).values(state=ConversationState.PERSON))
    with pytest.raises(MessageNotFound, match="person"):
        shop.chat.regenerate(first.message_id)
    assert shop.conversations.messages(conversation_id)[-1].id == first.message_id


def test_failed_regeneration_keeps_the_old_answer(shop: Shop) -> None:
    conversation_id = shop.start()
    first = shop.ask(conversation_id, "怎么退货？")
    shop.model.error = ModelUnavailable("gone")
    events = list(shop.chat.stream(shop.chat.regenerate(first.message_id)))
    assert isinstance(events[-1], Failure)
    shown = [message.id for message in shop.conversations.messages(conversation_id)]
    assert first.message_id in shown
    assert len(shown) == 2


def test_citation_opens_with_its_surroundings(shop: Shop) -> None:
    reply = shop.ask(shop.start(), "退货运费由谁承担")
    passage = shop.chat.passage(reply.message_id, 1)
    assert passage.before + passage.quote + passage.after in RETURNS_ZH
    assert passage.before
    with pytest.raises(MessageNotFound):
        shop.chat.passage(reply.message_id, 9)
    with pytest.raises(MessageNotFound):
        shop.chat.passage(MessageId("nope"), 1)


def test_citation_of_a_removed_document_keeps_its_quote(shop: Shop) -> None:
    reply = shop.ask(shop.start(), "退货运费由谁承担")
    shop.texts.clear()
    passage = shop.chat.passage(reply.message_id, 1)
    assert (passage.quote, passage.before, passage.after) == (reply.citations[0].quote, "", "")


def test_bad_messages_change_nothing(shop: Shop) -> None:
    conversation_id = shop.start()
    for text in ("", "\x00", "长" * 5000):
        with pytest.raises(MessageRejected):
            shop.chat.begin(conversation_id, text)
    with pytest.raises(ConversationNotFound):
        shop.chat.begin(ConversationId("nope"), "你好")
    assert shop.conversations.messages(conversation_id) == []


def test_full_queue_refuses_questions_but_not_requests_for_a_person(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel(max_waiting=-1))
    conversation_id = shop.start()
    with pytest.raises(QueueFull) as refused:
        shop.chat.begin(conversation_id, "怎么退货？")
    assert refused.value.retry_after_s > 0
    assert shop.conversations.messages(conversation_id) == []
    assert shop.ask(conversation_id, "转人工").action is Action.HANDOFF


def test_drain_refuses_new_turns_and_ends_running_ones(engine: Engine) -> None:
    shop = slow_shop(engine)
    conversation_id = shop.start()
    events = run_in_thread(shop.chat, conversation_id)
    started = time.monotonic()
    shop.chat.drain(1.2)
    assert time.monotonic() - started < 5
    assert isinstance(wait_for_end(events), Final)
    with pytest.raises(QueueFull):
        shop.chat.begin(conversation_id, "你好")
    stored = shop.conversations.messages(conversation_id)[1]
    assert stored.status is MessageStatus.INTERRUPTED


def test_resolved_conversation_opens_again(shop: Shop) -> None:
    conversation_id = shop.start()
    shop.ask(conversation_id, "转人工")
    with shop.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE conversations SET state = 'resolved'")
    reply = shop.ask(conversation_id, "怎么退货？")
    assert reply.action is Action.ANSWER
    assert shop.conversations.get(conversation_id).state is ConversationState.BOT


def test_sentence_cut_by_the_limit_is_left_out(engine: Engine) -> None:
    answer = "签收后 7 天内可以无理由退货。退货运费由顾客承担，每单"
    model = FakeChatModel(answer + "还没说完")
    shop = Shop(engine, model, max_new_tokens=model.count_tokens(answer))
    reply = shop.ask(shop.start(), "怎么退货？")
    assert reply.text == "签收后 7 天内可以无理由退货 [1]。"


def test_answer_that_repeats_the_question_is_never_shown(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel("Who pays the return label? Who pays it?"))
    events = shop.events(shop.start("en"), "Who pays the return label?")
    shown = "".join(event.text for event in events if isinstance(event, Token))
    final = events[-1]
    assert isinstance(final, Final)
    assert shown == final.reply.text
    assert "€6.90" in shown
    assert final.reply.reason is Reason.LOW_CONFIDENCE
    assert final.reply.citations


def test_stopped_regeneration_keeps_the_old_answer(engine: Engine) -> None:
    shop = slow_shop(engine)
    conversation_id = shop.start()
    turn = shop.chat.begin(conversation_id, "退货运费多少")
    first = turn.reply_id
    stream = shop.chat.stream(turn)
    take_until_text(stream)
    stream.close()
    assert first is not None
    again = shop.chat.stream(shop.chat.regenerate(first))
    take_until_text(again)
    assert shop.chat.stop(conversation_id)
    assert isinstance(list(again)[-1], Final)
    shown = [message.id for message in shop.conversations.messages(conversation_id)]
    assert first in shown
    assert len(shown) == 2


def test_turn_that_nobody_streams_can_be_stopped(shop: Shop) -> None:
    conversation_id = shop.start()
    shop.chat.begin(conversation_id, "怎么退货？")
    assert shop.chat.is_busy
    assert shop.chat.stop(conversation_id)
    assert not shop.chat.is_busy
    assert shop.ask(conversation_id, "怎么退货？").citations
