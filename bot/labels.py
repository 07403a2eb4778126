"""The labels of a message as a person sees them: read, overwritten, and both together.

An analysis stays as it was made; what a person said instead is kept beside it, with who and when,
and becomes training data. What counts is the two together (`corrected`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bot.classifiers.labels import NO, YES, Task
from bot.types import ComplaintFinding, MessageAnalysis, MessageId, Prediction

_CERTAIN = 1.0


@dataclass(frozen=True, slots=True)
class LabelCorrection:
    """A label that a person put in another's place."""

    message_id: MessageId
    task: Task
    old_label: str | None
    new_label: str
    author: str
    at: datetime


def label_of(analysis: MessageAnalysis, task: Task) -> str | None:
    """Returns an analysis's label of a task; None where it has none."""
    complaint = analysis.complaint
    labels: dict[Task, str | None] = {
        Task.LANGUAGE: analysis.language,
        Task.INTENT: analysis.intent.label,
        Task.SENTIMENT: analysis.sentiment.label,
        Task.COMPLAINT: YES if complaint.is_complaint else NO,
        Task.COMPLAINT_TYPE: complaint.type,
        Task.SEVERITY: None if complaint.severity is None else str(complaint.severity),
        Task.URGENCY: YES if analysis.is_urgent else NO,
    }
    return labels[task]


def corrected(analysis: MessageAnalysis, labels: Mapping[Task, str]) -> MessageAnalysis:
    """Returns the analysis with a person's labels in force.

    A type or a severity makes a message a complaint, unless the person said that it is none.
    """
    changed = replace(analysis, complaint=_complaint(analysis.complaint, labels))
    if Task.LANGUAGE in labels:
        changed = replace(changed, language=labels[Task.LANGUAGE], language_confidence=_CERTAIN)
    if Task.INTENT in labels:
        changed = replace(changed, intent=Prediction(labels[Task.INTENT], _CERTAIN))
    if Task.SENTIMENT in labels:
        changed = replace(changed, sentiment=Prediction(labels[Task.SENTIMENT], _CERTAIN))
    if Task.URGENCY in labels:
        changed = replace(changed, is_urgent=labels[Task.URGENCY] == YES)
    return changed


def _complaint(found: ComplaintFinding, labels: Mapping[Task, str]) -> ComplaintFinding:
    if not {Task.COMPLAINT, Task.COMPLAINT_TYPE, Task.SEVERITY} & labels.keys():
        return found
    if labels.get(Task.COMPLAINT) == NO:
        return ComplaintFinding(False, confidence=_CERTAIN)
    severity = labels.get(Task.SEVERITY)
    return ComplaintFinding(
        True,
        labels.get(Task.COMPLAINT_TYPE, found.type),
        int(severity) if severity else found.severity,
        _CERTAIN,
        () if severity else found.reasons,
    )
