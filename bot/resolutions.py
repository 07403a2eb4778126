"""Suggests to an agent how a complaint may be resolved: the passage that says most about it."""

from typing import Protocol

from knowledge.types import Audience, Retrieval, ScoredChunk


class StaffSearch(Protocol):
    """The search that answers customers, here also in what is for staff."""

    def search(
        self, query: str, *, top_k: int | None = None, audience: Audience = Audience.CUSTOMER
    ) -> Retrieval:
        """Returns what was found, best first."""
        ...


def suggest_resolution(search: StaffSearch, complaint: str) -> ScoredChunk | None:
    """Returns the best passage for a complaint's words; None where nothing is relevant."""
    found = search.search(complaint, top_k=1, audience=Audience.STAFF)
    return found.hits[0] if found.hits and found.is_relevant else None
