"""Streams that a client leaves: only an answer that is still being written is stopped."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from bot.chat import ChatService, Turn
from bot.events import Event, Failure, Token
from bot.types import ConversationId
from web.streaming import AnswerThreads, event_stream

TALK = ConversationId("talk")


class StoppableChat:
    """Streams the given events and remembers whose answer was stopped."""

    def __init__(self, *events: Event) -> None:
        self.events = events
        self.stopped: list[ConversationId] = []

    def stream(self, turn: Turn) -> Iterator[Event]:
        yield from self.events

    def stop(self, conversation_id: ConversationId) -> bool:
        self.stopped.append(conversation_id)
        return True


async def leave_after_one_frame(chat: StoppableChat) -> None:
    threads = AnswerThreads(cast(ChatService, chat), limit=2)
    answer = threads.start(TALK, cast(Turn, None))
    frames = cast(Any, event_stream(threads, answer).body_iterator)
    await anext(frames)
    await frames.aclose()
    await asyncio.to_thread(threads._threads.shutdown)


@pytest.mark.parametrize(
    ("first", "stopped"),
    [(Failure("Sorry", "Try again.", "r1"), []), (Token("Gift"), [TALK])],
)
def test_a_client_that_leaves_stops_only_its_own_answer(
    first: Event, stopped: list[ConversationId]
) -> None:
    chat = StoppableChat(first, Token(" wrapping"))
    asyncio.run(leave_after_one_frame(chat))
    assert chat.stopped == stopped
