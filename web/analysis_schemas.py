"""Bodies around what was understood of a message, as DESIGN fixes them with more beside."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bot.classifiers.labels import Level, Task, level
from bot.labels import LabelCorrection, corrected
from bot.types import MessageAnalysis, Prediction
from knowledge.types import ScoredChunk

MAX_TEXTS = 1000
#: A message of a customer may have 4,000 characters; what staff paste in may be a whole mail.
MAX_CHARS = 20_000
MAX_BATCH_CHARS = 500_000

_Text = Annotated[str, Field(max_length=MAX_CHARS)]


class AnalyzeIn(BaseModel):
    """One `text`, or up to 1,000 `texts`; not both."""

    model_config = ConfigDict(extra="ignore")

    text: _Text | None = None
    texts: Annotated[list[_Text], Field(max_length=MAX_TEXTS)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "AnalyzeIn":
        if (self.text is None) == (self.texts is None):
            raise ValueError("expected either `text` (one message) or `texts` (a list of them)")
        if sum(map(len, self.texts or ())) > MAX_BATCH_CHARS:
            raise ValueError(f"expected at most {MAX_BATCH_CHARS} characters in all")
        return self


class SureOut(BaseModel):
    """A label with its calibrated confidence, also in words: high, medium or low."""

    label: str
    confidence: float
    level: Level


class RankedOut(SureOut):
    """A label with the runners-up, best first."""

    top: list[tuple[str, float]]


class IntentOut(RankedOut):
    """The intent; `source` is `rule` (certain), `head` (learned) or `person` (corrected)."""

    source: str


class ComplaintOut(BaseModel):
    """Whether it complains, about what, how badly (1 to 4) and why that badly."""

    is_complaint: bool
    type: str | None
    severity: int | None
    confidence: float
    level: Level
    reasons: list[str]


class PiiOut(BaseModel):
    """A run of personal data: code points of the text, and of what type it is."""

    start: int
    end: int
    type: str


class AnalysisFullOut(BaseModel):
    """Everything that was understood of a message; for staff."""

    language: str
    language_confidence: float
    intent: IntentOut
    sentiment: RankedOut
    complaint: ComplaintOut
    urgent: bool
    angry: bool
    pii: list[PiiOut] = []


class AnalysisList(BaseModel):
    """Analyses in the order of the texts."""

    items: list[AnalysisFullOut]
    total: int


class NewLabel(BaseModel):
    """The label that a person puts in force for a task."""

    model_config = ConfigDict(extra="forbid")

    task: Task
    label: Annotated[str, Field(min_length=1, max_length=64)]


class LabelOut(BaseModel):
    """A label that a person put in another's place."""

    model_config = ConfigDict(from_attributes=True)

    message_id: str
    task: str
    old_label: str | None
    new_label: str
    author: str
    at: datetime


class SuggestedPassage(BaseModel):
    """A passage of the knowledge base, with its document."""

    document_id: str
    document: str
    title: str
    chunk_id: int
    text: str
    page: int | None
    score: float


class ResolutionOut(BaseModel):
    """What the knowledge base says most about a complaint; null where nothing is relevant."""

    message_id: str
    passage: SuggestedPassage | None


def resolution_out(message_id: str, hit: ScoredChunk | None) -> ResolutionOut:
    """Returns a suggested resolution as the API shows it."""
    passage = hit and SuggestedPassage(
        document_id=hit.chunk.document_id,
        document=hit.document,
        title=hit.title,
        chunk_id=hit.chunk.id,
        text=hit.chunk.text,
        page=hit.chunk.page,
        score=hit.score,
    )
    return ResolutionOut(message_id=message_id, passage=passage)


def analysis_out(analysis: MessageAnalysis) -> AnalysisFullOut:
    """Returns an analysis as the API shows it to staff."""
    complaint, intent = analysis.complaint, analysis.intent
    return AnalysisFullOut(
        language=analysis.language,
        language_confidence=analysis.language_confidence,
        intent=IntentOut(**_ranked(intent).model_dump(), source=analysis.intent_source),
        sentiment=_ranked(analysis.sentiment),
        complaint=ComplaintOut(
            is_complaint=complaint.is_complaint,
            type=complaint.type,
            severity=complaint.severity,
            confidence=complaint.confidence,
            level=level(complaint.confidence),
            reasons=list(complaint.reasons),
        ),
        urgent=analysis.is_urgent,
        angry=analysis.is_angry,
    )


def with_corrections(
    analysis: MessageAnalysis | None, corrections: Sequence[LabelCorrection]
) -> AnalysisFullOut | None:
    """Returns what counts of a message's analysis: with people's labels in force."""
    if analysis is None:
        return None
    labels = {made.task: made.new_label for made in corrections}
    return analysis_out(corrected(analysis, labels))


def _ranked(found: Prediction) -> RankedOut:
    return RankedOut(
        label=found.label,
        confidence=found.confidence,
        level=level(found.confidence),
        top=list(found.top) or [(found.label, found.confidence)],
    )
