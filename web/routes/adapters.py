"""Adapters of the language model: what there is, put one in force, go back."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from bot import audit
from bot.adapter_pointer import Promotion
from bot.assembly import Services
from web.dependencies import AdapterAdmin, ServicesDep

router = APIRouter(prefix="/adapters", tags=["adapters"])


class AdapterOut(BaseModel):
    """One adapter; `adapter` is its content, as answers record it.

    `problem` says why it could not be promoted now, `refused` why the model would not attach it.
    """

    model_config = ConfigDict(from_attributes=True)

    id: str
    adapter: str | None
    base_model: str
    rank: int | None
    size_bytes: int
    added_at: datetime
    promoted: bool
    serving: bool
    problem: str | None
    refused: str | None


class AdapterList(BaseModel):
    """All adapters; `serving` writes the answers now and may be the settings' own."""

    items: list[AdapterOut]
    total: int
    serving: str | None
    problem: str | None


class InForce(BaseModel):
    """The promoted adapter's id, null for what the settings say, and what serves now."""

    id: str | None
    serving: str | None


@router.get("", response_model=AdapterList)
def list_adapters(user: AdapterAdmin, services: ServicesDep) -> object:
    """Returns all adapters with which one is promoted and which one serves."""
    found = services.adapters.overview()
    items = [
        AdapterOut.model_validate(
            {name: getattr(item, name) for name in item.__slots__}
            | {"serving": item.adapter is not None and item.adapter == found.serving}
        )
        for item in found.items
    ]
    return AdapterList(items=items, total=len(items), serving=found.serving, problem=found.problem)


@router.post("/rollback", response_model=InForce)
def rollback(user: AdapterAdmin, services: ServicesDep) -> object:
    """Goes back to what served before; the next answer is written by it."""
    entry = services.adapters.rollback(by=user.name)
    audit.record(services.engine, user.name, action="adapter.rollback", target=entry.name or "")
    return _in_force(services, entry)


@router.post("/{adapter_id}/promote", response_model=InForce)
def promote(adapter_id: str, user: AdapterAdmin, services: ServicesDep) -> object:
    """Puts an adapter in force; the next answer is written by it."""
    entry = services.adapters.promote(adapter_id, by=user.name)
    audit.record(services.engine, user.name, action="adapter.promote", target=adapter_id)
    return _in_force(services, entry)


def _in_force(services: Services, entry: Promotion) -> InForce:
    return InForce(id=entry.name, serving=services.model.adapter)
