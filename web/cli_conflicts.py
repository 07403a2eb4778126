"""`kefu kb conflicts`: passages that give different figures for the same thing."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from web.console import CommandError, database, print_json, print_table, settings_in_force

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bot.settings import Settings


def conflicts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    find: Annotated[
        bool, typer.Option("--find/--stored", help="Search anew first, in the server if one runs.")
    ] = True,
) -> None:
    """List passages that differ in a number, date or amount, for a person to judge."""
    from knowledge.conflict_store import ConflictStore

    settings = settings_in_force()
    with database(settings) as engine:
        if find:
            _search(settings, engine)
        found = ConflictStore(engine).list()
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


def _search(settings: "Settings", engine: "Engine") -> None:
    """Has a job search, and waits for its end."""
    from bot import audit
    from bot.assembly import open_stores
    from knowledge.conflict_job import queue_conflicts
    from knowledge.types import JobState
    from web.loading import work_off

    stores = open_stores(settings, engine)
    job_id = queue_conflicts(stores.jobs)
    audit.record(engine, "command line", action="conflicts.search", target=job_id)
    (job,) = work_off(settings, engine, stores, [job_id])
    if job.state is not JobState.SUCCEEDED:
        raise CommandError(f"The search ended as {job.state.value}: {job.error or job.stage}")
