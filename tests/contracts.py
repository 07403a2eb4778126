"""What every implementation of a Protocol must do; the test files run these over each of them."""

import threading
import time
from collections.abc import Callable

import pytest

from bot.errors import QueueFull
from bot.llm.base import (
    ChatMessage,
    ChatModel,
    Delta,
    Finished,
    GenerationEvent,
    GenerationParams,
    Queued,
)

LONG = "one two three four five six seven eight nine ten " * 20


def ask(text: str) -> list[ChatMessage]:
    return [ChatMessage("system", "Answer briefly."), ChatMessage("user", text)]


def collect(
    model: ChatModel, text: str, *, n: int = 12, stop: threading.Event | None = None
) -> list[GenerationEvent]:
    params = GenerationParams(max_new_tokens=n)
    return list(model.generate(ask(text), params, stop=stop or threading.Event()))


def check_events_are_ordered(model: ChatModel) -> None:
    events = collect(model, LONG)
    kinds = [type(event) for event in events]
    assert kinds[-1] is Finished
    assert kinds.count(Finished) == 1
    assert Delta in kinds
    assert set(kinds[:-1]) <= {Queued, Delta}
    assert all(event.text for event in events if isinstance(event, Delta))


def check_numbers_are_plausible(model: ChatModel) -> None:
    finished = collect(model, LONG, n=5)[-1]
    assert isinstance(finished, Finished)
    assert finished.reason in ("eos", "length")
    assert finished.n_prompt_tokens > 0
    assert 0 < finished.n_new_tokens <= 5
    assert min(finished.queue_ms, finished.prefill_ms, finished.decode_ms) >= 0


def check_counts_tokens(model: ChatModel) -> None:
    assert model.count_tokens("") == 0
    assert 0 < model.count_tokens("a word") <= model.count_tokens("a word and 更多的字")


def check_same_question_same_answer(model: ChatModel) -> None:
    texts = [
        "".join(event.text for event in collect(model, "hello you") if isinstance(event, Delta))
        for _ in range(2)
    ]
    assert texts[0] == texts[1]


def check_stop_before_start_gives_stopped(model: ChatModel) -> None:
    stop = threading.Event()
    stop.set()
    events = collect(model, LONG, stop=stop)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"


def check_stop_ends_generation(slow: ChatModel) -> None:
    """For a model that needs seconds for a long answer."""
    stop = threading.Event()
    events: list[GenerationEvent] = []
    for event in slow.generate(ask(LONG), GenerationParams(max_new_tokens=150), stop=stop):
        if isinstance(event, Delta) and not stop.is_set():
            stop.set()
            stopped_at = time.monotonic()
        events.append(event)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"
    assert time.monotonic() - stopped_at < 1
    assert events[-1].n_new_tokens < 100


def check_closing_the_stream_frees_the_place(slow: ChatModel) -> None:
    params = GenerationParams(max_new_tokens=150)
    stream = slow.generate(ask(LONG), params, stop=threading.Event())
    assert isinstance(next(event for event in stream if not isinstance(event, Queued)), Delta)
    del stream
    started = time.monotonic()
    assert isinstance(collect(slow, "hello", n=1)[-1], Finished)
    assert time.monotonic() - started < 3


def check_line_is_bounded_and_fair(make_slow: Callable[..., ChatModel]) -> None:
    """For a model with one place and two waiting ones."""
    model = make_slow(max_active=1, max_waiting=2)
    params = GenerationParams(max_new_tokens=20)
    streams = [model.generate(ask(LONG), params, stop=threading.Event()) for _ in range(3)]
    assert model.is_full
    with pytest.raises(QueueFull) as caught:
        model.generate(ask(LONG), params, stop=threading.Event())
    assert caught.value.retry_after_s >= 1
    finished: list[int] = []
    seen: dict[int, list[GenerationEvent]] = {}

    def read(i: int) -> None:
        seen[i] = list(streams[i])
        finished.append(i)

    readers = [threading.Thread(target=read, args=(i,)) for i in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(20)
    assert finished == [0, 1, 2]
    assert [e.position for e in seen[2] if isinstance(e, Queued)][-1] == 1
    assert not any(isinstance(event, Queued) for event in seen[0])
    assert not model.is_full


def check_stop_while_waiting(make_slow: Callable[..., ChatModel]) -> None:
    model = make_slow(max_active=1, max_waiting=2)
    params = GenerationParams(max_new_tokens=60)
    first = model.generate(ask(LONG), params, stop=threading.Event())
    stop = threading.Event()
    second = model.generate(ask(LONG), params, stop=stop)
    assert next(second) == Queued(1)
    stop.set()
    last = list(second)[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.n_new_tokens) == ("stopped", 0)
    assert isinstance(list(first)[-1], Finished)


CHAT_MODEL_CHECKS = (
    check_events_are_ordered,
    check_numbers_are_plausible,
    check_counts_tokens,
    check_same_question_same_answer,
    check_stop_before_start_gives_stopped,
)
SLOW_CHAT_MODEL_CHECKS = (check_stop_ends_generation, check_closing_the_stream_frees_the_place)
LINE_CHECKS = (check_line_is_bounded_and_fair, check_stop_while_waiting)
