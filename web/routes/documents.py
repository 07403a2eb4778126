"""Documents: upload, list, read, replace, remove."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, Response, UploadFile

from bot import audit
from bot.accounts import User
from bot.assembly import Services
from knowledge.bundles import is_bundle
from knowledge.preview import check_rule
from knowledge.types import DocumentId, OnDuplicate, SplitKind, SplitRule
from web.chunk_schemas import PreviewOut
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep
from web.document_schemas import (
    DiffOut,
    DiffPartOut,
    DocumentFilter,
    DocumentPatch,
    ManagedDocument,
    ManagedDocumentList,
    ManagedDocumentText,
    VersionList,
    VersionOut,
    managed,
)
from web.schemas import BundleAccepted, ChunkList, UploadAccepted, UploadedFile


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
VersionNumber = Annotated[int, Query(ge=1, le=2**31 - 1)]


@router.post("", status_code=202)
def upload(
    file: Upload,
    user: DocumentWriter,
    services: ServicesDep,
    rule: RuleDep,
    replace: Annotated[str | None, Form(max_length=64)] = None,
    on_duplicate: Annotated[OnDuplicate, Form()] = OnDuplicate.KEEP,
) -> BundleAccepted | UploadAccepted:
    """Takes a file; the same name, or `replace`, makes a new version of a document.

    Every file in a ZIP becomes a document of its own, called by its path in the ZIP. When a new
    file says nearly the same as another document, `on_duplicate` decides once it is parsed.
    """
    return _submit(file, services, user, replace=replace, rule=rule, on_duplicate=on_duplicate)


@router.post("/preview", response_model=PreviewOut)
def preview(file: Upload, user: DocumentWriter, services: ServicesDep, rule: RuleDep) -> object:
    """Returns the passages that a file would become; nothing is stored."""
    spans = services.previewer.split(file.filename or "", file.file.read(), rule or SplitRule())
    return {"items": spans, "total": len(spans)}


@router.get("")
def list_documents(
    user: DocumentReader, services: ServicesDep, wanted: Annotated[DocumentFilter, Query()]
) -> ManagedDocumentList:
    """Returns the live documents that fit, with status, health and use."""
    return wanted.select(services.documents.list(), services)


@router.get("/{document_id}")
def read(
    document_id: str,
    user: DocumentReader,
    services: ServicesDep,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> ManagedDocumentText:
    """Returns a document with the text that parsing stored, of any version."""
    document = services.documents.get(DocumentId(document_id))
    if version is None and document.version == 0:  # the first version is not ready yet
        return ManagedDocumentText.model_validate(managed(document, services) | {"text": ""})
    stored = services.documents.version(document.id, version)
    shown = {name: getattr(stored, name) for name in ("version", "name", "title", "text")}
    return ManagedDocumentText.model_validate(managed(document, services) | shown)


@router.patch("/{document_id}")
def change(
    document_id: str, body: DocumentPatch, user: DocumentWriter, services: ServicesDep
) -> ManagedDocument:
    """Changes who may read a document, when it holds, its tags, language or archive."""
    wanted = body.change()
    document = services.change_document(DocumentId(document_id), wanted)
    audit.record(services.engine, user.name, action="document.change", target=document_id,
                 detail={"fields": wanted.names()})  # fmt: skip
    return ManagedDocument.model_validate(managed(document, services))


@router.get("/{document_id}/versions")
def list_versions(document_id: str, user: DocumentReader, services: ServicesDep) -> VersionList:
    """Returns all versions with who made them when."""
    found = services.versions.list(DocumentId(document_id))
    items = [VersionOut.model_validate(version) for version in found]
    return VersionList(items=items, total=len(items))


@router.get("/{document_id}/diff")
def diff(
    document_id: str, user: DocumentReader, services: ServicesDep, old: VersionNumber,
    new: VersionNumber,
) -> DiffOut:  # fmt: skip
    """Compares the texts of two versions, sentence by sentence."""
    parts = services.versions.diff(DocumentId(document_id), old, new)
    return DiffOut(old=old, new=new, parts=[DiffPartOut.model_validate(part) for part in parts])


@router.post("/{document_id}/rollback", status_code=202)
def rollback(
    document_id: str, version: VersionNumber, user: DocumentWriter, services: ServicesDep
) -> UploadAccepted:
    """Makes an older version the newest one; nothing of the history is lost."""
    target, job_id = services.versions.rollback(DocumentId(document_id), version, author=user.name)
    audit.record(services.engine, user.name, action="document.rollback", target=document_id,
                 detail={"version": version})  # fmt: skip
    return UploadAccepted(document_id=target, job_id=job_id)


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
    on_duplicate: OnDuplicate = OnDuplicate.KEEP,
) -> BundleAccepted | UploadAccepted:
    name = file.filename or ""
    found = services.ingestor.submit_all(
        name,
        file.file.read(),
        author=user.name,
        replace=DocumentId(replace) if replace else None,
        rule=rule,
        on_duplicate=on_duplicate,
    )
    taken = [(one.document_id, one.job_id) for one in found if one.document_id and one.job_id]
    for document_id, _ in taken:
        audit.record(services.engine, user.name, action="document.upload", target=document_id)
    document_id, job_id = taken[0]
    if not is_bundle(name):
        return UploadAccepted(document_id=document_id, job_id=job_id)
    files = [
        UploadedFile(
            name=one.name,
            document_id=one.document_id,
            job_id=one.job_id,
            error=str(one.error) if one.error else None,
        )
        for one in found
    ]
    return BundleAccepted(document_id=document_id, job_id=job_id, documents=files)
