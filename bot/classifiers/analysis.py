"""Runs all heads over a message: one featurization, then a product a head.

Rules come first where they are certain: they know a request for a person and a bare greeting in
every wording that was thought of, and a head was only shown some.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bot.classifiers.evaluation import predictions
from bot.classifiers.features import Features, Featurizer
from bot.classifiers.files import load_head
from bot.classifiers.head import Head
from bot.classifiers.labels import OUT_OF_SCOPE, YES, Task
from bot.classifiers.reasons import severity_reasons
from bot.dialogue.intent import detect_intent
from bot.dialogue.language import detect_language
from bot.types import NEUTRAL, NO_COMPLAINT, ComplaintFinding, MessageAnalysis, Prediction

_log = logging.getLogger(__name__)

_BATCH = 64
_TOP = 5
_ANGRY = 0.5
_UNKNOWN = Prediction(OUT_OF_SCOPE, 0.0)
_QUESTION = "question"


class MessageAnalyzer:
    """Understands messages; safe to call from several threads.

    Args:
        open_featurizer: gives what the heads read, once there is a head that can read it.
        dim: width of the embedder's vectors; heads that were made over others are passed over.
        serving: the folder of the head that serves a task; it need not exist.
    """

    def __init__(
        self,
        open_featurizer: Callable[[], Featurizer],
        *,
        dim: int,
        serving: Callable[[str], Path],
    ) -> None:
        self._open_featurizer = open_featurizer
        self._dim = dim
        self._serving = serving
        self._featurizer: Featurizer | None = None
        self._heads: Mapping[Task, Head] = {}
        self.reload()

    def reload(self) -> None:
        """Takes the heads that are in force; one that cannot be read leaves all as they were."""
        folders = {task: self._serving(task.value) for task in Task}
        found = {
            task: _widened(load_head(folder, task=task.value))
            for task, folder in folders.items()
            if folder.is_dir()
        }
        fitting = {task: head for task, head in found.items() if _width(head) == self._dim}
        if len(fitting) < len(found):
            _log.warning("heads over another embedder are unused: run `kefu nlu train`")
        if fitting and self._featurizer is None:
            self._featurizer = self._open_featurizer()
        self._heads = fitting

    def analyze(self, text: str, *, default_language: str) -> MessageAnalysis:
        """Analyses one message; `default_language` (zh or en) is for one without letters."""
        return self.analyze_many([text], default_language=default_language)[0]

    def analyze_many(self, texts: Sequence[str], *, default_language: str) -> list[MessageAnalysis]:
        """Analyses messages together; the same results as one by one, in order."""
        heads = self._heads
        found = []
        for first in range(0, len(texts), _BATCH):
            batch = texts[first : first + _BATCH]
            told = _predict(heads, self._featurizer.features(batch)) if self._featurizer else {}
            for row, text in enumerate(batch):
                of_row = {task: rows[row] for task, rows in told.items()}
                found.append(_analysis(text, of_row, default_language))
        return found


def _widened(head: Head) -> Head:
    """Returns the head with its numbers as they are computed with, so that no message waits."""
    tensors = {
        name: one.astype(np.float32) if one.dtype == np.float16 else one
        for name, one in head.tensors.items()
    }
    return replace(head, tensors=tensors)


def _width(head: Head) -> int:
    """Returns the width of the multilingual block, the first of those that a head reads."""
    blocks = head.meta.get("blocks") or [["", 0]]
    return int(blocks[0][1])


def _predict(heads: Mapping[Task, Head], features: Features) -> Mapping[Task, list[Prediction]]:
    return {
        task: predictions(head.labels, head.probabilities(features)) for task, head in heads.items()
    }


def _analysis(text: str, told: Mapping[Task, Prediction], default: str) -> MessageAnalysis:
    language = detect_language(text, default)
    by_head = told.get(Task.LANGUAGE)
    shares = dict(by_head.top) if by_head else {}
    rule = detect_intent(text)
    is_ruled = rule.label != _QUESTION
    sentiment = told.get(Task.SENTIMENT, NEUTRAL)
    complaint = _complaint(text, told)
    return MessageAnalysis(
        language=language,
        intent=rule if is_ruled else _short(told.get(Task.INTENT, _UNKNOWN)),
        language_confidence=shares.get(language, 1.0),
        sentiment=_short(sentiment),
        complaint=complaint,
        is_urgent=_is_yes(told.get(Task.URGENCY)),
        is_angry=dict(sentiment.top).get("very_negative", 0.0) >= _ANGRY,
        intent_source="rule" if is_ruled else "head",
    )


def _complaint(text: str, told: Mapping[Task, Prediction]) -> ComplaintFinding:
    verdict = told.get(Task.COMPLAINT)
    if verdict is None:
        return NO_COMPLAINT
    if verdict.label != YES:
        return ComplaintFinding(False, None, None, verdict.confidence)
    kind, severity = told.get(Task.COMPLAINT_TYPE), told.get(Task.SEVERITY)
    return ComplaintFinding(
        is_complaint=True,
        type=kind.label if kind else None,
        severity=int(severity.label) if severity else None,
        confidence=verdict.confidence,
        reasons=severity_reasons(text),
    )


def _is_yes(verdict: Prediction | None) -> bool:
    return verdict is not None and verdict.label == YES


def _short(prediction: Prediction) -> Prediction:
    return Prediction(prediction.label, prediction.confidence, prediction.top[:_TOP])
