"""Has the language model propose questions that a passage answers; a person approves them."""

import re
import threading
from collections.abc import Sequence

from bot.catalogue import Catalogue
from bot.llm.base import ChatMessage, ChatModel, Delta, GenerationParams
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
        catalogue: Holds the instruction in both languages.
    """

    def __init__(self, model: ChatModel, catalogue: Catalogue) -> None:
        self._model = model
        self._catalogue = catalogue

    def write(self, chunk: Chunk, *, limit: int) -> Sequence[str]:
        """Returns up to `limit` distinct questions in the passage's language.

        Raises:
            QueueFull, ModelUnavailable: the model cannot write now.
        """
        language = "zh" if is_chinese(chunk.text) else "en"
        passage = "\n".join([*chunk.headings, chunk.text])
        prompt = self._catalogue.text("chunks.propose_prompt", language, n=limit, passage=passage)
        params = GenerationParams(_MAX_NEW_TOKENS, _TEMPERATURE)
        events = self._model.generate([ChatMessage("user", prompt)], params, stop=threading.Event())
        said = "".join(event.text for event in events if isinstance(event, Delta))
        return questions_in(said)[:limit]


def questions_in(text: str) -> list[str]:
    """Returns the distinct lines that end in a question mark, without their numbering."""
    lines = [_MARK.sub("", line).strip() for line in text.splitlines()]
    fitting = [
        line
        for line in lines
        if line.endswith(("?", "？")) and _MIN_CHARS <= len(line) <= _MAX_CHARS
    ]
    return list(dict.fromkeys(fitting))
