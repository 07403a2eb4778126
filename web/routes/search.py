"""The retrieval test: what the bot itself would find, with the live settings."""

from typing import Annotated

from fastapi import APIRouter, Query

from knowledge.types import Audience, ScoredChunk
from web.dependencies import Searcher, ServicesDep
from web.schemas import HitOut, SearchOut

router = APIRouter(tags=["search"])


@router.get("/search")
def search(
    user: Searcher,
    services: ServicesDep,
    q: Annotated[str, Query(min_length=1, max_length=4000)],
    top_k: Annotated[int | None, Query(ge=1, le=50)] = None,
    audience: Audience = Audience.CUSTOMER,
) -> SearchOut:
    """Searches with the retriever that answers customers, or also in what is for staff."""
    found = services.retriever.search(q, top_k=top_k, audience=audience)
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
        rank=hit.rank,
        page=hit.chunk.page,
        start=hit.chunk.start,
        end=hit.chunk.end,
    )
