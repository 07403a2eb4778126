"""`kefu finetune`: the language model's adapters; a running server follows what is changed here."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from web.console import (
    CommandError,
    database,
    print_json,
    print_table,
    settings_in_force,
    tell,
    text,
)

if TYPE_CHECKING:
    from bot.adapter_pointer import Promotion
    from bot.adapter_registry import AdapterRegistry, RegisteredAdapter
    from bot.settings import Settings

app = typer.Typer(help="LoRA adapters of the model.", no_args_is_help=True, rich_markup_mode=None)
_ACTOR = "command line"


@app.command("list")
def list_adapters(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the adapters, which one is in force, and which ones cannot be."""
    from bot.assembly import open_adapters

    settings = settings_in_force()
    registry = open_adapters(settings)
    found, problem = registry.list(), registry.problem()
    promoted = next((item.id for item in found if item.promoted), None)
    if as_json:
        items = [asdict(item) for item in found]
        print_json({"items": items, "total": len(items), "promoted": promoted, "problem": problem})
        return
    print_table(
        ("name", "base model", "rank", "MB", "added", "state"),
        [
            (
                item.id,
                item.base_model,
                item.rank or "",
                f"{item.size_bytes / 1e6:.1f}",
                f"{item.added_at:%Y-%m-%d %H:%M}",
                _state(item),
            )
            for item in found
        ],
    )
    if problem is not None:
        typer.echo(f"warning: {problem}", err=True)
    elif promoted is None:
        _tell_as_set(settings)


@app.command()
def promote(
    name_or_folder: Annotated[
        str, typer.Argument(help="A listed adapter, or a folder that PEFT saved (./NAME).")
    ],
    name: Annotated[str | None, typer.Option(help="What to call a folder in the list.")] = None,
) -> None:
    """Put an adapter in force; a folder is checked and copied in first."""
    from bot import audit
    from bot.assembly import open_adapters

    settings = settings_in_force()
    _require_local(settings)
    registry = open_adapters(settings)
    with database(settings) as engine:
        known = _registered(registry, settings, name_or_folder, name)
        entry = registry.promote(known, by=_ACTOR)
        audit.record(engine, _ACTOR, action="adapter.promote", target=known)
    _tell_in_force(settings, entry)


@app.command()
def rollback() -> None:
    """Go back to what served before the last promotion."""
    from bot import audit
    from bot.assembly import open_adapters

    settings = settings_in_force()
    _require_local(settings)
    registry = open_adapters(settings)
    with database(settings) as engine:
        entry = registry.rollback(by=_ACTOR)
        audit.record(engine, _ACTOR, action="adapter.rollback", target=entry.name or "")
    _tell_in_force(settings, entry)


def _registered(
    registry: "AdapterRegistry", settings: "Settings", given: str, name: str | None
) -> str:
    """Returns the name of a listed adapter, or that of a folder after copying it in."""
    if registry.has(given) and name is None:
        return given
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise CommandError(
            f"There is no adapter and no folder {given!r}. `kefu finetune list` shows the adapters."
        )
    adapters = settings.data_dir.resolve() / "adapters"
    if folder.resolve().parent == adapters and name is None:
        return folder.resolve().name
    added = registry.add(folder, name=name)
    tell("adapter_added", name=added, folder=settings.data_dir / "adapters" / added)
    return added


def _require_local(settings: "Settings") -> None:
    from bot.served_adapters import REMOTE

    if settings.llm.backend == "remote":
        raise CommandError(REMOTE)


def _state(item: "RegisteredAdapter") -> str:
    trouble = item.problem or (f"refused: {item.refused}" if item.refused else "")
    return "; ".join(part for part in ("promoted" if item.promoted else "", trouble) if part)


def _tell_in_force(settings: "Settings", entry: "Promotion") -> None:
    if entry.name is None:
        _tell_as_set(settings)
    else:
        tell("adapter_promoted", name=entry.name)


def _tell_as_set(settings: "Settings") -> None:
    tell("adapter_as_set", adapter=settings.llm.adapter or text("adapter_plain"))
