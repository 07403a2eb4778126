"""Keeps the running model on the adapter that the registry says is in force.

What is promoted wins over `KEFU_LLM__ADAPTER`, which serves where nothing is promoted. A thread
follows the pointer, so that a change by any process is in use within two seconds, or when the
answers being written then are finished. An adapter that the model refuses is noted in the
registry, and the old one goes on serving and is in force again.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bot.adapter_pointer import AS_SET, Promotion
from bot.adapter_registry import AdapterRegistry, RegisteredAdapter
from bot.errors import (
    AdapterChangeRefused,
    AdapterNotFound,
    AdapterRejected,
    BotError,
    PointerDamaged,
)
from bot.llm.base import ChatModel, SwappableModel

_log = logging.getLogger(__name__)
_POLL_S = 0.5
_AFTER_ERROR_S = 10.0
_STOP_S = 5.0
_Model_co = TypeVar("_Model_co", covariant=True)

REMOTE = (
    "KEFU_LLM__BACKEND is 'remote': that server attaches adapters itself. Load the adapter there "
    "and name it in KEFU_LLM__REMOTE_MODEL."
)


@dataclass(frozen=True, slots=True)
class OpenedModel(Generic[_Model_co]):
    """A model, what was in force when it was built, and why it was built without that."""

    model: _Model_co
    wanted: Promotion
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterOverview:
    """All adapters, the one in use as answers record it, and what is wrong with the pointer."""

    items: list[RegisteredAdapter]
    serving: str | None
    problem: str | None


def open_with_adapter(
    registry: AdapterRegistry, build: Callable[[Path | None], _Model_co], *, default: Path | None
) -> OpenedModel[_Model_co]:
    """Builds a model with the promoted adapter; with `default` where that cannot be.

    Raises:
        AdapterRejected: the default does not fit.
    """
    try:
        wanted = registry.pointer().current
    except PointerDamaged as error:
        _log.error("%s Serving what the settings say.", error)
        return OpenedModel(build(default), AS_SET)
    if wanted.name is None:
        return OpenedModel(build(default), wanted)
    try:
        return OpenedModel(build(registry.folder(wanted.name)), wanted)
    except (AdapterNotFound, AdapterRejected) as error:
        _log.error("promoted adapter %s refused, serving the settings': %s", wanted.name, error)
        return OpenedModel(build(default), wanted, str(error))


class ServedAdapters:
    """What routes call to see and change the adapter of the model in this process.

    Args:
        registry: the data folder's.
        opened: the model, as it was opened; one without `swap_adapter` refuses changes.
        default: the settings' adapter, which serves where nothing is promoted.
    """

    def __init__(
        self, registry: AdapterRegistry, opened: OpenedModel[ChatModel], *, default: Path | None
    ) -> None:
        self._registry = registry
        self._model = opened.model
        self._opened = opened
        self._default = default
        self._settled = opened.wanted  # the last that was attached, or refused at the start
        self._told: str | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def overview(self) -> AdapterOverview:
        """Returns what there is and what serves."""
        return AdapterOverview(self._registry.list(), self._model.adapter, self._registry.problem())

    def promote(self, name: str, *, by: str) -> Promotion:
        """Puts an adapter in force; when this returns, it writes the next answer.

        Raises:
            AdapterNotFound: there is none of that name.
            AdapterRejected: it does not fit; the old one serves on.
            AdapterChangeRefused: the model is not in this process, or the change was not written.
        """
        self._require_swappable()
        return self._apply(self._registry.promote(name, by=by))

    def rollback(self, *, by: str) -> Promotion:
        """Goes back to what served before; when this returns, it writes the next answer.

        Raises:
            AdapterRejected: what was before does not fit any more; the old one serves on.
            AdapterChangeRefused: there is nothing to go back to.
        """
        self._require_swappable()
        return self._apply(self._registry.rollback(by=by))

    def start(self) -> None:
        """Notes how the start went and follows the pointer until `stop`."""
        if not isinstance(self._model, SwappableModel):
            return
        try:
            self._note_start()
        except AdapterChangeRefused as error:
            _log.warning("%s", error)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow, name="adapters", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops following."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None

    def refresh(self) -> AdapterRejected | None:
        """Attaches what is in force unless that is so already; returns why it was refused.

        Raises:
            PointerDamaged: nobody knows what is in force; the adapter stays as it is.
            ModelUnavailable: the weights cannot be read now.
        """
        with self._lock:
            wanted = self._registry.pointer().current
            if wanted == self._settled:
                return None
            try:
                self._attach(wanted)
            except (AdapterNotFound, AdapterRejected) as error:
                _log.error("adapter %s refused: %s", wanted.name or "of the settings", error)
                self._registry.refuse(wanted, str(error), instead=self._settled)
                return AdapterRejected(str(error))
            self._settled = wanted
            return None

    def _apply(self, promotion: Promotion) -> Promotion:
        refused = self.refresh()
        if refused is not None:
            raise refused
        pointer = self._registry.pointer()
        reason = pointer.refused.get(promotion.name or "")
        if reason is not None and pointer.current != promotion:  # the thread was first
            raise AdapterRejected(reason)
        return promotion

    def _attach(self, wanted: Promotion) -> None:
        assert isinstance(self._model, SwappableModel)  # noqa: S101  # else nothing follows
        folder = self._default if wanted.name is None else self._registry.folder(wanted.name)
        self._model.swap_adapter(folder)
        if wanted.name is not None:
            self._registry.accept(wanted.name)

    def _note_start(self) -> None:
        wanted, refusal = self._opened.wanted, self._opened.refusal
        if refusal is not None:
            self._registry.refuse(wanted, refusal, instead=None)
        elif wanted.name is not None:
            self._registry.accept(wanted.name)

    def _require_swappable(self) -> None:
        if not isinstance(self._model, SwappableModel):
            raise AdapterChangeRefused(REMOTE)

    def _follow(self) -> None:
        wait_s = _POLL_S
        while not self._stopping.wait(wait_s):
            wait_s = _POLL_S
            try:
                self.refresh()
                self._told = None
            except PointerDamaged as error:
                self._tell(str(error))
            except BotError as error:
                wait_s = _AFTER_ERROR_S
                self._tell(f"cannot change the adapter: {error}")
            except Exception:  # noqa: BLE001  # the thread must outlive any error
                wait_s = _AFTER_ERROR_S
                _log.exception("cannot change the adapter")

    def _tell(self, message: str) -> None:
        """Logs a lasting trouble once."""
        if message != self._told:
            _log.error("%s The adapter stays as it is.", message)
            self._told = message
