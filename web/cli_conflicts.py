"""`kefu kb conflicts`: passages that give different figures for the same thing."""

from dataclasses import asdict
from typing import Annotated

import typer

from web.console import database, print_json, print_table, settings_in_force


def conflicts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    find: Annotated[bool, typer.Option("--find/--stored", help="Search anew first.")] = True,
) -> None:
    """List passages that differ in a number, date or amount, for a person to judge."""
    from bot.assembly import open_conflict_finder
    from knowledge.conflict_store import ConflictStore

    settings = settings_in_force()
    with database(settings) as engine:
        store = ConflictStore(engine)
        if find:
            store.save(open_conflict_finder(settings, engine).find())
        found = store.list()
    if as_json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        ("id", "verdict", "alike", "document", "says", "document", "says"),
        [
            (
                one.id,
                one.verdict.value,
                f"{one.score:.2f}",
                one.a.document,
                " ".join(one.a.quote.split())[:60],
                one.b.document,
                " ".join(one.b.quote.split())[:60],
            )
            for one in found
        ],
    )
