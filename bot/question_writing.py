"""Has the language model propose questions that a passage answers; a person approves them."""

import re
import threading
from collections.abc import Collection, Sequence

from bot.catalogue import Catalogue
from bot.llm.base import ChatMessage, ChatModel, Delta, GenerationParams
from bot.question_screening import screen
from knowledge.embedding import is_chinese
from knowledge.types import Chunk

_MAX_NEW_TOKENS = 120
_TEMPERATURE = 0.0
_MIN_CHARS = 4
_MAX_CHARS = 120
_MARK = re.compile(r"^\s*(?:[-*•·]|\(?\d{1,2}[.)、．)]|[QqＱ问]\d*[:：])\s*")


class ModelQuestionWriter:
    """Asks the chat model; whatever it writes is only a proposal.

    Args:
        model: Writes.
        catalogue: Holds the instruction in each language to write in.
    """

    def __init__(self, model: ChatModel, catalogue: Catalogue) -> None:
        self._model = model
        self._catalogue = catalogue

    def write(self, chunk: Chunk, *, limit: int, known: Collection[str] = ()) -> Sequence[str]:
        """Returns up to `limit` new questions in the passage's language, then as many in the other.

        Each language is asked for by itself: a small model that is asked for both at once writes
        one. What it then writes in the wrong language, repeats or copies is left out.

        Raises:
            QueueFull, ModelUnavailable: the model cannot write now.
        """
        passage = "\n".join([*chunk.headings, chunk.text])
        languages = ("zh", "en") if is_chinese(chunk.text) else ("en", "zh")
        found: list[str] = []
        for language in languages:
            said = self._ask(passage, language, limit)
            fitting = [one for one in questions_in(said) if is_chinese(one) == (language == "zh")]
            found += screen(fitting, passage=passage, known=[*known, *found])[:limit]
        return found

    def _ask(self, passage: str, language: str, limit: int) -> str:
        prompt = self._catalogue.text("chunks.propose_prompt", language, n=limit, passage=passage)
        params = GenerationParams(_MAX_NEW_TOKENS, _TEMPERATURE)
        events = self._model.generate([ChatMessage("user", prompt)], params, stop=threading.Event())
        return "".join(event.text for event in events if isinstance(event, Delta))


def questions_in(text: str) -> list[str]:
    """Returns the distinct lines that end in a question mark, without their numbering."""
    lines = [_MARK.sub("", line).strip() for line in text.splitlines()]
    fitting = [
        line
        for line in lines
        if line.endswith(("?", "？")) and _MIN_CHARS <= len(line) <= _MAX_CHARS
    ]
    return list(dict.fromkeys(fitting))
