"""Web sources: pages and sitemaps that are kept as documents."""

from fastapi import APIRouter, Response

from bot import audit
from knowledge.types import SourceId
from web.dependencies import DocumentReader, DocumentWriter, ServicesDep
from web.schemas import (
    NewSource,
    SourceChange,
    SourceList,
    SourceOut,
    SourcePageList,
    SyncAccepted,
)

router = APIRouter(prefix="/sources", tags=["sources"])


@router.post("", status_code=202, response_model=SyncAccepted)
def add(body: NewSource, user: DocumentWriter, services: ServicesDep) -> object:
    """Adds a page or a sitemap by its address and fetches it for the first time."""
    source = services.sources.add(
        body.url, kind=body.kind, schedule=body.schedule, author=user.name
    )
    audit.record(services.engine, user.name, action="source.add", target=source.id)
    return {"source_id": source.id, "job_id": source.job_id}


@router.get("", response_model=SourceList)
def list_sources(user: DocumentReader, services: ServicesDep) -> object:
    """Returns all web sources with how their last sync went."""
    sources = services.sources.list()
    return {"items": sources, "total": len(sources)}


@router.get("/{source_id}", response_model=SourceOut)
def read(source_id: str, user: DocumentReader, services: ServicesDep) -> object:
    """Returns one web source."""
    return services.sources.get(SourceId(source_id))


@router.get("/{source_id}/pages", response_model=SourcePageList)
def list_pages(source_id: str, user: DocumentReader, services: ServicesDep) -> object:
    """Returns a source's pages, each with its document or its problem."""
    pages = services.sources.pages(SourceId(source_id))
    return {"items": pages, "total": len(pages)}


@router.patch("/{source_id}", response_model=SourceOut)
def change(
    source_id: str, body: SourceChange, user: DocumentWriter, services: ServicesDep
) -> object:
    """Changes how often a source is fetched."""
    source = services.sources.reschedule(SourceId(source_id), body.schedule)
    audit.record(services.engine, user.name, action="source.schedule", target=source_id)
    return source


@router.delete("/{source_id}", status_code=204)
def remove(source_id: str, user: DocumentWriter, services: ServicesDep) -> Response:
    """Forgets a source; the documents that it became stay."""
    services.sources.remove(SourceId(source_id))
    audit.record(services.engine, user.name, action="source.remove", target=source_id)
    return Response(status_code=204)


@router.post("/{source_id}/sync", status_code=202, response_model=SyncAccepted)
def sync(source_id: str, user: DocumentWriter, services: ServicesDep) -> object:
    """Fetches a source now; a sync that is under way is not started twice."""
    job_id = services.sources.sync(SourceId(source_id))
    audit.record(services.engine, user.name, action="source.sync", target=source_id)
    return {"source_id": source_id, "job_id": job_id}
