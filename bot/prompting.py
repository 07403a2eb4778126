"""Builds the prompt of an answer within its token budget.

The system message is the same for every answer in a language; what varies stands in the last
message. Where the budget is short, history goes first, then the last passages, then the end of
the first passage. Only a question that would fill half the budget alone loses its middle. Where
there is room, the best passage is widened by those beside it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import takewhile, zip_longest

from jinja2 import DictLoader, Environment, StrictUndefined, Template

from bot.dialogue.state import Exchange
from bot.errors import PromptTooLong
from bot.llm.base import ChatMessage
from knowledge.neighbors import ALONE, Neighbors
from knowledge.types import ScoredChunk

_TEMPLATES = ("system.j2", "answer.j2")
#: Tokens the chat template adds around each message, for any of the usual templates.
_TOKENS_PER_MESSAGE = 8
_MIN_PASSAGE_CHARS = 80
_HISTORY_ANSWER_CHARS = 200
_MARKS = re.compile(r"\*\*|^#{1,6} +", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with its size; `text` is what transcripts show."""

    messages: tuple[ChatMessage, ...]
    n_tokens: int
    n_passages: int
    neighbors: tuple[ScoredChunk, ...] = ()  # read with the first passage

    @property
    def text(self) -> str:
        """The messages as JSON, ready to be sent to a model again."""
        return json.dumps(
            [{"role": message.role, "content": message.content} for message in self.messages],
            ensure_ascii=False,
        )

    @property
    def sha256(self) -> str:
        """Fingerprint of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What a prompt is made of; passages are best first, history is oldest first.

    `beside` are the neighbours of the first passage.
    """

    language: str
    question: str
    passages: Sequence[ScoredChunk]
    history: Sequence[Exchange] = ()
    beside: Neighbors = ALONE


