"""Documents: upload, list, read, replace, remove."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, Response, UploadFile

from bot import audit
from bot.accounts import User
from bot.assembly import Services
from knowledge.preview import check_rule
from knowledge.types import DocumentId, SplitKind, SplitRule
from web.chunk_schemas import PreviewOut
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep
from web.schemas import ChunkList, DocumentList, DocumentText, UploadAccepted


def _split_rule(
    split: Annotated[SplitKind | None, Form()] = None,
    max_tokens: Annotated[int | None, Form()] = None,
) -> SplitRule | None:
    if split is None and max_tokens is None:
        return None
    return check_rule(SplitRule(split or SplitKind.STRUCTURE, max_tokens))


RuleDep = Annotated[SplitRule | None, Depends(_split_rule)]
router = APIRouter(prefix="/documents", tags=["documents"])
Upload = Annotated[UploadFile, File()]


@router.post("", status_code=202)
def upload(
    file: Upload,
    user: DocumentWriter,
    services: ServicesDep,
    rule: RuleDep,
    replace: Annotated[str | None, Form(max_length=64)] = None,
) -> UploadAccepted:
    """Takes a file; the same name, or `replace`, makes a new version of a document."""
    return _submit(file, services, user, replace=replace, rule=rule)


@router.post("/preview", response_model=PreviewOut)
def preview(file: Upload, user: DocumentWriter, services: ServicesDep, rule: RuleDep) -> object:
    """Returns the passages that a file would become; nothing is stored."""
    spans = services.previewer.split(file.filename or "", file.file.read(), rule or SplitRule())
    return {"items": spans, "total": len(spans)}


@router.get("", response_model=DocumentList)
def list_documents(user: DocumentReader, services: ServicesDep) -> object:
    """Returns all live documents with their status."""
    documents = services.documents.list()
    return {"items": documents, "total": len(documents)}


@router.get("/{document_id}")
def read(
    document_id: str,
    user: DocumentReader,
    services: ServicesDep,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> DocumentText:
    """Returns a document with the text that parsing stored, of any version."""
    document = services.documents.get(DocumentId(document_id))
    if version is None and document.version == 0:  # the first version is not ready yet
        return DocumentText.model_validate(asdict(document) | {"text": ""})
    stored = services.documents.version(document.id, version)
    shown = {name: getattr(stored, name) for name in ("version", "name", "title", "text")}
    return DocumentText.model_validate(asdict(document) | shown)


@router.put("/{document_id}", status_code=202)
def replace(
    document_id: str, file: Upload, user: DocumentWriter, services: ServicesDep
) -> UploadAccepted:
    """Replaces a document; the old version stays searchable until the new one is ready."""
    return _submit(file, services, user, replace=document_id)


@router.delete("/{document_id}", status_code=204)
def remove(document_id: str, user: DocumentWriter, services: ServicesDep) -> Response:
    """Removes a document and its passages from every index at once."""
    services.documents.remove(DocumentId(document_id), actor=user.name)
    audit.record(services.engine, user.name, action="document.remove", target=document_id)
    return Response(status_code=204)


@router.get("/{document_id}/chunks", response_model=ChunkList)
def list_chunks(document_id: str, user: DocumentReader, services: ServicesDep) -> object:
    """Returns the passages of the current version, in order."""
    chunks = services.documents.chunks(DocumentId(document_id))
    return {"items": chunks, "total": len(chunks)}


def _submit(
    file: UploadFile,
    services: Services,
    user: User,
    *,
    replace: str | None,
    rule: SplitRule | None = None,
) -> UploadAccepted:
    document_id, job_id = services.ingestor.submit(
        file.filename or "",
        file.file.read(),
        author=user.name,
        replace=DocumentId(replace) if replace else None,
        rule=rule,
    )
    audit.record(services.engine, user.name, action="document.upload", target=document_id)
    return UploadAccepted(document_id=document_id, job_id=job_id)
