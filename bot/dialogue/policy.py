"""Decides what to do with a message: pure, total, and never influenced by the model's text.

Asked twice in the reply flow: before retrieval, where small talk, requests for a person and
unsupported languages leave, and again with the evidence.

Rules are certain and act at once. What a learned head says acts only where it is sure, and never
in the place of an answer: its greetings and small talk wait for the second decision, where
nothing relevant was found; thanks, praise and goodbyes act at once only where the message has not
even the form of a question, and a wish for a person where it has no question word.

Serious complaints (severity from 3, or anger) are answered like any other message, with a person
offered beside. The gravest (severity 4, a legal threat, privacy or security) are answered too
where the documents have an answer; where they have none a person is asked for without being asked
to, for then a refusal would be the last word in a matter that must not wait.
"""

from dataclasses import dataclass

from bot.dialogue.asking import Asking
from bot.priority import SERIOUS
from bot.types import Action, ConversationState, MessageAnalysis, Reason

_SMALLTALK = frozenset({"greeting", "thanks", "goodbye"})
_CLOSING = frozenset({"thanks", "goodbye", "feedback_praise"})
_LEARNED_SMALLTALK = _SMALLTALK | _CLOSING | {"small_talk"}
_PERSON = "ask_for_person"
_GRAVE_TYPES = frozenset({"legal_threat", "privacy_or_security"})
_GRAVEST = 4
#: Confidence is calibrated: below it, one such prediction in five or more is wrong, and the
#: ordinary way (search, answer or offer a person) costs the customer little.
SURE = 0.8
#: A language that is not known to be an unsupported one gets its search first.
_LIKELY = 0.5


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens next; `needs_evidence` asks for retrieval before the second decision."""

    action: Action
    reason: Reason | None = None
    offers_person: bool = False
    needs_evidence: bool = False


def decide(
    analysis: MessageAnalysis, state: ConversationState, *, asking: Asking = "words"
) -> Decision:
    """Decides before retrieval; while a person has the conversation the bot says nothing.

    Args:
        analysis: What was understood of the message.
        state: The conversation's.
        asking: Whether the message asks for something that an answer could say.
    """
    if state is ConversationState.PERSON:
        return Decision(Action.NONE)
    intent = analysis.intent.label
    is_rule = analysis.intent_source == "rule"
    if intent == _PERSON and (is_rule or (_is_sure(analysis) and asking != "words")):
        return Decision(Action.HANDOFF, Reason.CUSTOMER_ASKED)
    if intent in _SMALLTALK and is_rule:
        return Decision(Action.SMALLTALK)
    is_closing = intent in _CLOSING and not analysis.complaint.is_complaint
    if is_closing and _is_sure(analysis) and asking == "no":
        return Decision(Action.SMALLTALK)
    if analysis.language == "other" and analysis.language_confidence >= _LIKELY:
        return _unsupported()
    return Decision(Action.ANSWER, offers_person=deserves_person(analysis), needs_evidence=True)


def decide_with_evidence(
    analysis: MessageAnalysis, relevance: float, *, threshold: float
) -> Decision:
    """Decides once the relevance of what was found is known."""
    if relevance >= threshold:
        return Decision(Action.ANSWER, offers_person=deserves_person(analysis))
    return _decide_without_evidence(analysis)


def decide_on_grounding(
    analysis: MessageAnalysis, *, is_carried: bool, has_quote: bool
) -> Decision:
    """Decides what becomes of a written answer: keep it, quote instead, or refuse."""
    if is_carried:
        return Decision(Action.ANSWER, offers_person=deserves_person(analysis))
    if has_quote:
        return Decision(Action.ANSWER, Reason.LOW_CONFIDENCE, offers_person=True)
    return _decide_without_evidence(analysis)


def deserves_person(analysis: MessageAnalysis) -> bool:
    """True where a person is offered beside the answer: a serious complaint, or anger."""
    return analysis.is_angry or _severity(analysis) >= SERIOUS or is_grave(analysis)


def is_grave(analysis: MessageAnalysis) -> bool:
    """True for what must not end with a refusal: danger, a legal threat, privacy or security."""
    complaint = analysis.complaint
    is_grave_type = complaint.is_complaint and complaint.type in _GRAVE_TYPES
    return is_grave_type or _severity(analysis) >= _GRAVEST


def state_after(action: Action, state: ConversationState) -> ConversationState:
    """Returns the conversation's state once the action is done."""
    if state is ConversationState.PERSON:
        return state
    if action is Action.HANDOFF:
        return ConversationState.QUEUED
    if state is ConversationState.RESOLVED:  # the customer came back
        return ConversationState.BOT
    return state


def _decide_without_evidence(analysis: MessageAnalysis) -> Decision:
    """Nothing was found: what is left is a person, small talk, or saying so."""
    if is_grave(analysis):
        return Decision(Action.HANDOFF, Reason.POLICY)
    if _is_sure(analysis) and analysis.intent.label == _PERSON:
        return Decision(Action.HANDOFF, Reason.CUSTOMER_ASKED)
    if _is_sure(analysis) and analysis.intent.label in _LEARNED_SMALLTALK:
        return Decision(Action.SMALLTALK)
    if analysis.language == "other":
        return _unsupported()
    return Decision(Action.REFUSE, Reason.NO_EVIDENCE, offers_person=True)


def _unsupported() -> Decision:
    return Decision(Action.REFUSE, Reason.UNSUPPORTED_LANGUAGE, offers_person=True)


def _is_sure(analysis: MessageAnalysis) -> bool:
    return analysis.intent_source == "rule" or analysis.intent.confidence >= SURE


def _severity(analysis: MessageAnalysis) -> int:
    complaint = analysis.complaint
    return (complaint.severity or 0) if complaint.is_complaint else 0
