"""Has the language model propose questions that a passage answers; a person approves them."""

import re
import threading
from collections.abc import Collection, Sequence

from bot.catalogue import Catalogue
from bot.llm.base import ChatMessage, ChatModel, Delta, GenerationParams
from bot.question_screening import screen
from knowledge.embedding import is_chinese
from knowledge.parts import split_parts
from knowledge.types import Chunk

_MAX_NEW_TOKENS = 48
_TEMPERATURE = 0.0
_N_EXAMPLES = 3
#: So many sentences are tried for each question that is wanted.
_TRIES = 2
_MIN_CHARS = 4
_MAX_CHARS = 120
_HAN = re.compile(r"[\u3400-\u9fff]")
_MARK = re.compile(r"^\s*(?:[-*•·]|\(?\d{1,2}[.)、．)]|[QqＱ问]\d*[:：])\s*")


class ModelQuestionWriter:
    """Asks the chat model; whatever it writes is only a proposal.

    Args:
        model: Writes.
        catalogue: Holds instruction and examples for each language to write in.
    """

    def __init__(self, model: ChatModel, catalogue: Catalogue) -> None:
        self._model = model
        self._catalogue = catalogue

    def write(self, chunk: Chunk, *, limit: int, known: Collection[str] = ()) -> Sequence[str]:
        """Returns up to `limit` new questions in the passage's language, then as many in the other.

        Sentence by sentence and for each language by itself: given a whole passage, or both
        languages at once, a small model writes about the passage instead of asking what it
        answers. What it then writes in the wrong language, repeats or copies is left out.

        Raises:
            QueueFull, ModelUnavailable: the model cannot write now.
        """
        languages = ("zh", "en") if is_chinese(chunk.text) else ("en", "zh")
        found: list[str] = []
        for language in languages:
            found += self._in_language(chunk, language, limit, known=[*known, *found])
        return found

    def _in_language(
        self, chunk: Chunk, language: str, limit: int, *, known: Collection[str]
    ) -> list[str]:
        """Goes on to further sentences, so far, where the first ones' questions are known."""
        examples = self._examples(language)
        passage = "\n".join([*chunk.headings, chunk.text])
        shown = [example.content for example in examples]
        found: list[str] = []
        for statement in _statements(chunk)[: limit * _TRIES]:
            if len(found) == limit:
                break
            said = questions_in(self._ask([*examples, ChatMessage("user", statement)]))[:1]
            fitting = [one for one in said if _is_in(language, one)]
            found += screen(fitting, passage=passage, known=[*known, *found, *shown])
        return found

    def _examples(self, language: str) -> list[ChatMessage]:
        text = self._catalogue.text
        messages = [ChatMessage("system", text("chunks.propose_prompt", language))]
        for n in range(1, _N_EXAMPLES + 1):
            statement = text(f"chunks.propose_statement_{n}", language)
            question = text(f"chunks.propose_question_{n}", language)
            messages += [ChatMessage("user", statement), ChatMessage("assistant", question)]
        return messages

    def _ask(self, messages: Sequence[ChatMessage]) -> str:
        params = GenerationParams(_MAX_NEW_TOKENS, _TEMPERATURE)
        events = self._model.generate(messages, params, stop=threading.Event())
        return "".join(event.text for event in events if isinstance(event, Delta))


def _statements(chunk: Chunk) -> list[str]:
    """Returns the sentences and lines that say something: no headings, no rules of a table."""
    headings = {_bare(heading) for heading in chunk.headings}
    parts = [part for part in split_parts(chunk.text) if _bare(part)]
    return [part for part in parts if _bare(part) not in headings]


def _bare(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _is_in(language: str, question: str) -> bool:
    """English with a Chinese word in it is a slip; Chinese may well name a product in English."""
    return is_chinese(question) if language == "zh" else not _HAN.search(question)


def questions_in(text: str) -> list[str]:
    """Returns the distinct lines that end in a question mark, without their numbering."""
    lines = [_MARK.sub("", line).strip() for line in text.splitlines()]
    fitting = [
        line
        for line in lines
        if line.endswith(("?", "？")) and _MIN_CHARS <= len(line) <= _MAX_CHARS
    ]
    return list(dict.fromkeys(fitting))
