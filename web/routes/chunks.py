"""Passages: edit, add, enable, pin, take away; and the questions that lead to them."""

from collections.abc import Sequence

from fastapi import APIRouter, Response

from bot import audit
from knowledge.chunk_edits import ChunkChange
from knowledge.types import ChunkId, ChunkQuestion, DocumentId
from web.chunk_schemas import (
    ChunkPatch,
    EditedChunk,
    NewChunk,
    NewQuestions,
    QuestionList,
    QuestionOut,
)
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep

router = APIRouter(tags=["chunks"])


@router.get("/chunks/{chunk_id}", response_model=EditedChunk)
def read(chunk_id: int, user: DocumentReader, services: ServicesDep) -> object:
    """Returns a passage with who edited it and what the file had said."""
    return services.editor.get(ChunkId(chunk_id))


@router.patch("/chunks/{chunk_id}", response_model=EditedChunk)
def change(chunk_id: int, body: ChunkPatch, user: DocumentWriter, services: ServicesDep) -> object:
    """Changes a passage; new words make a new version of the document."""
    wanted = ChunkChange(text=body.text, enabled=body.enabled, pinned=body.pinned)
    changed = services.editor.change(ChunkId(chunk_id), wanted, author=user.name)
    done = sorted(body.model_fields_set)
    audit.record(
        services.engine, user.name, action="chunk.change", target=str(chunk_id),
        detail={"changed": done, "document": changed.document_id, "version": changed.version},
    )  # fmt: skip
    return changed


@router.delete("/chunks/{chunk_id}", status_code=204)
def remove(chunk_id: int, user: DocumentWriter, services: ServicesDep) -> Response:
    """Takes a passage away that a person had added."""
    services.editor.remove(ChunkId(chunk_id), author=user.name)
    audit.record(services.engine, user.name, action="chunk.remove", target=str(chunk_id))
    return Response(status_code=204)


@router.post("/documents/{document_id}/chunks", status_code=201, response_model=EditedChunk)
def add(document_id: str, body: NewChunk, user: DocumentWriter, services: ServicesDep) -> object:
    """Appends a passage to a document, in a new version."""
    added = services.editor.add(DocumentId(document_id), body.text, author=user.name)
    audit.record(
        services.engine, user.name, action="chunk.add", target=str(added.id),
        detail={"document": document_id, "version": added.version},
    )  # fmt: skip
    return added


@router.get("/chunks/{chunk_id}/questions")
def list_questions(chunk_id: int, user: DocumentReader, services: ServicesDep) -> QuestionList:
    """Returns the questions that lead to a passage."""
    return _listed(services.questions.of_chunk(ChunkId(chunk_id)))


@router.post("/chunks/{chunk_id}/questions", status_code=201)
def add_questions(
    chunk_id: int, body: NewQuestions, user: DocumentWriter, services: ServicesDep
) -> QuestionList:
    """Attaches questions; they are searched at once."""
    found = services.questions.add(ChunkId(chunk_id), body.questions, author=user.name)
    audit.record(services.engine, user.name, action="question.add", target=str(chunk_id))
    return _listed(found)


@router.post("/chunks/{chunk_id}/questions/propose", status_code=201)
def propose_questions(chunk_id: int, user: DocumentWriter, services: ServicesDep) -> QuestionList:
    """Has the language model propose questions, which wait for approval."""
    found = services.propose_questions(ChunkId(chunk_id))
    audit.record(services.engine, user.name, action="question.propose", target=str(chunk_id))
    return _listed(found)


@router.post("/questions/{question_id}/approve", response_model=QuestionOut)
def approve_question(question_id: int, user: DocumentWriter, services: ServicesDep) -> object:
    """Lets a proposed question be searched."""
    approved = services.questions.approve(question_id)
    audit.record(services.engine, user.name, action="question.approve", target=str(question_id))
    return approved


@router.delete("/questions/{question_id}", status_code=204)
def remove_question(question_id: int, user: DocumentWriter, services: ServicesDep) -> Response:
    """Takes a question away, or turns a proposal down."""
    services.questions.remove(question_id)
    audit.record(services.engine, user.name, action="question.remove", target=str(question_id))
    return Response(status_code=204)


def _listed(found: Sequence[ChunkQuestion]) -> QuestionList:
    items = [QuestionOut.model_validate(question) for question in found]
    return QuestionList(items=items, total=len(items))
