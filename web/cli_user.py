"""`kefu user`: members of staff, their passwords and tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from web.console import CommandError, database, print_json, print_table, settings_in_force, tell

if TYPE_CHECKING:
    from bot.accounts import AccountStore

app = typer.Typer(help="Staff accounts.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="The account's name.")]


class _Role(StrEnum):
    ADMIN = "admin"
    AGENT = "agent"
    KNOWLEDGE = "knowledge"


@app.command()
def add(name: Name, role: Annotated[_Role, typer.Option(help="What the person may do.")]) -> None:
    """Create an account and print its one-time password."""
    from bot.accounts import StaffRole

    with _accounts("user.add", name) as accounts:
        try:
            password = accounts.add(name, StaffRole(role.value))
        except ValueError as error:
            raise CommandError(str(error)) from error
    tell("one_time_password", name=name, password=password)


@app.command()
def token(name: Name) -> None:
    """Print a new API token; it is good until it is revoked."""
    with _accounts("user.token", name) as accounts:
        value = accounts.token(name)
    typer.echo(value)


@app.command("list")
def list_accounts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all accounts."""
    with _accounts(None, "") as accounts:
        found = accounts.list()
    if as_json:
        print_json([asdict(account) for account in found])
        return
    print_table(
        ("name", "role", "active", "password", "logins and tokens"),
        [
            (
                account.name,
                account.role.value,
                "yes" if account.is_active else "no",
                "one-time" if account.must_change_password else "own",
                account.n_sessions,
            )
            for account in found
        ],
    )


@app.command()
def reset(name: Name) -> None:
    """Print a new one-time password, end all logins, and open a disabled account again."""
    with _accounts("user.reset", name) as accounts:
        password = accounts.reset(name)
    tell("one_time_password", name=name, password=password)


@app.command()
def disable(name: Name) -> None:
    """Close an account and end its logins and tokens at once."""
    with _accounts("user.disable", name) as accounts:
        accounts.disable(name)
    tell("account_disabled", name=name)


@app.command()
def revoke(name: Name) -> None:
    """End all logins and tokens of an account."""
    with _accounts("user.revoke", name) as accounts:
        n_ended = accounts.revoke(name)
    tell("sessions_revoked", name=name, n=n_ended)


@contextmanager
def _accounts(action: str | None, name: str) -> Iterator["AccountStore"]:
    """Gives the accounts; a change that went well is recorded."""
    from bot import audit
    from bot.assembly import open_accounts

    settings = settings_in_force()
    with database(settings) as engine:
        yield open_accounts(settings, engine)
        if action is not None:
            audit.record(engine, "command line", action=action, target=name)
