"""What staff decide about a document that says nearly the same as another one."""

from fastapi import APIRouter, Response

from bot import audit
from knowledge.types import DocumentId
from web.dependencies import DocumentWriter, ServicesDep
from web.schemas import UploadAccepted

router = APIRouter(prefix="/documents", tags=["documents"])


@router.post("/{document_id}/duplicate/keep", status_code=204)
def keep_both(document_id: str, user: DocumentWriter, services: ServicesDep) -> Response:
    """Takes the mark away until one of the two texts changes."""
    services.duplicates.keep_both(DocumentId(document_id))
    audit.record(services.engine, user.name, action="duplicate.keep", target=document_id)
    return Response(status_code=204)


@router.post("/{document_id}/duplicate/replace", status_code=202)
def replace_other(document_id: str, user: DocumentWriter, services: ServicesDep) -> UploadAccepted:
    """Makes the file a new version of the document it is like, whose id is returned."""
    found = services.duplicates.replace_other(DocumentId(document_id), author=user.name)
    services.indexes.refresh()
    audit.record(services.engine, user.name, action="duplicate.replace", target=document_id)
    return UploadAccepted(document_id=found[0], job_id=found[1])
