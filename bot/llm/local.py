"""The language model in this process: torch and transformers, on CUDA where there is one.

One engine thread writes the answers, see `bot.llm.engine`; what waits in front of it stands in a
`Line`. The adapter is exchanged between answers.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from bot.errors import AdapterRejected, ModelUnavailable, PromptTooLong
from bot.llm import adapters, packing
from bot.llm.attention import use_grouped_attention
from bot.llm.base import ChatMessage, Delta, Finished, GenerationEvent, GenerationParams
from bot.llm.decoding import Decoder
from bot.llm.engine import Engine
from bot.llm.line import Line, Request
from bot.llm.tokens import ChatTokenizer, Prompt, TextStream
from bot.llm.weights import model_name

_LOG = logging.getLogger(__name__)
_CAREFUL_ROWS = 8  # of int8 products: 8 rows take 1.5 times as long as one, 16 take twice


@dataclass(frozen=True, slots=True)
class LocalModelOptions:
    """How a local model runs.

    Attributes:
        device: `auto` is CUDA where there is a device, else the CPU.
        threads: of torch on the CPU; 0 leaves its default, all cores.
        max_active: answers that are written at the same time, taking turns step by step.
        max_waiting: further requests that may wait.
        prompt_lookup_tokens: tokens guessed ahead from the text at most; 0 switches it off.
        int8_decoding: keeps 8-bit copies of the weights for decoding on the CPU.
    """

    device: Literal["auto", "cpu", "cuda"]
    threads: int
    max_active: int
    max_waiting: int
    prompt_lookup_tokens: int
    int8_decoding: bool


class LocalChatModel:
    """A causal language model with an optional LoRA adapter; safe to use from any thread.

    Args:
        folder: config, tokenizer and safetensors, as `weights.resolve` gives it.
        adapter: a PEFT folder, None for the plain model.

    Raises:
        ModelUnavailable: the folder cannot be loaded.
        AdapterRejected: the adapter does not fit.
    """

    def __init__(self, folder: Path, *, adapter: Path | None, options: LocalModelOptions) -> None:
        self._folder = folder
        self._name = model_name(folder)
        self._adapter: adapters.Adapter | None = None
        device = _device(options.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        self._model, tokenizer = _load(folder, device)
        if device.type == "cpu":
            use_grouped_attention(self._model)
        self._tokenizer = ChatTokenizer(tokenizer, self._model.generation_config)
        self._is_packed = options.int8_decoding and device.type == "cpu"
        self._rounds_rows = self._is_packed and packing.multiplies_int8()
        if adapter is None:
            self._pack()
        else:
            self._exchange(self._check(adapter))
        self._decoder = Decoder(
            self._model,
            end_ids=self._tokenizer.end_ids,
            banned_ids=self._tokenizer.banned_ids,
            n_draft=options.prompt_lookup_tokens,
            n_careful=self._n_careful(options.prompt_lookup_tokens),
        )
        self._max_tokens = int(self._model.config.max_position_embeddings)
        self._line = Line(
            self._submit, max_active=options.max_active, max_waiting=options.max_waiting
        )
        self._engine = Engine(self._answer, finished=self._line.leave)

    @property
    def name(self) -> str:
        """The model's name, as its weights folder gives it."""
        return self._name

    @property
    def adapter(self) -> str | None:
        """The merged adapter's id, None without one."""
        return self._adapter.id if self._adapter else None

    @property
    def is_full(self) -> bool:
        """True when `generate` would raise QueueFull now."""
        return self._line.is_full

    def count_tokens(self, text: str) -> int:
        """Tokens of a piece of text, without any chat template."""
        return self._tokenizer.count(text)

    def generate(
        self, messages: Sequence[ChatMessage], params: GenerationParams, *, stop: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Streams an answer, see `ChatModel.generate`."""
        return self._line.join(Request(messages, params, stop=stop))

    def swap_adapter(self, folder: Path | None) -> None:
        """Exchanges the adapter for all later answers; those being written are finished first.

        Raises:
            AdapterRejected: the folder does not fit; the old adapter keeps serving.
            ModelUnavailable: the base weights cannot be read any more.
        """
        adapter = None if folder is None else self._check(folder)
        self._engine.call(lambda: self._swap(adapter))

    def close(self) -> None:
        """Stops the engine; answers in work and waiting ones fail."""
        self._line.close()
        self._engine.close()

    def _submit(self, request: Request) -> None:
        self._engine.submit(request)

    def _check(self, folder: Path) -> adapters.Adapter:
        return adapters.check_adapter(folder, self._model, base_name=self._name)

    def _swap(self, adapter: adapters.Adapter | None) -> None:
        self._decoder.prefixes.clear()
        old = self._adapter
        try:
            self._restore()
            self._exchange(adapter)
        except AdapterRejected:
            self._restore()
            self._exchange(old)
            raise
        _LOG.info("adapter in use: %s", self.adapter)

    def _exchange(self, adapter: adapters.Adapter | None) -> None:
        """Merges `adapter` into the plain base weights."""
        if adapter is not None:
            adapters.merge(adapter, self._model)
        self._pack()
        self._adapter = adapter

    def _restore(self) -> None:
        try:
            adapters.restore(self._model, self._folder)
        except (OSError, SafetensorError) as error:
            raise ModelUnavailable(f"Cannot read the weights in {self._folder}: {error}") from error

    def _pack(self) -> None:
        if self._is_packed:
            packing.pack(self._model, rounds_rows=self._rounds_rows)

    def _n_careful(self, n_draft: int) -> int:
        """Guesses that cost nearly nothing: what the quick layers take along in one pass."""
        if self._rounds_rows:
            return _CAREFUL_ROWS - 1
        return packing.MAX_ROWS - 1 if self._is_packed else n_draft

    def _answer(self, request: Request) -> Iterator[None]:
        """The steps of one answer, run by the engine's thread."""
        if request.is_stopped:
            request.finish_unserved()
            return
        started = time.perf_counter()
        prompt = self._prompt(request)
        text = TextStream(self._tokenizer)
        steps = self._decoder.steps(prompt, request.params)
        reason: Literal["eos", "length", "stopped"] = "stopped"
        n_new_tokens = 0
        prefilled: float | None = None
        while not request.is_stopped:
            try:
                tokens = next(steps)
            except StopIteration as end:
                reason = end.value
                break
            if tokens:
                prefilled = prefilled or time.perf_counter()
                n_new_tokens += len(tokens)
                _emit_text(request, text.push(tokens))
            yield
        _emit_text(request, text.finish())
        ended = time.perf_counter()
        prefilled = prefilled or ended
        request.emit(
            Finished(
                reason=reason,
                n_prompt_tokens=len(prompt.ids),
                n_new_tokens=n_new_tokens,
                queue_ms=(started - request.joined_at) * 1e3,
                prefill_ms=(prefilled - started) * 1e3,
                decode_ms=(ended - prefilled) * 1e3,
            )
        )

    def _prompt(self, request: Request) -> Prompt:
        prompt = self._tokenizer.encode(request.messages)
        n_tokens = len(prompt.ids) + request.params.max_new_tokens
        if n_tokens > self._max_tokens:
            raise PromptTooLong(
                f"Expected at most {self._max_tokens} tokens with the answer's, found {n_tokens}."
            )
        return prompt


def _emit_text(request: Request, text: str) -> None:
    if text:
        request.emit(Delta(text))


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelUnavailable(
            "KEFU_LLM__DEVICE is 'cuda', but torch finds no CUDA device. Use 'auto' or 'cpu'."
        )
    has_cuda = name in ("auto", "cuda") and torch.cuda.is_available()
    return torch.device("cuda" if has_cuda else "cpu")


def _dtype(device: torch.device) -> torch.dtype:
    """Bfloat16 where the hardware has it; elsewhere it would be emulated slowly."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    read_abilities = getattr(torch.cpu, "get_capabilities", None)  # older torch lacks it
    abilities = read_abilities() if read_abilities else {}
    has_bf16 = any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if has_bf16 else torch.float32


def _load(folder: Path, device: torch.device) -> tuple[Any, Any]:
    try:
        model: nn.Module = AutoModelForCausalLM.from_pretrained(
            folder, dtype=_dtype(device), local_files_only=True, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailable(f"Cannot load the language model in {folder}: {error}") from error
    return model.to(device).eval(), tokenizer
