"""`kefu kb add URL` and `kefu kb sources`: web pages and sitemaps that are kept as documents."""

from dataclasses import asdict
from typing import Annotated

import typer

from knowledge.types import Schedule, SourceId, SourceKind
from web.console import CommandError, database, print_json, print_table, settings_in_force, tell


def sources(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    sync: Annotated[str | None, typer.Option(help="Fetch this source now, by its id.")] = None,
    remove: Annotated[
        str | None, typer.Option(help="Forget this source, by its id; its documents stay.")
    ] = None,
) -> None:
    """List web sources; fetch one now, or remove one."""
    from bot import audit
    from bot.assembly import open_stores
    from web.loading import work_off

    settings = settings_in_force()
    with database(settings) as engine:
        stores = open_stores(settings, engine)
        if sync is not None:
            job_id = stores.sources.sync(SourceId(sync))
            audit.record(engine, "command line", action="source.sync", target=sync)
            (job,) = work_off(settings, engine, stores, [job_id])
            if job.error:
                raise CommandError(job.error)
        if remove is not None:
            url = stores.sources.get(SourceId(remove)).url
            stores.sources.remove(SourceId(remove))
            audit.record(engine, "command line", action="source.remove", target=remove)
            tell("source_removed", url=url)
        found = stores.sources.list()
    if as_json:
        print_json([asdict(source) for source in found])
        return
    print_table(
        ("id", "address", "kind", "schedule", "pages", "last fetched", "error"),
        [
            (
                s.id,
                s.url,
                s.kind.value,
                s.schedule.value,
                s.n_pages,
                f"{s.last_fetched_at:%Y-%m-%d %H:%M}" if s.last_fetched_at else "",
                s.error or "",
            )
            for s in found
        ],
    )


def add_sources(urls: list[str], *, kind: SourceKind, schedule: Schedule, wait: bool) -> None:
    """Adds addresses as web sources, and fetches them where no server does.

    Raises:
        SourceRejected: an address cannot be used, or is a source already.
        CommandError: one of them gave nothing.
    """
    from bot import audit
    from bot.assembly import open_stores
    from web.console import is_served
    from web.loading import work_off

    settings = settings_in_force()
    with database(settings) as engine:
        stores = open_stores(settings, engine)
        added = []
        for url in urls:
            source = stores.sources.add(url, kind=kind, schedule=schedule, author="command line")
            audit.record(engine, "command line", action="source.add", target=source.id)
            tell("source_queued", url=source.url)
            added.append(source)
        if wait or not is_served(settings.data_dir):
            job_ids = [source.job_id for source in added if source.job_id]
            jobs = work_off(settings, engine, stores, job_ids)
            failed = [job for job in jobs if job.error]
            if failed:
                raise CommandError(f"{len(failed)} of {len(jobs)} failed: {failed[0].error}")
