"""The policy: pure and total."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.asking import Asking
from bot.dialogue.policy import (
    SURE,
    Decision,
    decide,
    decide_on_grounding,
    decide_with_evidence,
    deserves_person,
    state_after,
)
from bot.types import (
    Action,
    ComplaintFinding,
    ConversationState,
    MessageAnalysis,
    Prediction,
    Reason,
)

LANGUAGES = st.sampled_from(["zh-Hans", "zh-Hant", "en", "mixed", "other"])
INTENTS = st.sampled_from(["ask_for_person", "greeting", "thanks", "goodbye", "question", "?"])
STATES = st.sampled_from(list(ConversationState))


QUESTION = MessageAnalysis("en", Prediction("question", 0.9))


def analysis(language: str, intent: str) -> MessageAnalysis:
    return MessageAnalysis(language, Prediction(intent, 1.0), intent_source="rule")


def learned(intent: str, confidence: float = 0.9, **more: object) -> MessageAnalysis:
    return MessageAnalysis("en", Prediction(intent, confidence), **more)  # type: ignore[arg-type]


def complaint(severity: int, type: str = "delivery") -> MessageAnalysis:
    return learned("complaint", complaint=ComplaintFinding(True, type, severity, 0.7))


@given(LANGUAGES, INTENTS, STATES)
def test_policy_is_total_and_pure(language: str, intent: str, state: ConversationState) -> None:
    first = decide(analysis(language, intent), state)
    assert first == decide(analysis(language, intent), state)
    assert isinstance(first.action, Action)
    assert state_after(first.action, state) in ConversationState


@given(LANGUAGES, INTENTS)
def test_person_has_the_word_alone(language: str, intent: str) -> None:
    decision = decide(analysis(language, intent), ConversationState.PERSON)
    assert decision.action is Action.NONE
    assert not decision.needs_evidence


@given(st.sampled_from(list(Action)))
def test_person_state_is_absorbing(action: Action) -> None:
    assert state_after(action, ConversationState.PERSON) is ConversationState.PERSON


@pytest.mark.parametrize(
    ("language", "intent", "action", "reason"),
    [
        ("other", "ask_for_person", Action.HANDOFF, Reason.CUSTOMER_ASKED),
        ("zh-Hans", "greeting", Action.SMALLTALK, None),
        ("other", "question", Action.REFUSE, Reason.UNSUPPORTED_LANGUAGE),
        ("mixed", "question", Action.ANSWER, None),
    ],
)
def test_decisions_before_retrieval(
    language: str, intent: str, action: Action, reason: Reason | None
) -> None:
    decision = decide(analysis(language, intent), ConversationState.BOT)
    assert (decision.action, decision.reason) == (action, reason)
    assert decision.needs_evidence is (action is Action.ANSWER)


@given(st.floats(0, 1), st.floats(0, 1))
def test_evidence_below_the_threshold_refuses(relevance: float, threshold: float) -> None:
    decision = decide_with_evidence(QUESTION, relevance, threshold=threshold)
    assert (decision.action is Action.REFUSE) is (relevance < threshold)
    assert decision.offers_person is (relevance < threshold)


def test_ungrounded_answers_are_quoted_or_refused() -> None:
    def outcome(is_carried: bool, has_quote: bool) -> Decision:
        return decide_on_grounding(QUESTION, is_carried=is_carried, has_quote=has_quote)

    assert outcome(True, True).reason is None
    assert outcome(False, True).reason is Reason.LOW_CONFIDENCE
    refused = outcome(False, False)
    assert (refused.action, refused.offers_person) == (Action.REFUSE, True)


def test_resolved_conversation_opens_again_without_a_person() -> None:
    assert state_after(Action.ANSWER, ConversationState.RESOLVED) is ConversationState.BOT
    assert state_after(Action.HANDOFF, ConversationState.RESOLVED) is ConversationState.QUEUED
    assert state_after(Action.ANSWER, ConversationState.QUEUED) is ConversationState.QUEUED


@pytest.mark.parametrize("intent", ["greeting", "small_talk", "thanks", "goodbye"])
def test_learned_small_talk_never_stands_in_for_an_answer(intent: str) -> None:
    said = learned(intent)
    assert decide(said, ConversationState.BOT, asking="form").action is Action.ANSWER
    assert decide_with_evidence(said, 0.9, threshold=0.5).action is Action.ANSWER
    assert decide_with_evidence(said, 0.1, threshold=0.5).action is Action.SMALLTALK


@pytest.mark.parametrize(
    ("intent", "asking", "action"),
    [
        ("ask_for_person", "form", Action.HANDOFF),
        ("ask_for_person", "words", Action.ANSWER),
        ("thanks", "no", Action.SMALLTALK),
        ("feedback_praise", "no", Action.SMALLTALK),
        ("thanks", "form", Action.ANSWER),
        ("greeting", "no", Action.ANSWER),
        ("refund", "no", Action.ANSWER),
    ],
)
def test_what_a_head_may_decide_at_once(intent: str, asking: Asking, action: Action) -> None:
    assert decide(learned(intent), ConversationState.BOT, asking=asking).action is action
    unsure = learned(intent, SURE - 0.01)
    assert decide(unsure, ConversationState.BOT, asking=asking).action is Action.ANSWER


def test_thanks_with_a_complaint_are_no_goodbye() -> None:
    said = learned("thanks", complaint=ComplaintFinding(True, "delivery", 1, 0.6))
    assert decide(said, ConversationState.BOT, asking="no").action is Action.ANSWER


def test_wish_for_a_person_comes_true_where_nothing_is_found() -> None:
    decision = decide_with_evidence(learned("ask_for_person"), 0.1, threshold=0.5)
    assert decision == Decision(Action.HANDOFF, Reason.CUSTOMER_ASKED)


@pytest.mark.parametrize(("severity", "offers"), [(1, False), (2, False), (3, True), (4, True)])
def test_serious_complaints_are_answered_and_offered_a_person(severity: int, offers: bool) -> None:
    first = decide(complaint(severity), ConversationState.BOT)
    second = decide_with_evidence(complaint(severity), 0.9, threshold=0.5)
    third = decide_on_grounding(complaint(severity), is_carried=True, has_quote=False)
    assert {first.action, second.action, third.action} == {Action.ANSWER}
    assert {first.offers_person, second.offers_person, third.offers_person} == {offers}


@pytest.mark.parametrize(
    ("said", "action"),
    [
        (complaint(4), Action.HANDOFF),
        (complaint(1, "legal_threat"), Action.HANDOFF),
        (complaint(2, "privacy_or_security"), Action.HANDOFF),
        (complaint(3), Action.REFUSE),
    ],
)
def test_gravest_complaints_never_end_with_a_refusal(said: MessageAnalysis, action: Action) -> None:
    assert decide_with_evidence(said, 0.1, threshold=0.5).action is action


def test_anger_alone_is_offered_a_person() -> None:
    assert deserves_person(learned("delivery", is_angry=True))
    assert not deserves_person(learned("delivery"))
    assert not deserves_person(learned("delivery", complaint=ComplaintFinding(False, severity=4)))


def test_doubtful_foreign_language_is_searched_first() -> None:
    doubtful = MessageAnalysis("other", Prediction("oos", 0.0), language_confidence=0.3)
    assert decide(doubtful, ConversationState.BOT).needs_evidence
    refused = decide_with_evidence(doubtful, 0.1, threshold=0.5)
    assert refused.reason is Reason.UNSUPPORTED_LANGUAGE
