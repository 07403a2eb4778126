"""`kefu kb`: the documents that answers come from."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from knowledge.types import OnDuplicate, Schedule, SourceKind
from web import cli_archive, cli_conflicts, cli_sources
from web.cli_calibrate import calibrate
from web.cli_eval import evaluate
from web.console import CommandError, database, print_json, print_table, settings_in_force, tell

if TYPE_CHECKING:
    from bot.assembly import KnowledgeStores
    from knowledge.types import Document, Job
    from web.loading import Loaded

app = typer.Typer(help="Documents and search.", no_args_is_help=True, rich_markup_mode=None)
app.command("sources")(cli_sources.sources)
app.command("export")(cli_archive.export)
app.command("import")(cli_archive.restore)
app.command("eval")(evaluate)
app.command("calibrate")(calibrate)
app.command("conflicts")(cli_conflicts.conflicts)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def add(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders with files, or web addresses.")
    ],
    wait: Annotated[bool, typer.Option("--wait", help="Until they can be found.")] = False,
    sitemap: Annotated[bool, typer.Option("--sitemap", help="Addresses are sitemaps.")] = False,
    schedule: Annotated[
        Schedule, typer.Option(help="How often addresses are fetched again.")
    ] = Schedule.OFF,
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="What a new file of nearly the same text becomes.")
    ] = OnDuplicate.KEEP,
) -> None:
    """Add documents; one with the name of an existing one becomes its new version."""
    addresses = [path for path in paths if path.lower().startswith(("http://", "https://"))]
    files = [Path(path) for path in paths if path not in addresses]
    if addresses:
        kind = SourceKind.SITEMAP if sitemap else SourceKind.PAGE
        cli_sources.add_sources(addresses, kind=kind, schedule=schedule, wait=wait)
    if files:
        _add_files(files, wait=wait, on_duplicate=on_duplicate)


def _add_files(paths: list[Path], *, wait: bool, on_duplicate: OnDuplicate) -> None:
    from bot import audit
    from bot.assembly import open_stores
    from web.console import is_served
    from web.loading import find_files, submit, work_off

    settings = settings_in_force()
    with database(settings) as engine:
        stores = open_stores(settings, engine)
        loaded = submit(stores, find_files(paths), on_duplicate=on_duplicate)
        job_ids = [item.job_id for item in loaded if item.job_id is not None]
        for job_id in job_ids:
            audit.record(engine, "command line", action="document.upload", target=job_id)
        jobs: list[Job] = []
        if wait or not is_served(settings.data_dir):  # without a server nobody else would
            jobs = work_off(settings, engine, stores, job_ids)
    _report(loaded, jobs)


@app.command("list")
def list_documents(as_json: AsJson = False) -> None:
    """List all documents with their status."""
    from bot.assembly import open_stores

    settings = settings_in_force()
    with database(settings) as engine:
        documents = open_stores(settings, engine).documents.list()
    if as_json:
        print_json([asdict(document) for document in documents])
        return
    print_table(
        ("id", "name", "status", "version", "passages", "error"),
        [(d.id, d.name, d.status.value, d.version, d.n_chunks, d.error or "") for d in documents],
    )


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Names or ids of documents.")],
) -> None:
    """Remove documents; they are found no more at once."""
    from bot import audit
    from bot.assembly import open_stores

    settings = settings_in_force()
    with database(settings) as engine:
        stores = open_stores(settings, engine)
        for document in [_find(stores, name) for name in names]:
            stores.documents.remove(document.id, actor="command line")
            audit.record(engine, "command line", action="document.remove", target=document.id)
            tell("document_removed", name=document.name)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What a customer would ask.")],
    top_k: Annotated[int | None, typer.Option(min=1, max=50, help="How many passages.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search as the bot does, with the live settings."""
    from bot.assembly import open_search

    settings = settings_in_force()
    with database(settings) as engine:
        opened = open_search(settings, engine)
        try:
            found = opened.retriever.search(query, top_k=top_k)
        finally:
            opened.indexes.close()
    if as_json:
        print_json(asdict(found))
        return
    tell("relevance", value=f"{found.relevance:.2f}")
    print_table(
        ("rank", "score", "dense", "lexical", "document", "passage"),
        [
            (
                hit.rank,
                f"{hit.score:.4f}",
                "" if hit.dense_score is None else f"{hit.dense_score:.3f}",
                "" if hit.lexical_score is None else f"{hit.lexical_score:.2f}",
                hit.document,
                " ".join(hit.chunk.text.split())[:80],
            )
            for hit in found.hits
        ],
    )


@app.command()
def rebuild() -> None:
    """Embed every passage again and rebuild the indexes, as after a change of the embedder."""
    from bot import audit
    from bot.assembly import open_stores
    from knowledge.jobs import REBUILD
    from knowledge.types import JobState
    from web.loading import work_off

    settings = settings_in_force()
    with database(settings) as engine:
        stores = open_stores(settings, engine)
        job_id = stores.jobs.add(REBUILD, {})
        audit.record(engine, "command line", action="index.rebuild")
        (job,) = work_off(settings, engine, stores, [job_id])
    if job.state is not JobState.SUCCEEDED:
        raise CommandError(f"The rebuild ended as {job.state.value}: {job.error or job.stage}")
    tell("index_rebuilt")


def _find(stores: "KnowledgeStores", name: str) -> "Document":
    from knowledge.errors import DocumentNotFound
    from knowledge.types import DocumentId

    found = stores.documents.find_by_name(name)
    if found is not None:
        return found
    try:
        return stores.documents.get(DocumentId(name))
    except DocumentNotFound:
        raise CommandError(f"There is no document {name!r}; see `kefu kb list`.") from None


def _report(loaded: "list[Loaded]", jobs: "list[Job]") -> None:
    """Prints a line a file; fails when any of them did."""
    from knowledge.jobs import SKIPPED

    ended = {job.id: job for job in jobs}
    n_failed = 0
    for item in loaded:
        job = ended.get(item.job_id) if item.job_id is not None else None
        error = item.error or (job.error if job is not None else None)
        state = "refused" if item.job_id is None else job.state.value if job else "queued"
        if job is not None and job.stage == SKIPPED:
            state = SKIPPED
        is_wrong = state != SKIPPED and (bool(error) or state in ("failed", "cancelled"))
        typer.echo(f"{item.name}: {state}" + (f" ({error})" if error else ""), err=is_wrong)
        n_failed += is_wrong
    if n_failed:
        raise CommandError(f"{n_failed} of {len(loaded)} files could not be added.")
