"""What understands a customer's message: the role, and the rules alone.

The learned heads come in behind the same role; the rules serve where no head is installed.
"""

from collections.abc import Sequence
from typing import Protocol

from bot.dialogue.intent import detect_intent
from bot.dialogue.language import detect_language
from bot.types import MessageAnalysis, Prediction

#: Nothing that the rules know; a confidence of 0, for they cannot say what else it is.
_UNKNOWN = Prediction("oos", 0.0)


class Analyzer(Protocol):
    """Says what a message is; safe to call from several threads, never raises for any text."""

    def analyze(self, text: str, *, default_language: str) -> MessageAnalysis:
        """Analyses one message; `default_language` (zh or en) is for one without letters."""
        ...

    def analyze_many(self, texts: Sequence[str], *, default_language: str) -> list[MessageAnalysis]:
        """Analyses messages together; the same results as one by one, in order."""
        ...


class RuleAnalyzer:
    """Language and the few intents that rules are sure of; everything else stays unknown."""

    def analyze(self, text: str, *, default_language: str) -> MessageAnalysis:
        """Analyses one message by rules."""
        language = detect_language(text, default_language)
        intent = detect_intent(text)
        if intent.label == "question":
            return MessageAnalysis(language, _UNKNOWN)
        return MessageAnalysis(language, intent, intent_source="rule")

    def analyze_many(self, texts: Sequence[str], *, default_language: str) -> list[MessageAnalysis]:
        """Analyses messages one by one."""
        return [self.analyze(text, default_language=default_language) for text in texts]
