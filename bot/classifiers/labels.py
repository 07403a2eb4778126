"""What each task's classifier says, and how sure a person may read it to be; a leaf.

`LABELS` orders each task's labels as reports list them. A head may know more intents: a company
adds its own. `oos` is not learned as one more intent alone: see `bot.classifiers.outliers`.
"""

from enum import StrEnum
from typing import Literal


class Task(StrEnum):
    """What a head tells of a message."""

    LANGUAGE = "language"
    INTENT = "intent"
    SENTIMENT = "sentiment"
    COMPLAINT = "complaint"
    COMPLAINT_TYPE = "complaint_type"
    SEVERITY = "severity"
    URGENCY = "urgency"


#: The intent of a message that belongs to none of them.
OUT_OF_SCOPE = "oos"
YES, NO = "yes", "no"

_INTENTS = (
    "order_status change_order cancel_order delivery return exchange refund payment_problem "
    "invoice account membership_points coupon product_question stock_price repair_warranty "
    "complaint feedback_praise privacy_request ask_for_person greeting thanks goodbye small_talk"
)
_COMPLAINT_TYPES = (
    "product_quality wrong_or_missing_item delivery price_or_promotion refund staff_attitude "
    "repair privacy_or_security legal_threat other"
)
LABELS: dict[Task, tuple[str, ...]] = {
    Task.LANGUAGE: ("zh-Hans", "zh-Hant", "en", "mixed", "other"),
    Task.INTENT: (*_INTENTS.split(), OUT_OF_SCOPE),
    Task.SENTIMENT: ("very_negative", "negative", "neutral", "positive", "very_positive"),
    Task.COMPLAINT: (NO, YES),
    Task.COMPLAINT_TYPE: tuple(_COMPLAINT_TYPES.split()),
    Task.SEVERITY: ("1", "2", "3", "4"),
    Task.URGENCY: (NO, YES),
}

Level = Literal["high", "medium", "low"]
#: Confidence is calibrated, so these are the shares of such predictions that are right.
_HIGH, _MEDIUM = 0.8, 0.5


def level(confidence: float) -> Level:
    """Returns how sure a prediction is, for people."""
    if confidence >= _HIGH:
        return "high"
    return "medium" if confidence >= _MEDIUM else "low"


def in_order(task: Task, labels: set[str]) -> tuple[str, ...]:
    """Returns labels in the task's own order, unknown ones after it by name."""
    known = [label for label in LABELS[task] if label in labels]
    return (*known, *sorted(labels - set(known)))
