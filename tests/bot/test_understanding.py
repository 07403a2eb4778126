"""The rules alone as an analyzer, and analyses as they are stored."""

import dataclasses
import json

import pytest

from bot.rows import analysis_from
from bot.types import ComplaintFinding, MessageAnalysis, Prediction
from bot.understanding import RuleAnalyzer


@pytest.mark.parametrize(
    ("text", "label", "source"),
    [("你好", "greeting", "rule"), ("talk to a human", "ask_for_person", "rule"),
     ("怎么退货？", "oos", "head")],
)  # fmt: skip
def test_rules_know_a_few_intents(text: str, label: str, source: str) -> None:
    found = RuleAnalyzer().analyze(text, default_language="zh")
    assert (found.intent.label, found.intent_source) == (label, source)
    assert (found.intent.confidence > 0.5) is (source == "rule")


def test_many_are_as_one_by_one() -> None:
    texts, rules = ["hello", "", "123", "怎么退货？"], RuleAnalyzer()
    one_by_one = [rules.analyze(text, default_language="en") for text in texts]
    assert rules.analyze_many(texts, default_language="en") == one_by_one


def test_analysis_survives_being_stored() -> None:
    analysis = MessageAnalysis(
        "en",
        Prediction("refund", 0.9, (("refund", 0.9), ("return", 0.1))),
        sentiment=Prediction("negative", 0.7),
        complaint=ComplaintFinding(True, "refund", 3, 0.8, ("waited",)),
        is_angry=True,
    )
    stored = json.loads(json.dumps(dataclasses.asdict(analysis)))
    assert analysis_from(stored) == analysis


def test_earlier_analyses_are_still_read() -> None:
    stored = {"language": "en", "intent": {"label": "question", "confidence": 0.9, "top": []}}
    found = analysis_from(stored)
    assert found.intent.label == "question"
    assert found.complaint.is_complaint is False
    assert found.sentiment.confidence == 0.0
