"""The one thread that runs the local model: every active answer advances one step in turn."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from bot.errors import BotError, ModelUnavailable
from bot.llm.line import Request

_LOG = logging.getLogger(__name__)


class Engine:
    """Runs answers as interleaved steps, and exclusive jobs between answers.

    An error in one answer reaches that answer's reader as ModelUnavailable; the thread lives on.

    Args:
        answer: gives an answer's steps; each runs for a fraction of a second.
        finished: called when an answer has left the engine, however it ended.
    """

    def __init__(
        self, answer: Callable[[Request], Iterator[None]], *, finished: Callable[[Request], None]
    ) -> None:
        self._answer = answer
        self._finished = finished
        self._new: deque[Request] = deque()
        self._jobs: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._active: deque[tuple[Request, Iterator[None]]] = deque()
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="language-model", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Adds a request to the ones that take turns."""
        with self._changed:
            if not self._is_closed:
                self._new.append(request)
                self._changed.notify()
                return
        request.fail(_closing())

    def call(self, job: Callable[[], None]) -> None:
        """Runs a job alone: begun answers are finished first, new ones wait; raises its error."""
        future: Future[None] = Future()
        with self._changed:
            if self._is_closed:
                raise _closing()
            self._jobs.append((job, future))
            self._changed.notify()
        future.result()

    def close(self, timeout_s: float = 5.0) -> None:
        """Ends the thread after the step it is in; answers in work fail."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_closed or self._new or self._jobs or self._active
                )
                if self._is_closed:
                    break
                while self._new and not self._jobs:
                    request = self._new.popleft()
                    self._active.append((request, self._answer(request)))
            if self._active:
                self._step()
            else:
                self._run(*self._jobs[0])
        self._fail_all()

    def _step(self) -> None:
        request, steps = self._active.popleft()
        try:
            next(steps)
        except StopIteration:
            self._finished(request)
        except Exception as error:  # noqa: BLE001  # the thread must outlive any answer's error
            self._finished(request)
            request.fail(_as_bot_error(error))
        else:
            self._active.append((request, steps))

    def _run(self, job: Callable[[], None], future: Future[None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            future.set_exception(error)
        else:
            future.set_result(None)
        with self._changed:
            self._jobs.popleft()

    def _fail_all(self) -> None:
        with self._changed:
            requests = [*self._new, *(request for request, _ in self._active)]
            futures = [future for _, future in self._jobs]
            self._new.clear()
            self._active.clear()
        for request in requests:
            self._finished(request)
            request.fail(_closing())
        for future in futures:
            future.set_exception(_closing())


def _closing() -> ModelUnavailable:
    return ModelUnavailable("The language model is shutting down.")


def _as_bot_error(error: Exception) -> BotError:
    if isinstance(error, BotError):
        return error
    _LOG.error("an answer failed", exc_info=error)
    return ModelUnavailable(f"The language model failed ({type(error).__name__}); see the log.")
