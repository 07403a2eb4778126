"""A language model on any OpenAI-compatible server (vLLM, llama.cpp, a cloud), through httpx.

Each answer in work has a thread that reads the server's stream, so that a stalled reader neither
holds a place nor the connection. A stop closes the connection, which ends the work over there too.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from bot.errors import BotError, ModelUnavailable
from bot.llm.base import ChatMessage, Delta, Finished, GenerationEvent, GenerationParams
from bot.llm.line import Line, Request

_LOG = logging.getLogger(__name__)
_CONNECT_S = 5.0
_POLL_S = 0.05
_MAX_LINE_CHARS = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteModelOptions:
    """Where the server is and how it is asked.

    Attributes:
        url: up to and including `/v1`.
        key: sent as a bearer token where not empty; never shown or logged.
        timeout_s: the longest silence between two pieces of an answer.
    """

    url: str
    model: str
    key: str = field(repr=False)
    timeout_s: float
    max_active: int
    max_waiting: int


@dataclass(slots=True)
class _Progress:
    """How far one answer is."""

    started: float
    first: float | None = None
    n_prompt_tokens: int = 0
    n_new_tokens: int = 0
    n_pieces: int = 0
    n_prompt_guess: int = 0
    reason: Literal["eos", "length", "stopped"] | None = None


class RemoteChatModel:
    """A ChatModel whose answers another server writes; safe to use from any thread."""

    def __init__(self, options: RemoteModelOptions) -> None:
        self._options = options
        headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(options.timeout_s, connect=_CONNECT_S),
            # A connection per answer, so that a stop can end it in any state.
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,  # settings come from KEFU_LLM__*, not from proxy variables
        )
        self._url = options.url.rstrip("/")
        self._model = options.model
        self._line = Line(
            self._start, max_active=options.max_active, max_waiting=options.max_waiting
        )

    @property
    def name(self) -> str:
        """The model's name on the server, `remote` until an unnamed one was asked for."""
        return self._model or "remote"

    @property
    def adapter(self) -> None:
        """None: adapters are the server's business, which names them as models."""
        return

    @property
    def is_full(self) -> bool:
        """True when `generate` would raise QueueFull now."""
        return self._line.is_full

    def count_tokens(self, text: str) -> int:
        """An estimate that errs on the high side: the server's tokenizer is not known.

        Counts one token per character outside ASCII and one per three ASCII characters.
        """
        n_ascii = sum(character.isascii() for character in text)
        return len(text) - n_ascii + -(-n_ascii // 3)

    def generate(
        self, messages: Sequence[ChatMessage], params: GenerationParams, *, stop: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Streams an answer, see `ChatModel.generate`."""
        return self._line.join(Request(messages, params, stop=stop))

    def close(self) -> None:
        """Refuses further requests and closes all connections."""
        self._line.close()
        self._client.close()

    def _start(self, request: Request) -> None:
        threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request: Request) -> None:
        if request.is_stopped:
            self._line.leave(request)
            request.finish_unserved()
            return
        progress = _Progress(started=time.perf_counter())
        error: BotError | None = None
        try:
            self._exchange(request, progress)
        except BotError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001  # whatever it is, the reader must hear of it
            error = self._explain(failure)
        self._line.leave(request)
        if error is not None and not request.is_stopped:
            _LOG.warning("the remote language model failed: %s", error)
            request.fail(error)
            return
        request.emit(_finished(request, progress))

    def _exchange(self, request: Request, progress: _Progress) -> None:
        """Asks the server and hands on what it streams; returns early after a stop."""
        self._model = self._model or self._first_model()
        body = _body(self._model, request)
        progress.n_prompt_guess = sum(self.count_tokens(m.content) for m in request.messages)
        url = f"{self._url}/chat/completions"
        with (
            _Wire(request) as wire,
            self._client.stream(
                "POST", url, json=body, extensions={"trace": wire.trace}
            ) as response,
        ):
            if response.status_code != httpx.codes.OK:
                response.read()
                raise ModelUnavailable(self._refusal(response))
            for data in _server_events(response):
                if request.is_stopped:
                    return
                if data == "[DONE]":
                    progress.reason = progress.reason or "eos"
                    return
                _take(request, progress, json.loads(data))
        if progress.reason is None and not request.is_stopped:
            raise ModelUnavailable(f"The model server at {self._url} broke off its answer.")

    def _first_model(self) -> str:
        """The first model that the server lists, where the settings name none."""
        response = self._client.get(f"{self._url}/models")
        if response.status_code != httpx.codes.OK:
            raise ModelUnavailable(self._refusal(response))
        try:
            return str(response.json()["data"][0]["id"])
        except (ValueError, LookupError, TypeError) as error:
            raise ModelUnavailable(
                f"The model server at {self._url} lists no model. Set KEFU_LLM__REMOTE_MODEL."
            ) from error

    def _refusal(self, response: httpx.Response) -> str:
        advice = {
            401: "Check KEFU_LLM__REMOTE_KEY.",
            403: "Check KEFU_LLM__REMOTE_KEY.",
            404: "Check KEFU_LLM__REMOTE_URL (it ends with /v1) and KEFU_LLM__REMOTE_MODEL.",
            429: "It is overloaded; lower KEFU_LLM__MAX_ACTIVE.",
        }.get(response.status_code, "See that server's log.")
        return f"The model server at {self._url} answered {response.status_code}. {advice}"

    def _explain(self, failure: Exception) -> ModelUnavailable:
        where = f"the model server at {self._url}"
        if isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.InvalidURL):
            message = f"Cannot reach {where}. Check KEFU_LLM__REMOTE_URL and that it runs."
        elif isinstance(failure, httpx.TimeoutException):
            message = f"No answer from {where} for {self._options.timeout_s:g} s."
        elif isinstance(failure, httpx.HTTPError):
            message = f"The connection to {where} broke ({type(failure).__name__})."
        else:
            message = f"Expected a stream of chat completion chunks from {where}, found none."
        error = ModelUnavailable(message)
        error.__cause__ = failure
        return error


class _Wire:
    """The connection of one request, cut from aside when the request is stopped.

    It is known from the moment it stands, so that a stop also works while the server is silent.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._socket: socket.socket | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Wire":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx at every step of the exchange."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def _look(self) -> None:
        while not self._done.wait(_POLL_S):
            if self._request.is_stopped and self._socket is not None:
                self._cut(self._socket)
                return

    @staticmethod
    def _cut(connection: socket.socket) -> None:
        try:
            # The plain method also for TLS: the reader is in the middle of the TLS state.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError as error:
            _LOG.debug("the connection was already closed: %s", error)


def _body(model: str, request: Request) -> dict[str, Any]:
    params = request.params
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": params.max_new_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return body if params.seed is None else {**body, "seed": params.seed}


def _server_events(response: httpx.Response) -> Iterator[str]:
    """The data of each event; comments and other fields are skipped."""
    for line in response.iter_lines():
        if len(line) > _MAX_LINE_CHARS:
            raise ValueError("a line without end")
        name, _, value = line.partition(":")
        if name == "data":
            yield value.strip()


def _take(request: Request, progress: _Progress, chunk: Any) -> None:
    """Hands on the text of one chunk and notes usage and the reason it ended."""
    if not isinstance(chunk, dict):
        raise ValueError("not a JSON object")
    if chunk.get("error"):
        raise ModelUnavailable("The model server reported an error while answering; see its log.")
    usage = chunk.get("usage") or {}
    progress.n_prompt_tokens = usage.get("prompt_tokens") or progress.n_prompt_tokens
    progress.n_new_tokens = usage.get("completion_tokens") or progress.n_new_tokens
    for choice in (chunk.get("choices") or [])[:1]:
        text = (choice.get("delta") or {}).get("content")
        if text:
            progress.first = progress.first or time.perf_counter()
            progress.n_pieces += 1
            request.emit(Delta(text))
        if choice.get("finish_reason"):
            progress.reason = "length" if choice["finish_reason"] == "length" else "eos"


def _finished(request: Request, progress: _Progress) -> Finished:
    ended = time.perf_counter()
    first = progress.first or ended
    return Finished(
        reason="stopped" if request.is_stopped else progress.reason or "eos",
        n_prompt_tokens=progress.n_prompt_tokens or progress.n_prompt_guess,
        n_new_tokens=progress.n_new_tokens or progress.n_pieces,
        queue_ms=request.queue_ms,
        prefill_ms=(first - progress.started) * 1e3,
        decode_ms=(ended - first) * 1e3,
    )
