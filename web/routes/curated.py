"""Curated answers: list, write, take away, and when they were given."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from bot import audit
from bot.curated import MAX_ANSWER_CHARS, MAX_QUESTION_CHARS, MAX_QUESTIONS, CuratedDraft
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep

router = APIRouter(prefix="/curated", tags=["curated"])
_Question = Annotated[str, Field(max_length=4 * MAX_QUESTION_CHARS)]


class CuratedIn(BaseModel):
    """An approved text and the ways to ask for it."""

    model_config = ConfigDict(extra="forbid")

    language: str
    text: Annotated[str, Field(max_length=4 * MAX_ANSWER_CHARS)]
    questions: Annotated[list[_Question], Field(max_length=2 * MAX_QUESTIONS)]
    enabled: bool = True

    def draft(self) -> CuratedDraft:
        """Returns what the store checks and saves."""
        return CuratedDraft(self.language, self.text, tuple(self.questions), self.enabled)


class CuratedOut(BaseModel):
    """A curated answer and how often it was given."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    language: str
    text: str
    questions: list[str]
    enabled: bool
    author: str
    created_at: datetime
    updated_at: datetime
    n_hits: int


class CuratedList(BaseModel):
    """All curated answers."""

    model_config = ConfigDict(from_attributes=True)

    items: list[CuratedOut]
    total: int


class HitOut(BaseModel):
    """One time that the answer was given."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    query: str
    question: str
    similarity: float
    conversation_id: str
    message_id: str


class History(BaseModel):
    """The newest times that an answer was given; `total` counts all."""

    model_config = ConfigDict(from_attributes=True)

    items: list[HitOut]
    total: int


@router.get("", response_model=CuratedList)
def list_answers(user: DocumentReader, services: ServicesDep) -> object:
    """Returns all curated answers, the one changed last first."""
    answers = services.curated.list()
    return {"items": answers, "total": len(answers)}


@router.post("", status_code=201, response_model=CuratedOut)
def create(body: CuratedIn, user: DocumentWriter, services: ServicesDep) -> object:
    """Adds an answer; it is given from the next question on."""
    made = services.curated.create(body.draft(), author=user.name)
    audit.record(services.engine, user.name, action="curated.create", target=made.id)
    return made


@router.put("/{answer_id}", response_model=CuratedOut)
def update(answer_id: str, body: CuratedIn, user: DocumentWriter, services: ServicesDep) -> object:
    """Replaces an answer's text and questions."""
    changed = services.curated.update(answer_id, body.draft(), author=user.name)
    audit.record(services.engine, user.name, action="curated.update", target=answer_id)
    return changed


@router.delete("/{answer_id}", status_code=204)
def delete(answer_id: str, user: DocumentWriter, services: ServicesDep) -> Response:
    """Takes an answer away with its history."""
    services.curated.delete(answer_id)
    audit.record(services.engine, user.name, action="curated.delete", target=answer_id)
    return Response(status_code=204)


@router.get("/{answer_id}/history", response_model=History)
def history(
    answer_id: str,
    user: DocumentWriter,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> object:
    """Returns when an answer was given, newest first; for those who may change it."""
    hits, total = services.curated.history(answer_id, limit=limit)
    return {"items": hits, "total": total}
