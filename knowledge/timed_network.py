"""Connections that end at a deadline and go only where a resolver allows.

`httpcore` limits each read on its own; a server that sends a byte a minute passes that for ever.
Here every read and write gets only what is left of the whole, in slices, so that a cancelled
job lets go of a silent server within half a second.
"""

import ssl
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

import httpcore

_SLICE_S = 0.5


class OutOfTime(Exception):  # the caller words it
    """The deadline has passed."""


class TimedBackend(httpcore.NetworkBackend):
    """Opens connections for one request.

    Args:
        deadline: On the clock of `time.monotonic`.
        check: Called between slices; raises when the work has to stop.
        resolve: `(host, port)` → the addresses that may be connected to, best first.
    """

    def __init__(
        self,
        *,
        deadline: float,
        check: Callable[[], None],
        resolve: Callable[[str, int], list[str]],
    ) -> None:
        self._deadline = deadline
        self._check = check
        self._resolve = resolve
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connects to the first of the host's addresses that answers."""
        failure: Exception | None = None
        for address in self._resolve(host, port):
            self._check()
            left_s = _left(self._deadline)
            try:
                stream = self._inner.connect_tcp(address, port, left_s, local_address)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _TimedStream(stream, self._deadline, self._check)
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _TimedStream(httpcore.NetworkStream):
    def __init__(
        self, inner: httpcore.NetworkStream, deadline: float, check: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._deadline = deadline
        self._check = check

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            self._check()
            try:
                return self._inner.read(max_bytes, min(_SLICE_S, _left(self._deadline)))
            except httpcore.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._check()
        self._inner.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = _left(self._deadline)
        secured = self._inner.start_tls(ssl_context, server_hostname, left_s)
        return _TimedStream(secured, self._deadline, self._check)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(deadline: float) -> float:
    left_s = deadline - monotonic()
    if left_s <= 0:
        raise OutOfTime
    return left_s
