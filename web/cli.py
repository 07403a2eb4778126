"""The `kefu` command; importing it loads no model, index or page library.

Every command reads the settings, does one thing through the same services as the server, and
prints `error: …` with exit status 1 where it cannot (2 for a wrong command line).
"""

from typing import Annotated

import typer

from bot.errors import BotError
from knowledge.errors import KnowledgeError
from web import cli_db, cli_finetune, cli_kb, cli_nlu, cli_user

app = typer.Typer(
    name="kefu",
    help="Kefu: a customer-service chatbot that answers from your documents.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_kb.app, name="kb")
app.add_typer(cli_user.app, name="user")
app.add_typer(cli_db.app, name="db")
app.add_typer(cli_nlu.app, name="nlu")
app.add_typer(cli_finetune.app, name="finetune")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the server: database, weights, pages and API."""
    from web.console import settings_in_force

    given = {"host": host, "port": port}
    settings = settings_in_force(web={name: v for name, v in given.items() if v is not None})
    from web.serving import run  # after the settings, so that a wrong one is said at once

    run(settings)


@app.command()
def chat(
    language: Annotated[str | None, typer.Option(help="zh or en; default: the terminal's.")] = None,
) -> None:
    """Talk to the bot in the terminal."""
    from web.console import settings_in_force, terminal_language
    from web.terminal_chat import run

    run(settings_in_force(), language=language or terminal_language())


@app.command()
def demo() -> None:
    """Load the demo company's documents and texts, and exit; safe to run again."""
    from web.console import settings_in_force
    from web.demo import load_demo

    load_demo(settings_in_force())


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure speed, also against `transformers serve` where it is installed."""
    from web.bench import render, run
    from web.console import print_json, settings_in_force

    report = run(settings_in_force(), quick=quick)
    if as_json:
        print_json(report)
    else:
        typer.echo(render(report))


def main() -> None:
    """Runs the command line; expected errors become one line on standard error."""
    try:
        app()
    except (BotError, KnowledgeError, OSError) as error:
        _fail(str(error))
    except Exception as error:
        from sqlalchemy.exc import SQLAlchemyError  # only loaded once something failed

        if not isinstance(error, SQLAlchemyError):
            raise
        _fail(f"The database cannot be used: {getattr(error, 'orig', None) or error}")


def _fail(message: str) -> None:
    typer.echo("error: " + " ".join(message.split()), err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
