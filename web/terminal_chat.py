"""`kefu chat`: a conversation in the terminal, stored like any other."""

import sys
from collections.abc import Iterator

import typer

from bot.assembly import Services, assemble
from bot.chat import Turn
from bot.errors import BotError
from bot.events import Citations, Failure, Final, Token
from bot.settings import Settings
from bot.types import Citation, ConversationId
from web.console import CommandError, database, tell
from web.serving import prepare_weights


def run(settings: Settings, *, language: str) -> None:
    """Asks and answers until the input ends.

    Raises:
        CommandError: an unknown language.
    """
    if language not in ("zh", "en"):
        raise CommandError(f"--language: expected zh or en, got {language!r}.")
    with database(settings):
        pass  # brought up to date before the services open it
    if settings.llm.backend == "local":
        prepare_weights(settings)
    services = assemble(settings)
    try:
        conversation, _ = services.conversations.create(language=language)
        typer.echo(services.company.get(language).greeting)
        for line in _lines():
            _answer(services, conversation.id, line)
    finally:
        services.close()


def _lines() -> Iterator[str]:
    is_person = sys.stdin.isatty()
    if is_person:
        tell("chat_help")
    while True:
        typer.echo("> ", nl=False, err=not is_person)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _answer(services: Services, conversation_id: ConversationId, text: str) -> None:
    """Prints an answer as it is written; Ctrl-C stops it."""
    try:
        turn = services.chat.begin(conversation_id, text)
    except BotError as error:
        typer.echo(f"error: {error}", err=True)
        return
    try:
        _print(services, turn)
    except KeyboardInterrupt:
        services.chat.stop(conversation_id)
        typer.echo()


def _print(services: Services, turn: Turn) -> None:
    shown = ""
    for event in services.chat.stream(turn):
        match event:
            case Token(text):
                shown += text
                typer.echo(text, nl=False)
            case Final(reply):
                if shown.strip() != reply.text.strip():  # the final text is authoritative
                    typer.echo(("\n" if shown else "") + reply.text, nl=False)
                typer.echo()
                _print_sources(reply.citations)
            case Failure(title, detail, reference):
                typer.echo(f"\nerror: {title}: {detail} ({reference})", err=True)
            case Citations():
                continue


def _print_sources(citations: tuple[Citation, ...]) -> None:
    for citation in citations:
        page = f", {citation.page}" if citation.page is not None else ""
        quote = " ".join(citation.quote.split())
        typer.echo(f"  [{citation.n}] {citation.document}{page}: {quote}")
