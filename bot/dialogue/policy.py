"""Decides what to do with a message: pure, total, and never influenced by the model's text.

Asked twice in the reply flow: before retrieval, where small talk, requests for a person and
unsupported languages leave, and again with the evidence.
"""

from dataclasses import dataclass

from bot.types import Action, ConversationState, MessageAnalysis, Reason

_SMALLTALK = frozenset({"greeting", "thanks", "goodbye"})


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens next; `needs_evidence` asks for retrieval before the second decision."""

    action: Action
    reason: Reason | None = None
    offers_person: bool = False
    needs_evidence: bool = False


def decide(analysis: MessageAnalysis, state: ConversationState) -> Decision:
    """Decides before retrieval; while a person has the conversation the bot says nothing."""
    if state is ConversationState.PERSON:
        return Decision(Action.NONE)
    intent = analysis.intent.label
    if intent == "ask_for_person":
        return Decision(Action.HANDOFF, Reason.CUSTOMER_ASKED)
    if intent in _SMALLTALK:
        return Decision(Action.SMALLTALK)
    if analysis.language == "other":
        return Decision(Action.REFUSE, Reason.UNSUPPORTED_LANGUAGE, offers_person=True)
    return Decision(Action.ANSWER, needs_evidence=True)


def decide_with_evidence(relevance: float, *, threshold: float) -> Decision:
    """Decides once the relevance of what was found is known."""
    if relevance < threshold:
        return Decision(Action.REFUSE, Reason.NO_EVIDENCE, offers_person=True)
    return Decision(Action.ANSWER)


def decide_on_grounding(is_carried: bool, *, has_quote: bool) -> Decision:
    """Decides what becomes of a written answer: keep it, quote instead, or refuse."""
    if is_carried:
        return Decision(Action.ANSWER)
    if has_quote:
        return Decision(Action.ANSWER, Reason.LOW_CONFIDENCE, offers_person=True)
    return Decision(Action.REFUSE, Reason.NO_EVIDENCE, offers_person=True)


def state_after(action: Action, state: ConversationState) -> ConversationState:
    """Returns the conversation's state once the action is done."""
    if state is ConversationState.PERSON:
        return state
    if action is Action.HANDOFF:
        return ConversationState.QUEUED
    if state is ConversationState.RESOLVED:  # the customer came back
        return ConversationState.BOT
    return state
