"""`kefu kb export` and `kefu kb import`: the whole knowledge base as one file."""

from pathlib import Path
from typing import Annotated

import typer

from web.console import database, settings_in_force, tell


def export(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
) -> None:
    """Write the whole knowledge base into one file; the server may keep running."""
    from bot import audit
    from bot.assembly import open_stores

    settings = settings_in_force()
    with database(settings) as engine:
        manifest = open_stores(settings, engine).archive.export(file)
        audit.record(engine, "command line", action="knowledge.export")
    tell("knowledge_exported", n=manifest.n_documents, path=file)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `kefu kb export` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of all documents that are here.")
    ] = False,
) -> None:
    """Restore an exported knowledge base; on any failure everything stays as it was."""
    from bot import audit
    from bot.assembly import open_stores

    settings = settings_in_force()
    with database(settings) as engine:
        manifest = open_stores(settings, engine).archive.restore(file, replace=replace)
        audit.record(engine, "command line", action="knowledge.import")
    tell("knowledge_imported", n=manifest.n_documents)
