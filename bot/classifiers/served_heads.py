"""Keeps a running server on the heads that the registry says are in force.

A thread compares what serves with what was loaded last, so that a change by any process is in use
within two seconds. Heads that cannot be loaded are tried again later; what was loaded serves on.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from bot.classifiers.registry import HeadRegistry

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_AFTER_ERROR_S = 10.0
_STOP_S = 5.0


class ServedHeads:
    """Follows a registry until it is stopped.

    Args:
        registry: the data folder's.
        reload: takes the heads that are in force now.
    """

    def __init__(self, registry: HeadRegistry, reload: Callable[[], None]) -> None:
        self._registry = registry
        self._reload = reload
        self._loaded = self._serving()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follows the registry in a thread until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow, name="heads", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops following."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None

    def refresh(self) -> bool:
        """Loads what is in force unless that is so already; returns whether it did."""
        with self._lock:
            wanted = self._serving()
            if wanted == self._loaded:
                return False
            self._reload()
            self._loaded = wanted
            _log.info("took newly promoted heads")
            return True

    def _serving(self) -> tuple[Path, ...]:
        return tuple(self._registry.serving(task) for task in self._registry.tasks)

    def _follow(self) -> None:
        wait_s = _POLL_S
        while not self._stopping.wait(wait_s):
            wait_s = _POLL_S
            try:
                self.refresh()
            except Exception:  # noqa: BLE001  # the thread must outlive any error
                wait_s = _AFTER_ERROR_S
                _log.exception("cannot take the heads that are in force")
