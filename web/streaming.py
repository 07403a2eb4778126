"""Answers as they are written: one thread an answer, events to the loop, events to SSE.

A reply is a blocking generator. Each runs in a thread of a pool of its own, so that neither the
event loop nor the threads that serve short requests wait for it. When the client goes away the
answer is stopped and the generator closed, which stores it as interrupted.
"""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fastapi.encoders import jsonable_encoder
from starlette.responses import StreamingResponse

from bot.chat import ChatService, Turn
from bot.events import Citations, Event, Failure, Final, Status, Token
from bot.types import ConversationId
from web.errors import HttpProblem
from web.schemas import CitationOut, ReplyOut

_log = logging.getLogger(__name__)

PING_S = 15.0
SSE_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


@dataclass(slots=True)
class RunningAnswer:
    """One answer being written; `events` ends with None."""

    conversation_id: ConversationId
    events: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    abandoned: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class AnswerThreads:
    """Writes answers in threads of their own; at most `limit` at a time."""

    def __init__(self, chat: ChatService, *, limit: int) -> None:
        self._chat = chat
        self._limit = limit
        self._threads = ThreadPoolExecutor(limit, thread_name_prefix="answer")
        self._running: set[int] = set()

    def check_room(self) -> None:
        """Refuses when every thread is taken.

        Raises:
            HttpProblem: 503; asked before the customer's message is stored.
        """
        if len(self._running) >= self._limit:
            raise HttpProblem("busy", retry_after_s=5)

    def start(self, conversation_id: ConversationId, turn: Turn) -> RunningAnswer:
        """Starts writing; call it on the event loop."""
        answer = RunningAnswer(conversation_id)
        loop = asyncio.get_running_loop()
        self._running.add(id(answer))
        done = loop.run_in_executor(self._threads, self._write, loop, turn, answer)
        done.add_done_callback(lambda _: self._running.discard(id(answer)))
        return answer

    def abandon(self, answer: RunningAnswer) -> None:
        """Ends an answer nobody waits for any more."""
        if not answer.abandoned.is_set():
            answer.abandoned.set()
            self._threads.submit(self._chat.stop, answer.conversation_id)

    def close(self) -> None:
        """Waits for the threads; their answers were ended by `ChatService.drain`."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _write(self, loop: asyncio.AbstractEventLoop, turn: Turn, answer: RunningAnswer) -> None:
        stream: Iterator[Event] = self._chat.stream(turn)
        try:
            for event in stream:
                loop.call_soon_threadsafe(answer.events.put_nowait, event)
                if answer.abandoned.is_set():
                    break
        except Exception as error:  # noqa: BLE001  # handed to the request that waits for it
            answer.error = error
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
            if not loop.is_closed():
                loop.call_soon_threadsafe(answer.events.put_nowait, None)


async def finish(answer: RunningAnswer) -> Final | Failure:
    """Waits for the last event, for clients that do not stream."""
    while (event := await answer.events.get()) is not None:
        if isinstance(event, Final | Failure):
            return event
    raise answer.error or RuntimeError("The answer ended without a final event.")


def event_stream(threads: AnswerThreads, answer: RunningAnswer) -> StreamingResponse:
    """Returns the SSE response of an answer."""
    return StreamingResponse(
        _frames(threads, answer), headers=SSE_HEADERS, media_type="text/event-stream"
    )


async def _frames(threads: AnswerThreads, answer: RunningAnswer) -> AsyncIterator[str]:
    try:
        while True:
            try:
                event = await asyncio.wait_for(answer.events.get(), PING_S)
            except TimeoutError:
                yield ": ping\n\n"
                continue
            if event is None:
                answer.abandoned.set()  # it ended by itself; a stop would hit the next answer
                if answer.error is not None:
                    raise answer.error
                return
            if isinstance(event, Final | Failure):
                answer.abandoned.set()  # clients leave here, and their next answer may be running
            yield encode(event)
    finally:
        threads.abandon(answer)


def encode(event: Event) -> str:
    """Returns the SSE frame of an event; JSON keeps every frame on one data line."""
    name: str
    body: object
    match event:
        case Status(stage, position):
            name, body = "status", _without_none({"stage": stage, "position": position})
        case Token(text):
            name, body = "token", {"text": text}
        case Citations(items):
            name, body = "citations", [CitationOut.model_validate(item) for item in items]
        case Final(reply):
            name, body = "final", ReplyOut.model_validate(reply)
        case Failure(title, detail, reference):
            name, body = "failure", {"title": title, "detail": detail, "reference": reference}
    return f"event: {name}\ndata: {json.dumps(jsonable_encoder(body), ensure_ascii=False)}\n\n"


def _without_none(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
