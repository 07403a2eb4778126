"""Starting and stopping: SIGTERM stops intake, running answers finish or are marked, then exit."""

import asyncio
import logging
import signal
import threading
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from bot.assembly import Services

_log = logging.getLogger(__name__)
_MARGIN_S = 1.0  # of `shutdown_s`, kept for closing connections and indexes


class Lifecycle:
    """Drains the chat service once, in a thread, whoever asks first."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._draining: threading.Thread | None = None

    @property
    def is_stopping(self) -> bool:
        """True once intake has stopped."""
        return self._draining is not None

    def begin_stop(self) -> threading.Thread:
        """Stops intake and returns the thread that waits for the running answers."""
        with self._lock:
            if self._draining is None:
                self._draining = threading.Thread(target=self._drain, name="drain", daemon=True)
                self._draining.start()
                _log.info("stopping: no new messages are taken")
            return self._draining

    def _drain(self) -> None:
        self._services.chat.drain(max(0.0, self._services.settings.web.shutdown_s - 2 * _MARGIN_S))


class KefuServer(uvicorn.Server):
    """A uvicorn server that drains answers before it closes connections."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops intake at the first signal; a second Ctrl-C exits at once.

        Unlike uvicorn's, it does not raise the signal again afterwards: an orderly end is 0.
        """
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self._lifecycle.begin_stop()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Cuts connections that outlive the answers, such as pages left open."""
        drained = self._lifecycle.begin_stop()
        cutting = asyncio.create_task(self._cut_connections(drained))
        await super().shutdown(sockets)
        cutting.cancel()

    async def _cut_connections(self, drained: threading.Thread) -> None:
        await asyncio.to_thread(drained.join)
        await asyncio.sleep(0.3)  # the last frames of finished answers
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.close()


def make_server(app: FastAPI, lifecycle: Lifecycle, services: Services) -> KefuServer:
    """Returns the server, with our logs instead of uvicorn's access log."""
    settings = services.settings.web
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_s,
        timeout_keep_alive=75,
    )
    return KefuServer(config, lifecycle)
