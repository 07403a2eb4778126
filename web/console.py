"""What all commands share: settings, texts, tables, and one lock per data folder."""

import json
import locale
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from filelock import FileLock, Timeout

from bot.errors import BotError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bot.settings import Settings

SERVE_LOCK = "serve.lock"


class CommandError(BotError):
    """A command cannot do what was asked; the message is the line the user reads."""


def settings_in_force(**overrides: object) -> "Settings":
    """Reads the settings and makes the data folder."""
    from bot.settings import load_settings

    settings = load_settings(**overrides)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"KEFU_DATA_DIR: cannot use {settings.data_dir}: {error}") from error
    return settings


@contextmanager
def database(settings: "Settings") -> Iterator["Engine"]:
    """Opens the database, brought up to date first."""
    from bot.database import is_current, open_database, upgrade

    engine = open_database(settings.database_url)
    try:
        if not is_current(engine):
            upgrade(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def sole_server(data_dir: Path) -> Iterator[None]:
    """Holds the data folder's server lock.

    Raises:
        CommandError: a server runs on this folder.
    """
    lock = FileLock(data_dir / SERVE_LOCK, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CommandError(
            f"A Kefu server already runs on the data folder {data_dir.absolute()}; "
            "stop it, or set KEFU_DATA_DIR to another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_served(data_dir: Path) -> bool:
    """True while a server runs on the data folder."""
    try:
        with sole_server(data_dir):
            return False
    except CommandError:
        return True


def tell(key: str, **values: object) -> None:
    """Prints a text of the catalogue in the terminal's language."""
    typer.echo(text(key, **values))


def text(key: str, **values: object) -> str:
    """Returns a text of the catalogue in the terminal's language."""
    from bot.catalogue import load_catalogue

    return load_catalogue().text(f"cli.{key}", terminal_language(), **values)


def terminal_language() -> str:
    """Returns zh or en, by the terminal's locale."""
    name = locale.getlocale(locale.LC_CTYPE)[0] or ""
    return "zh" if name.lower().startswith("zh") else "en"


def print_json(value: object) -> None:
    """Prints a value as JSON for other programs."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints aligned columns; Chinese characters are two cells wide."""
    cells = [list(headers), *([str(value) for value in row] for row in rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(headers))]
    for row in cells:
        padded = (
            value + " " * (width - _width(value)) for value, width in zip(row, widths, strict=True)
        )
        typer.echo("  ".join(padded).rstrip())


def _width(value: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in value)
