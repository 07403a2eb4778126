"""What a message is: understand texts, and put a person's label in force."""

from fastapi import APIRouter

from bot.resolutions import suggest_resolution
from bot.types import MessageId
from web.analysis_schemas import (
    AnalysisFullOut,
    AnalysisList,
    AnalyzeIn,
    LabelOut,
    NewLabel,
    ResolutionOut,
    analysis_out,
    resolution_out,
)
from web.dependencies import Analyst, LanguageDep, Reviewer, ServicesDep

router = APIRouter(tags=["analysis"])


@router.post("/analyze")
def analyze(
    body: AnalyzeIn, user: Analyst, services: ServicesDep, language: LanguageDep
) -> AnalysisFullOut | AnalysisList:
    """Returns language, intent, sentiment and complaint of a text, or of each of many."""
    if body.text is not None:
        return analysis_out(services.analyzer.analyze(body.text, default_language=language))
    found = services.analyzer.analyze_many(body.texts or [], default_language=language)
    return AnalysisList(items=[analysis_out(each) for each in found], total=len(found))


@router.post("/messages/{message_id}/labels", status_code=201, response_model=LabelOut)
def correct_label(message_id: str, body: NewLabel, user: Reviewer, services: ServicesDep) -> object:
    """Puts a label in another's place; what stood there is kept with who changed it and when."""
    return services.labels.correct(MessageId(message_id), body.task, body.label, author=user.name)


@router.get("/messages/{message_id}/resolution")
def suggest(message_id: str, user: Reviewer, services: ServicesDep) -> ResolutionOut:
    """Returns the passage of the knowledge base that says most about a complaint, if any does."""
    message = services.conversations.message(MessageId(message_id))
    hit = suggest_resolution(services.retriever, message.text)
    return resolution_out(message.id, hit)
