"""What the workbench's page and its routes both do: change search for everybody, on record."""

from collections.abc import Sequence
from dataclasses import asdict

from bot import audit
from bot.assembly import Services
from knowledge.search_settings import RetrievalOptions


def apply_settings(
    services: Services, options: RetrievalOptions | None, *, actor: str
) -> RetrievalOptions:
    """Puts settings in force, or takes them back, and records who did."""
    services.retriever.settings.apply(options, author=actor)
    current = services.retriever.settings.current()
    audit.record(services.engine, actor, action="search.settings", detail=asdict(current))
    return current


def save_terms(services: Services, groups: Sequence[Sequence[str]], *, actor: str) -> None:
    """Saves the terms and records who did.

    Raises:
        ValueError: a group is not as expected.
    """
    services.retriever.terms.replace(groups)
    services.indexes.refresh()  # passages that hold a term are split anew
    audit.record(services.engine, actor, action="terms.save", detail={"groups": len(groups)})
