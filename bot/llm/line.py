"""Who is served when: a bounded first-come-first-served line in front of a language model.

Shared by the local and the remote model. A place is taken when `generate` is called, not when its
events are first read, and is given on when the answer is written, not when it has been read: a
reader that stalls holds up nobody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from bot.errors import ModelUnavailable, QueueFull
from bot.llm.base import (
    ChatMessage,
    Finished,
    GenerationEvent,
    GenerationParams,
    Queued,
)

_POLL_S = 0.05  # how soon a request that waits notices that it was stopped


class Request:
    """One generation: what was asked, and the events on their way to the reader."""

    def __init__(
        self, messages: Sequence[ChatMessage], params: GenerationParams, *, stop: threading.Event
    ) -> None:
        self.messages = tuple(messages)
        self.params = params
        self.events: SimpleQueue[GenerationEvent | Exception] = SimpleQueue()
        self.stop = stop
        self.is_abandoned = False  # the reader went away
        self.joined_at = time.perf_counter()
        self.started_at = self.joined_at

    @property
    def is_stopped(self) -> bool:
        """Whether nobody wants more of this answer."""
        return self.is_abandoned or self.stop.is_set()

    @property
    def queue_ms(self) -> float:
        """How long it waited for its turn."""
        return (self.started_at - self.joined_at) * 1e3

    def emit(self, event: GenerationEvent) -> None:
        """Hands an event to the reader; `Finished` is the last."""
        self.events.put(event)

    def fail(self, error: Exception) -> None:
        """Ends the answer with an error, raised in the reader's thread."""
        self.events.put(error)

    def finish_unserved(self) -> None:
        """Ends a request that was stopped before its turn came."""
        waited_ms = (time.perf_counter() - self.joined_at) * 1e3
        self.emit(Finished("stopped", 0, 0, waited_ms, 0.0, 0.0))


class Line:
    """Lets `max_active` requests be worked on, `max_waiting` more wait, and refuses the rest.

    Args:
        start: begins work on a request; called without the line's lock, must return at once.
    """

    def __init__(
        self, start: Callable[[Request], None], *, max_active: int, max_waiting: int
    ) -> None:
        if max_active < 1 or max_waiting < 0:
            raise ValueError(f"expected max_active >= 1, found {max_active} and {max_waiting}")
        self._start = start
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._active: set[Request] = set()
        self._waiting: deque[Request] = deque()
        self._mean_s = 3.0  # running mean of the time an answer takes
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether `join` would refuse now."""
        with self._lock:
            return self._is_full()

    def join(self, request: Request) -> "EventStream":
        """Takes the next place.

        Raises:
            QueueFull: nobody more may wait.
            ModelUnavailable: the line was closed.
        """
        with self._lock:
            if self._is_closed:
                raise ModelUnavailable("The language model is shutting down.")
            if self._is_full():
                retry_after_s = self._mean_s * (1 + len(self._waiting) / self._max_active)
                raise QueueFull(
                    f"{len(self._waiting)} answers are waiting, which is the limit.",
                    retry_after_s=min(max(round(retry_after_s), 1), 120),
                )
            self._waiting.append(request)
            ready = self._promote()
            if not ready:
                request.emit(Queued(len(self._waiting)))
        self._begin(ready)
        return EventStream(request, self)

    def leave(self, request: Request) -> None:
        """Gives the place of a request that is done to the next one."""
        with self._lock:
            if request not in self._active:
                return
            self._active.remove(request)
            took_s = time.perf_counter() - request.started_at
            self._mean_s += 0.2 * (took_s - self._mean_s)
            ready = self._promote()
            if ready:
                self._tell_positions()
        self._begin(ready)

    def abandon(self, request: Request) -> None:
        """Takes a stopped request out, if it still waits; one in work ends by itself."""
        with self._lock:
            if request not in self._waiting:
                return
            self._waiting.remove(request)
            self._tell_positions()
        request.finish_unserved()

    def close(self) -> None:
        """Refuses further requests and fails those that wait."""
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            request.fail(ModelUnavailable("The language model is shutting down."))

    def _is_full(self) -> bool:
        return len(self._active) >= self._max_active and len(self._waiting) >= self._max_waiting

    def _promote(self) -> list[Request]:
        ready = []
        while self._waiting and len(self._active) < self._max_active:
            request = self._waiting.popleft()
            self._active.add(request)
            ready.append(request)
        return ready

    def _begin(self, ready: list[Request]) -> None:
        for request in ready:
            request.started_at = time.perf_counter()
            self._start(request)

    def _tell_positions(self) -> None:
        for position, request in enumerate(self._waiting, 1):
            request.emit(Queued(position))


class EventStream(Iterator[GenerationEvent]):
    """The reader's end of a request; dropping or closing it stops the generation."""

    def __init__(self, request: Request, line: Line) -> None:
        self._request = request
        self._line = line
        self._is_over = False

    def __next__(self) -> GenerationEvent:
        if self._is_over:
            raise StopIteration
        event = self._receive()
        if isinstance(event, Exception):
            self._is_over = True
            raise event
        self._is_over = isinstance(event, Finished)
        return event

    def close(self) -> None:
        """Stops the generation if it still runs; nothing more can be read."""
        if not self._is_over:
            self._is_over = True
            self._request.is_abandoned = True
            self._line.abandon(self._request)

    def __del__(self) -> None:
        self.close()

    def _receive(self) -> GenerationEvent | Exception:
        while True:
            try:
                return self._request.events.get(timeout=_POLL_S)
            except Empty:
                if self._request.is_stopped:
                    self._line.abandon(self._request)
