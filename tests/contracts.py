"""What every implementation of a Protocol must do; the test files run these over each of them."""

import threading
import time
from collections.abc import Callable

import numpy as np
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
from knowledge.embedding import Embedder
from knowledge.vector_index import VectorIndex

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


def check_embeddings_are_unit_vectors(embedder: Embedder) -> None:
    texts = ["How long is the warranty?", "保修多久？", ""]
    for vectors in (embedder.embed_queries(texts), embedder.embed_passages(texts)):
        assert vectors.shape == (3, embedder.dim)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
    assert embedder.embed_passages([]).shape == (0, embedder.dim)


def check_embeddings_do_not_depend_on_the_batch(embedder: Embedder) -> None:
    texts = ["Refunds take five days.", "运费由买家承担。", "a", "long " * 50]
    together = embedder.embed_passages(texts)
    alone = np.vstack([embedder.embed_passages([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-3)


def check_question_is_closest_to_its_passage(embedder: Embedder) -> None:
    passages = [
        "The warranty lasts two years.",
        "Shipping is free above 50 euros.",
        "今天天气很好。",
    ]
    scores = (
        embedder.embed_passages(passages)
        @ embedder.embed_queries(["How many years is the warranty?"])[0]
    )
    assert scores.argmax() == 0


def check_embedder_takes_hostile_text(embedder: Embedder) -> None:
    texts = ["a\0b", "\ud800", "字" * 20_000, "\u202e\u200b"]
    assert np.isfinite(embedder.embed_passages(texts)).all()
    assert np.isfinite(embedder.embed_queries(texts)).all()


def check_embedder_counts_tokens(embedder: Embedder) -> None:
    assert embedder.count_tokens("") == 0
    assert 0 < embedder.count_tokens("a word") < embedder.count_tokens("a word and 更多的字")


def check_embedder_is_safe_in_threads(embedder: Embedder) -> None:
    texts = [f"passage number {n} about refunds" for n in range(12)]
    expected = embedder.embed_passages(texts)
    found: dict[int, np.ndarray] = {}

    def embed(n: int) -> None:
        found[n] = embedder.embed_passages([texts[n]])[0]

    threads = [threading.Thread(target=embed, args=(n,)) for n in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.allclose(np.vstack([found[n] for n in range(len(texts))]), expected, atol=1e-3)


EMBEDDER_CHECKS = [
    check_embeddings_are_unit_vectors,
    check_embeddings_do_not_depend_on_the_batch,
    check_question_is_closest_to_its_passage,
    check_embedder_takes_hostile_text,
    check_embedder_counts_tokens,
    check_embedder_is_safe_in_threads,
]


def unit_vectors(n: int, dim: int, *, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def check_added_vector_finds_itself(make: Callable[[int], VectorIndex]) -> None:
    index, vectors = make(16), unit_vectors(50, 16)
    index.add(range(100, 150), vectors)
    for id, vector in zip(range(100, 150), vectors, strict=True):
        assert index.search(vector, 1)[0] == (id, pytest.approx(1.0, abs=1e-5))


def check_scores_fall_and_ids_are_distinct(make: Callable[[int], VectorIndex]) -> None:
    index = make(8)
    index.add(range(30), unit_vectors(30, 8))
    hits = index.search(unit_vectors(1, 8, seed=1)[0], 100)
    assert len({id for id, _ in hits}) == len(hits) == 30
    assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)


def check_removed_never_returns(make: Callable[[int], VectorIndex]) -> None:
    index, vectors = make(8), unit_vectors(20, 8)
    index.add(range(20), vectors)
    index.remove([3, 7, 999])
    assert len(index) == 18
    assert {3, 7}.isdisjoint(id for vector in vectors for id, _ in index.search(vector, 20))


def check_adding_again_replaces(make: Callable[[int], VectorIndex]) -> None:
    index, vectors = make(8), unit_vectors(2, 8)
    index.add([5], vectors[:1])
    index.add([5], vectors[1:])
    assert len(index) == 1
    assert index.search(vectors[1], 5) == [(5, pytest.approx(1.0, abs=1e-5))]


def check_empty_index_finds_nothing(make: Callable[[int], VectorIndex]) -> None:
    index = make(8)
    assert index.search(unit_vectors(1, 8)[0], 5) == []
    index.add([1], unit_vectors(1, 8))
    index.remove([1])
    assert index.search(unit_vectors(1, 8)[0], 5) == []


def check_wrong_shapes_are_refused(make: Callable[[int], VectorIndex]) -> None:
    index = make(8)
    with pytest.raises(ValueError, match="shape"):
        index.add([1, 2], unit_vectors(1, 8))
    assert len(index) == 0


def check_id_scores_by_its_best_vector(make: Callable[[int], VectorIndex]) -> None:
    index, vectors = make(8), unit_vectors(9, 8)
    index.add([1] * 8, vectors[:8])
    index.add([2], vectors[8:])
    assert [id for id, _ in index.search(vectors[5], 2)] == [1, 2]
    assert index.search(vectors[5], 2)[0][1] == pytest.approx(1.0, abs=1e-5)
    index.remove([1])
    assert [id for id, _ in index.search(vectors[5], 2)] == [2]


VECTOR_INDEX_CHECKS = [
    check_added_vector_finds_itself,
    check_scores_fall_and_ids_are_distinct,
    check_removed_never_returns,
    check_adding_again_replaces,
    check_empty_index_finds_nothing,
    check_wrong_shapes_are_refused,
    check_id_scores_by_its_best_vector,
]
