"""`kefu db`: bring the tables up to date, save everything, bring it back."""

from pathlib import Path
from typing import Annotated

import typer

from web.console import settings_in_force, sole_server, tell

app = typer.Typer(help="The database.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def upgrade() -> None:
    """Bring the tables to the newest revision; safe to run again."""
    from bot.database import open_database
    from bot.database import upgrade as upgrade_tables

    settings = settings_in_force()
    engine = open_database(settings.database_url)
    upgrade_tables(engine)
    engine.dispose()
    tell("database_current")


@app.command()
def backup(
    archive: Annotated[Path | None, typer.Argument(help="Where to write the .tar file.")] = None,
) -> None:
    """Save database, uploads and index into one archive; the server may keep running."""
    from web.backup import default_archive, write_backup

    settings = settings_in_force()
    target = archive or default_archive()
    n_bytes = write_backup(settings, target)
    tell("backup_written", path=target, size=f"{n_bytes / 1e6:.1f} MB")


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="An archive of `kefu db backup`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Bring an archive back; what was there is kept in a folder beside it."""
    from web.backup import restore_backup

    settings = settings_in_force()
    with sole_server(settings.data_dir):
        if not yes:
            typer.confirm(f"Replace the data in {settings.data_dir.absolute()}?", abort=True)
        kept = restore_backup(settings, archive)
    tell("backup_restored", path=archive)
    if kept is not None:
        tell("backup_kept", path=kept)
