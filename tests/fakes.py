"""Small stand-ins for model weights; everything else in the tests is real."""

import itertools
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bot.dialogue.language import detect_language
from bot.errors import QueueFull
from bot.llm.base import (
    ChatMessage,
    Delta,
    Finished,
    GenerationEvent,
    GenerationParams,
    Queued,
)
from bot.types import ComplaintFinding, MessageAnalysis, Prediction
from bot.understanding import RuleAnalyzer

_TOKEN = re.compile(r"[A-Za-z0-9]+\s*|.\s*", re.DOTALL)
_PASSAGE = re.compile(r"^\s*\[(\d+)\].*\n\s*(.+?)(?:(?<=[。！？!?])|(?<=\.)(?=\s)|$)", re.MULTILINE)


def echo_passage(messages: Sequence[ChatMessage]) -> str:
    """The first sentence under the first line marked `[n]` in the last message, cited."""
    found = _PASSAGE.search(messages[-1].content)
    if found is None:
        return messages[-1].content.strip().splitlines()[-1]
    return f"{found[2].strip()} [{found[1]}]"


class FakeChatModel:
    """A deterministic ChatModel: scripted answers in order, then whatever `answer` writes.

    One answer is written at a time and the rest wait, as with the real ones. `prompts` holds what
    it was asked; set `error` to make every further generation fail after its first piece.
    """

    def __init__(
        self,
        *script: str,
        answer: Callable[[Sequence[ChatMessage]], str] = echo_passage,
        token_delay_s: float = 0.0,
        max_waiting: int = 32,
        adapter: str | None = None,
    ) -> None:
        self.name = "fake-model"
        self.adapter = adapter
        self.prompts: list[tuple[ChatMessage, ...]] = []
        self.error: Exception | None = None
        self._script = list(script)
        self._answer = answer
        self._token_delay_s = token_delay_s
        self._max_waiting = max_waiting
        self._requests: list[object] = []  # the first is being written
        self._changed = threading.Condition()

    @property
    def is_full(self) -> bool:
        with self._changed:
            return len(self._requests) > self._max_waiting

    def count_tokens(self, text: str) -> int:
        return len(_TOKEN.findall(text))

    def generate(
        self, messages: Sequence[ChatMessage], params: GenerationParams, *, stop: threading.Event
    ) -> Iterator[GenerationEvent]:
        request = object()
        with self._changed:
            if len(self._requests) > self._max_waiting:
                raise QueueFull("Too many answers are waiting.", retry_after_s=5)
            self._requests.append(request)
            self.prompts.append(tuple(messages))
            text = self._script.pop(0) if self._script else self._answer(messages)
        n_prompt_tokens = sum(self.count_tokens(message.content) for message in messages)
        events = self._write(request, text, params, stop, n_prompt_tokens)
        return _FakeStream(events, lambda: self._leave(request))

    def close(self) -> None:
        """Holds nothing that needs to end."""

    def answer_next(self, text: str) -> None:
        """Adds an answer to the script."""
        with self._changed:
            self._script.append(text)

    def _leave(self, request: object) -> None:
        with self._changed:
            if request in self._requests:
                self._requests.remove(request)
                self._changed.notify_all()

    def _write(
        self,
        request: object,
        text: str,
        params: GenerationParams,
        stop: threading.Event,
        n_prompt_tokens: int,
    ) -> Iterator[GenerationEvent]:
        started = time.perf_counter()
        yield from self._wait(request, stop)
        queue_ms = (time.perf_counter() - started) * 1e3
        pieces = _TOKEN.findall(text)
        n_new_tokens = 0
        for piece in pieces[: params.max_new_tokens]:
            if stop.wait(self._token_delay_s) if self._token_delay_s else stop.is_set():
                break
            n_new_tokens += 1
            yield Delta(piece)
            if self.error is not None:
                raise self.error
        reason = "stopped" if stop.is_set() else "eos" if n_new_tokens == len(pieces) else "length"
        decode_ms = (time.perf_counter() - started) * 1e3 - queue_ms
        yield Finished(reason, n_prompt_tokens, n_new_tokens, queue_ms, 0.0, decode_ms)  # type: ignore[arg-type]

    def _wait(self, request: object, stop: threading.Event) -> Iterator[GenerationEvent]:
        told = 0
        while not stop.is_set():
            with self._changed:
                position = self._requests.index(request)
                if position == told and position:
                    self._changed.wait(0.02)
                    continue
            if position == 0:
                return
            told = position
            yield Queued(position)


class _FakeStream:
    """The generator `events`, which leaves the queue however it ends."""

    def __init__(self, events: Iterator[GenerationEvent], leave: Callable[[], None]) -> None:
        self._events = events
        self._leave = leave

    def __iter__(self) -> Iterator[GenerationEvent]:
        return self

    def __next__(self) -> GenerationEvent:
        try:
            event = next(self._events)
        except BaseException:
            self._leave()
            raise
        if isinstance(event, Finished):
            self._leave()
        return event

    def close(self) -> None:
        self._leave()
        self._events.close()  # type: ignore[attr-defined]

    def __del__(self) -> None:
        self._leave()


class FakeAnalyzer:
    """An Analyzer by key words: ANGRY makes a complaint of severity 3 about a refund."""

    def analyze(self, text: str, *, default_language: str) -> MessageAnalysis:
        language = detect_language(text, default_language)
        if "ANGRY" not in text:
            return RuleAnalyzer().analyze(text, default_language=default_language)
        return MessageAnalysis(
            language,
            Prediction("refund", 0.9, (("refund", 0.9), ("return", 0.1))),
            sentiment=Prediction("very_negative", 0.7, (("very_negative", 0.7),)),
            complaint=ComplaintFinding(True, "refund", 3, 0.6, ("money",)),
            is_angry=True,
        )

    def analyze_many(self, texts: Sequence[str], *, default_language: str) -> list[MessageAnalysis]:
        return [self.analyze(text, default_language=default_language) for text in texts]


_WORD = re.compile(r"[a-z0-9]+|[\u3400-\u9fff]")


class FakeEmbedder:
    """A deterministic Embedder: words and their neighbours, hashed into a unit vector.

    Texts that share words lie close together. `embedded` holds every passage it was given.
    """

    def __init__(self, *, id: str = "fake-64", dim: int = 64, delay_s: float = 0.0) -> None:
        self.id = id
        self.dim = dim
        self.embedded: list[str] = []
        self._delay_s = delay_s

    def embed_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self._embed(texts)

    def embed_passages(self, texts: Sequence[str]) -> np.ndarray:
        if self._delay_s:
            time.sleep(self._delay_s)
        self.embedded.extend(texts)
        return self._embed(texts)

    def count_tokens(self, text: str) -> int:
        return len(_WORD.findall(text.lower()))

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.full((len(texts), self.dim), 1e-3, dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            words = _WORD.findall(text.lower())
            for term in [*words, *map(" ".join, itertools.pairwise(words))]:
                row[zlib.crc32(f"{self.id} {term}".encode()) % self.dim] += 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
