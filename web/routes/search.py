"""The retrieval test: what the bot itself would find, with the live settings."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field

from knowledge.search_filter import MAX_VALUES, SearchFilter
from knowledge.types import Audience, DocumentId, ScoredChunk
from web.dependencies import Searcher, ServicesDep
from web.schemas import HitOut, SearchOut

_Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]] | None, Query(max_length=MAX_VALUES)
]

router = APIRouter(tags=["search"])


def _only(
    tag: _Names = None,
    language: _Names = None,
    document_id: _Names = None,
    format: _Names = None,
    changed_from: AwareDatetime | None = None,
    changed_to: AwareDatetime | None = None,
) -> SearchFilter:
    """Which documents to search in; each name may be given several times."""
    return SearchFilter(
        tags=tuple(tag or ()),
        languages=tuple(language or ()),
        document_ids=tuple(map(DocumentId, document_id or ())),
        formats=tuple(format or ()),
        changed_from=changed_from,
        changed_to=changed_to,
    )


@router.get("/search")
def search(
    user: Searcher,
    services: ServicesDep,
    q: Annotated[str, Query(min_length=1, max_length=4000)],
    top_k: Annotated[int | None, Query(ge=1, le=50)] = None,
    audience: Audience = Audience.CUSTOMER,
    only: Annotated[SearchFilter | None, Depends(_only)] = None,
) -> SearchOut:
    """Searches with the retriever that answers customers, or also in what is for staff."""
    found = services.retriever.search(q, top_k=top_k, audience=audience, only=only)
    return SearchOut(
        hits=[_hit(hit) for hit in found.hits],
        relevance=found.relevance,
        timings_ms=dict(found.timings_ms),
    )


def _hit(hit: ScoredChunk) -> HitOut:
    return HitOut(
        chunk_id=hit.chunk.id,
        document_id=hit.chunk.document_id,
        document=hit.document,
        title=hit.title,
        text=hit.chunk.text,
        score=hit.score,
        dense_score=hit.dense_score,
        lexical_score=hit.lexical_score,
        rerank_score=hit.rerank_score,
        rank=hit.rank,
        page=hit.chunk.page,
        start=hit.chunk.start,
        end=hit.chunk.end,
    )
