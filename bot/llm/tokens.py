"""Text to token ids and back: prompts by the chat template, answers piece by piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.llm.base import ChatMessage

_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>")
_BROKEN = "\ufffd"  # what an incomplete UTF-8 sequence decodes to


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of a whole prompt; the first `n_prefix` are those of its system message."""

    ids: tuple[int, ...]
    n_prefix: int


class ChatTokenizer:
    """A model's tokenizer, seen as what a conversation needs of it.

    Args:
        tokenizer: of the transformers library, with a chat template.
        generation_config: of the model; its end-of-sequence ids are honoured.
    """

    def __init__(self, tokenizer: Any, generation_config: Any) -> None:
        self._tokenizer = tokenizer
        self._markers = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        self.end_ids = _end_ids(tokenizer, generation_config)
        self.banned_ids = sorted(set(tokenizer.added_tokens_decoder) - self.end_ids)

    def count(self, text: str) -> int:
        """Tokens of a text, without any template."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def encode(self, messages: Sequence[ChatMessage]) -> Prompt:
        """The prompt for the next answer.

        Control tokens written out in a message stay text: a customer cannot open a new turn.
        """
        rendered = [{"role": m.role, "content": self._defuse(m.content)} for m in messages]
        ids = self._ids(rendered, add_generation_prompt=True)
        n_prefix = 0
        if len(messages) > 1 and messages[0].role == "system":
            prefix = self._ids(rendered[:1], add_generation_prompt=False)
            n_prefix = _n_common(ids, prefix)
        return Prompt(tuple(ids), min(n_prefix, len(ids) - 1))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens, control tokens left out."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _ids(self, messages: list[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _defuse(self, content: str) -> str:
        for marker in self._markers:
            if marker in content:
                content = content.replace(marker, f"{marker[0]} {marker[1:]}")
        return content


class TextStream:
    """Turns tokens into text as they come, holding back what is not yet a whole character."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context = 0  # decoding begins here, so that joins between tokens come out right
        self._shown = 0  # tokens before this one have been given out

    def push(self, ids: Sequence[int]) -> str:
        """Adds tokens; gives the text that they complete, often empty for rare characters."""
        self._ids.extend(ids)
        text = self._unshown()
        if not text or text.endswith(_BROKEN):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return text

    def finish(self) -> str:
        """The rest; a character that was never completed is dropped."""
        text = self._unshown().rstrip(_BROKEN)
        self._shown = len(self._ids)
        return text

    def _unshown(self) -> str:
        before = self._tokenizer.decode(self._ids[self._context : self._shown])
        return self._tokenizer.decode(self._ids[self._context :])[len(before) :]


def _end_ids(tokenizer: Any, generation_config: Any) -> frozenset[int]:
    configured = generation_config.eos_token_id
    ids = {tokenizer.eos_token_id, *(configured if isinstance(configured, list) else [configured])}
    known = {str(token): id_ for id_, token in tokenizer.added_tokens_decoder.items()}
    return frozenset({known[end] for end in _ENDS if end in known} | ids - {None})


def _n_common(left: Sequence[int], right: Sequence[int]) -> int:
    n = 0
    while n < min(len(left), len(right)) and left[n] == right[n]:
        n += 1
    return n
