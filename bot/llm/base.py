"""The seam to any language model: messages in, a stream of generation events out."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt; the first is `system` and is the same for many prompts."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class GenerationParams:
    """How to write: `temperature` 0 is greedy, a `seed` makes sampling repeatable."""

    max_new_tokens: int = 200
    temperature: float = 0.0
    top_p: float = 0.95
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """Still waiting; `position` is 1 for the next to be served."""

    position: int


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text, never an incomplete character."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Generation ended; always the last event."""

    reason: Literal["eos", "length", "stopped"]
    n_prompt_tokens: int
    n_new_tokens: int
    queue_ms: float
    prefill_ms: float
    decode_ms: float


GenerationEvent = Queued | Delta | Finished


class ChatModel(Protocol):
    """A language model; implementations are safe to call from several threads."""

    @property
    def name(self) -> str:
        """The base model's name, as transcripts show it."""
        ...

    @property
    def adapter(self) -> str | None:
        """The attached adapter's id, None without one."""
        ...

    @property
    def is_full(self) -> bool:
        """True when `generate` would raise QueueFull now."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a piece of text, without any chat template."""
        ...

    def generate(
        self, messages: Sequence[ChatMessage], params: GenerationParams, *, stop: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Streams an answer; setting `stop` ends it within one step with `stopped`.

        Closing the iterator early also stops the generation.

        Raises:
            QueueFull: the bounded queue has no place.
            ModelUnavailable: the model cannot answer (after set-up this is exceptional).
        """
        ...


@runtime_checkable
class SwappableModel(ChatModel, Protocol):
    """A model whose adapter can be exchanged while it serves."""

    def swap_adapter(self, folder: Path | None) -> None:
        """Attaches the adapter in `folder` (None: the plain base) for all later generations.

        Raises:
            AdapterRejected: the folder does not fit; the old adapter keeps serving.
        """
        ...
