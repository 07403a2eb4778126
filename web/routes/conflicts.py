"""Contradictions between passages: search, list, judge."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from bot import audit
from knowledge.conflict_job import queue_conflicts
from knowledge.conflict_store import ConflictStore, Verdict
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep

router = APIRouter(prefix="/conflicts", tags=["conflicts"])


class SideOut(BaseModel):
    """One statement; `marks` are offsets of the differing figures in `quote`."""

    model_config = ConfigDict(from_attributes=True)

    chunk_id: int
    document_id: str
    document: str
    quote: str
    key: str
    marks: list[tuple[int, int]]


class ConflictOut(BaseModel):
    """Two statements that differ in a figure, and what a person said of them."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    a: SideOut
    b: SideOut
    score: float
    verdict: Verdict
    found_at: datetime
    judged_by: str | None
    judged_at: datetime | None


class ConflictList(BaseModel):
    """The pairs whose passages still stand, the most alike first."""

    model_config = ConfigDict(from_attributes=True)

    items: list[ConflictOut]
    total: int


class SearchOut(BaseModel):
    """The job that searches: a new one, or the one that has not ended yet."""

    job_id: str


class Judgement(BaseModel):
    """`open` takes a judgement back."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict


@router.get("", response_model=ConflictList)
def list_conflicts(
    user: DocumentReader, services: ServicesDep, verdict: Verdict | None = None
) -> object:
    """Returns the contradictions that the last search found."""
    found = ConflictStore(services.engine).list(verdict=verdict)
    return {"items": found, "total": len(found)}


@router.post("/search", response_model=SearchOut, status_code=202)
def search(user: DocumentWriter, services: ServicesDep) -> object:
    """Has the contradictions looked for in the background; `GET /jobs/{id}` tells how far it is."""
    job_id = queue_conflicts(services.jobs)
    audit.record(services.engine, user.name, action="conflicts.search", target=job_id)
    return {"job_id": job_id}


@router.post("/{conflict_id}/verdict", response_model=ConflictOut)
def judge(conflict_id: str, body: Judgement, user: DocumentWriter, services: ServicesDep) -> object:
    """Keeps what a person says of a pair."""
    judged = ConflictStore(services.engine).judge(conflict_id, body.verdict, author=user.name)
    audit.record(services.engine, user.name, action="conflict.judge", target=conflict_id,
                 detail={"verdict": body.verdict.value})  # fmt: skip
    return judged
