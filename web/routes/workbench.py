"""The retrieval workbench: try search settings, put them in force, edit the terms."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from bot.assembly import Services
from knowledge.search_settings import (
    MAX_CANDIDATES,
    MAX_HANDOFFS,
    MAX_RERANKED,
    MAX_TOP_K,
    RetrievalOptions,
)
from knowledge.terms import MAX_GROUPS, MAX_WORDS
from web.dependencies import DocumentWriter, Searcher, ServicesDep
from web.errors import HttpProblem
from web.workbench import apply_settings as put_in_force
from web.workbench import save_terms as keep_terms

router = APIRouter(tags=["search"])
_Word = Annotated[str, Field(max_length=200)]


class SearchSettingsIn(BaseModel):
    """Search settings; what is left out stays as it is in force.

    A `relevance_threshold` of null lets it follow from `handoffs_per_wrong_answer` again.
    """

    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1, le=MAX_TOP_K)
    candidates: int | None = Field(None, ge=1, le=MAX_CANDIDATES)
    fusion: Literal["learned", "rank"] | None = None
    word_weight: float | None = Field(None, ge=0, le=10)
    per_document: int | None = Field(None, ge=0, le=MAX_TOP_K)
    handoffs_per_wrong_answer: float | None = Field(None, ge=0, le=MAX_HANDOFFS)
    relevance_threshold: float | None = Field(None, ge=0, le=1)
    rerank_candidates: int | None = Field(None, ge=0, le=MAX_RERANKED)


class TryIn(BaseModel):
    """A question and the settings to search it with."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(min_length=1, max_length=4000)
    settings: SearchSettingsIn = SearchSettingsIn()


class TermsIn(BaseModel):
    """All groups of words that mean the same."""

    model_config = ConfigDict(extra="forbid")

    groups: list[Annotated[list[_Word], Field(max_length=MAX_WORDS)]] = Field(max_length=MAX_GROUPS)


@router.get("/search/settings")
def read_settings(user: Searcher, services: ServicesDep) -> dict[str, Any]:
    """Returns the search settings in force."""
    return asdict(services.retriever.settings.current())


@router.put("/search/settings")
def apply_settings(
    settings: SearchSettingsIn, user: DocumentWriter, services: ServicesDep
) -> dict[str, Any]:
    """Puts settings in force; every process follows within two seconds."""
    return asdict(put_in_force(services, _options(services, settings), actor=user.name))


@router.delete("/search/settings")
def reset_settings(user: DocumentWriter, services: ServicesDep) -> dict[str, Any]:
    """Takes applied settings back; those of the environment are in force again."""
    return asdict(put_in_force(services, None, actor=user.name))


@router.post("/search/try")
def try_settings(asked: TryIn, user: Searcher, services: ServicesDep) -> dict[str, Any]:
    """Searches with given settings; nothing is put in force."""
    options = _options(services, asked.settings)
    found = services.retriever.search(asked.q, options=options)
    return asdict(found)


@router.get("/terms")
def read_terms(user: Searcher, services: ServicesDep) -> dict[str, Any]:
    """Returns the groups of words that mean the same."""
    return {"groups": services.retriever.terms.groups()}


@router.put("/terms")
def save_terms(terms: TermsIn, user: DocumentWriter, services: ServicesDep) -> dict[str, Any]:
    """Replaces the groups of words that mean the same."""
    try:
        keep_terms(services, terms.groups, actor=user.name)
    except ValueError as error:
        raise HttpProblem("invalid", str(error)) from error
    return {"groups": services.retriever.terms.groups()}


def _options(services: Services, settings: SearchSettingsIn) -> RetrievalOptions:
    values = settings.model_dump(exclude_none=True)
    if "relevance_threshold" in settings.model_fields_set:
        values["relevance_threshold"] = settings.relevance_threshold
    return services.retriever.settings.changed(values)
