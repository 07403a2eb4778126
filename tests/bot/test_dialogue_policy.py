"""The policy: pure and total."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.policy import decide, decide_on_grounding, decide_with_evidence, state_after
from bot.types import Action, ConversationState, MessageAnalysis, Prediction, Reason

LANGUAGES = st.sampled_from(["zh-Hans", "zh-Hant", "en", "mixed", "other"])
INTENTS = st.sampled_from(["ask_for_person", "greeting", "thanks", "goodbye", "question", "?"])
STATES = st.sampled_from(list(ConversationState))


def analysis(language: str, intent: str) -> MessageAnalysis:
    return MessageAnalysis(language, Prediction(intent, 1.0))


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
    decision = decide_with_evidence(relevance, threshold=threshold)
    assert (decision.action is Action.REFUSE) is (relevance < threshold)
    assert decision.offers_person is (relevance < threshold)


def test_ungrounded_answers_are_quoted_or_refused() -> None:
    assert decide_on_grounding(True, has_quote=True).reason is None
    assert decide_on_grounding(False, has_quote=True).reason is Reason.LOW_CONFIDENCE
    refused = decide_on_grounding(False, has_quote=False)
    assert (refused.action, refused.offers_person) == (Action.REFUSE, True)


def test_resolved_conversation_opens_again_without_a_person() -> None:
    assert state_after(Action.ANSWER, ConversationState.RESOLVED) is ConversationState.BOT
    assert state_after(Action.HANDOFF, ConversationState.RESOLVED) is ConversationState.QUEUED
    assert state_after(Action.ANSWER, ConversationState.QUEUED) is ConversationState.QUEUED
