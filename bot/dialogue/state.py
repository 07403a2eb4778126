"""What a conversation remembers when its next message arrives."""

from dataclasses import dataclass

from bot.types import Action, ConversationState


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question with what it was searched as and what was answered."""

    question: str
    query: str  # stand-alone form; empty where nothing was searched
    answer: str
    action: Action


@dataclass(frozen=True, slots=True)
class DialogueState:
    """The state of a conversation before the message at hand; `history` is oldest first."""

    state: ConversationState
    language: str  # zh or en: of the interface
    history: tuple[Exchange, ...] = ()