class PromptBuilder:
    """Renders the template files.

    Args:
        count_tokens: The model's.
        budget_tokens: The limit of a whole prompt.
        neighbor_tokens: What neighbours of the first passage may add to a prompt.
    """

    def __init__(
        self, *, count_tokens: Callable[[str], int], budget_tokens: int, neighbor_tokens: int
    ) -> None:
        folder = files("bot").joinpath("prompts")
        sources = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in _TEMPLATES}
        environment = Environment(  # noqa: S701  # a prompt is no HTML
            loader=DictLoader(sources), undefined=StrictUndefined, keep_trailing_newline=False
        )
        self._answer: Template = environment.get_template("answer.j2")
        system = environment.get_template("system.j2")
        self._system = {language: system.render(language=language) for language in ("zh", "en")}
        self._count_tokens = count_tokens
        self._budget_tokens = budget_tokens
        self._neighbor_tokens = neighbor_tokens

    def build(self, request: PromptRequest) -> Prompt:
        """Returns the prompt, cut to the budget.

        Raises:
            PromptTooLong: the question and the fixed text alone exceed the budget.
        """
        request = replace(request, question=self._fitted(request.question))
        history = list(request.history)
        passages = [(_context(hit), _body(hit)) for hit in request.passages]
        while True:
            prompt = self._assemble(request, history, passages)
            excess = prompt.n_tokens - self._budget_tokens
            if excess <= 0:
                return self._widened(prompt, request, history, passages)
            if history:
                history.pop(0)
            elif len(passages) > 1:
                passages.pop()
            elif passages and len(passages[0][1]) > _MIN_PASSAGE_CHARS:
                passages[0] = (passages[0][0], self._shortened(passages[0][1], excess))
            else:
                raise PromptTooLong(
                    f"The question needs {prompt.n_tokens} tokens with its instructions, but the "
                    f"budget is {self._budget_tokens}; shorten it."
                )

    def _widened(
        self,
        prompt: Prompt,
        request: PromptRequest,
        history: Sequence[Exchange],
        passages: Sequence[tuple[str, str]],
    ) -> Prompt:
        """Returns the prompt with as many neighbours as fit, the nearest first."""
        if not passages or passages[0][1] != _body(request.passages[0]):
            return prompt  # the first passage was cut itself
        limit = min(self._budget_tokens, prompt.n_tokens + self._neighbor_tokens)
        first = request.passages[0]
        chosen: list[ScoredChunk] = []
        full: set[bool] = set()  # sides on which one was left out, and so all beyond it
        for one in _nearest_first(request):
            is_before = one.chunk.start < first.chunk.start
            if is_before in full:
                continue
            ordered = sorted([first, *chosen, one], key=lambda hit: hit.chunk.start)
            body = "\n".join(map(_body, ordered))
            wider = self._assemble(request, history, [(passages[0][0], body), *passages[1:]])
            if wider.n_tokens <= limit:
                chosen.append(one)
                prompt = wider
            else:
                full.add(is_before)
        return replace(prompt, neighbors=tuple(chosen))

    def _assemble(
        self,
        request: PromptRequest,
        history: Sequence[Exchange],
        passages: Sequence[tuple[str, str]],
    ) -> Prompt:
        numbered = [
            {"n": n, "context": context, "text": text}
            for n, (context, text) in enumerate(passages, start=1)
        ]
        answer = self._answer.render(
            language=request.language, question=request.question, passages=numbered
        )
        messages = [ChatMessage("system", self._system[request.language])]
        for exchange in history:
            messages.append(ChatMessage("user", exchange.question))
            messages.append(ChatMessage("assistant", exchange.answer[:_HISTORY_ANSWER_CHARS]))
        messages.append(ChatMessage("user", answer))
        n_tokens = sum(
            self._count_tokens(message.content) + _TOKENS_PER_MESSAGE for message in messages
        )
        return Prompt(tuple(messages), n_tokens, len(passages))

    def _fitted(self, question: str) -> str:
        """Keeps the beginning and the end of a question that is longer than half the budget."""
        while (n_tokens := self._count_tokens(question)) > self._budget_tokens // 2:
            n_chars = max(2, int(len(question) * self._budget_tokens / 2 / n_tokens) - 8)
            if n_chars >= len(question):
                break
            half = n_chars // 2
            question = f"{question[:half].rstrip()} … {question[-half:].lstrip()}"
        return question

    def _shortened(self, text: str, excess_tokens: int) -> str:
        """Cuts the end of a passage by at least the excess, and always by something."""
        tokens_per_char = max(1, self._count_tokens(text)) / len(text)
        n_chars = len(text) - max(1, int(excess_tokens / tokens_per_char))
        return text[: max(_MIN_PASSAGE_CHARS, n_chars)]


def _nearest_first(request: PromptRequest) -> list[ScoredChunk]:
    """The neighbours of the first passage on both sides, up to one that is read anyway."""
    known = {hit.chunk.id for hit in request.passages}
    after, before = (
        takewhile(lambda one: one.chunk.id not in known, side)
        for side in (request.beside.after, request.beside.before)
    )
    return [one for pair in zip_longest(after, before) for one in pair if one is not None]


def _context(hit: ScoredChunk) -> str:
    """Where a passage stands: the title, and the headings above it."""
    parts = [part.strip() for part in (hit.title or hit.document, *hit.chunk.headings)]
    return " › ".join(dict.fromkeys(part for part in parts if part))


def _body(hit: ScoredChunk) -> str:
    """The passage without marks of emphasis and the headings that `_context` gives already.

    A small model copies what it sees: a heading said twice becomes half its answer.
    """
    above = {_bare(text) for text in (hit.title, *hit.chunk.headings)}
    lines = _MARKS.sub("", hit.chunk.text).strip().split("\n")
    while len(lines) > 1 and (not lines[0].strip() or _bare(lines[0]) in above):
        lines.pop(0)
    return "\n".join(lines)


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
