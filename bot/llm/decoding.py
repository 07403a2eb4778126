"""Writes one answer as a sequence of short steps: prefill in chunks, then several tokens at once.

Every step is one forward pass, so that a stop takes effect, and another answer gets its turn, after
a fraction of a second. The key-value cache of the system message is kept for the next prompt that
begins with it. Shapes: one sequence per pass, (1, n) ids in, (n_logits, vocabulary) out.
"""

import math
from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from bot.llm.base import GenerationParams
from bot.llm.lookup import TokenHistory
from bot.llm.sampling import Sampler
from bot.llm.tokens import Prompt

_PREFILL_CHUNK = 256  # tokens per step at most: about 0.4 s on two CPU cores
_MIN_PREFIX = 16  # shorter prefixes are not worth keeping

EndReason = Literal["eos", "length"]
LayerState = tuple[Tensor, Tensor]  # keys and values, (1, heads, n, dim) each


class PrefixCache:
    """Key-value states of the last few system messages; entries are never written to."""

    def __init__(self, max_entries: int = 4) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[int, ...], list[LayerState]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forgets everything; needed when the model's weights change."""
        self._entries.clear()

    def open(self, prompt: Prompt) -> tuple[Any, int]:
        """A cache for `prompt` and how many of its tokens are already in it."""
        cache = DynamicCache()
        key = prompt.ids[: prompt.n_prefix]
        states = self._entries.get(key)
        if states is None:
            return cache, 0
        self._entries.move_to_end(key)
        for layer, (keys, values) in enumerate(states):
            cache.update(keys, values, layer)  # joins into new tensors
        return cache, prompt.n_prefix

    def keep(self, prompt: Prompt, cache: Any) -> None:
        """Remembers the states of the prefix, which must be all that `cache` holds."""
        if prompt.n_prefix < _MIN_PREFIX:
            return
        states = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
        self._entries[prompt.ids[: prompt.n_prefix]] = states
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)


class Decoder:
    """A causal language model that writes answers step by step.

    Args:
        model: a transformers model for causal language modelling, in evaluation mode.
        end_ids: tokens that end an answer; they are never given out.
        banned_ids: control tokens that are never chosen.
        n_draft: tokens to guess ahead at most; 0 switches prompt lookup off.
        n_careful: guesses while the last ones were not all right, for models that read a few
            rows much quicker than many.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        end_ids: frozenset[int],
        banned_ids: Sequence[int],
        n_draft: int,
        n_careful: int,
    ) -> None:
        self.prefixes = PrefixCache()
        self._model = model
        self._device = next(model.parameters()).device
        self._end_ids = end_ids
        self._banned = torch.tensor(banned_ids, dtype=torch.int64, device=self._device)
        self._n_draft = n_draft
        self._n_careful = min(n_careful, n_draft)

    def steps(
        self, prompt: Prompt, params: GenerationParams
    ) -> Generator[list[int], None, EndReason]:
        """Yields the new tokens of each step (none while the prompt is read); returns the reason.

        With and without prompt lookup the answer is the same up to rounding, see `Sampler.choose`.
        """
        cache, n_read = self.prefixes.open(prompt)
        logits = torch.empty(0)
        while n_read < len(prompt.ids):
            part_end = prompt.n_prefix if n_read < prompt.n_prefix else len(prompt.ids)
            end = n_read + _chunk(part_end - n_read)
            logits = self._forward(prompt.ids[n_read:end], cache, n_logits=1)
            n_read = end
            if n_read == prompt.n_prefix:
                self.prefixes.keep(prompt, cache)
            if n_read < len(prompt.ids):
                yield []
        return (yield from self._write(prompt, params, cache, logits))

    def _write(
        self, prompt: Prompt, params: GenerationParams, cache: Any, logits: Tensor
    ) -> Generator[list[int], None, EndReason]:
        history = TokenHistory(prompt.ids)
        sampler = Sampler(params, self._banned)
        draft: list[int] = []
        while True:
            chosen = sampler.choose(logits, draft)
            new, reason = self._accept(chosen, history, params.max_new_tokens)
            if reason is not None:
                if new:
                    yield new
                return reason
            yield new
            cache.crop(len(chosen) - 1 - len(draft))  # a negative number: the guesses not taken
            was_right = bool(draft) and len(chosen) > len(draft)
            n_guesses = self._n_draft if was_right else self._n_careful
            left = params.max_new_tokens - history.n_new
            draft = history.draft(min(n_guesses, left - 1))
            logits = self._forward([history.last, *draft], cache, n_logits=1 + len(draft))

    def _accept(
        self, chosen: Sequence[int], history: TokenHistory, max_new_tokens: int
    ) -> tuple[list[int], EndReason | None]:
        new: list[int] = []
        for token in chosen:
            if token in self._end_ids:
                return new, "eos"
            new.append(token)
            if not history.append(token) or history.n_new >= max_new_tokens:
                return new, "length"
        return new, None

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int], cache: Any, *, n_logits: int) -> Tensor:
        inputs = torch.tensor([list(ids)], device=self._device)  # (1, n)
        output = self._model(
            input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=n_logits
        )
        logits: Tensor = output.logits[0]  # (n_logits, vocabulary)
        return logits


def _chunk(n_tokens: int) -> int:
    """Tokens of the next step: equal steps, as a short last one costs nearly a whole one."""
    return math.ceil(n_tokens / math.ceil(n_tokens / _PREFILL_CHUNK))
