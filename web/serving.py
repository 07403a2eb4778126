"""`kefu serve`: one folder, one server; everything that can be wrong is said before it listens."""

import logging
import socket

import typer
from sqlalchemy import make_url

from bot import audit
from bot.accounts import AccountStore, StaffRole
from bot.database import open_database, upgrade
from bot.llm.weights import resolve
from bot.settings import Settings
from web.console import CommandError, sole_server, tell, text
from web.logs import configure_logs

_log = logging.getLogger(__name__)
FIRST_ADMIN = "admin"


def run(settings: Settings) -> None:
    """Runs the server until it is told to stop.

    Raises:
        CommandError: the folder is served already, or the address cannot be used.
    """
    with sole_server(settings.data_dir), _listening_socket(settings) as listener:
        configure_logs(settings.log)
        _log_settings(settings)
        engine = open_database(settings.database_url)
        upgrade(engine)
        engine.dispose()
        if settings.llm.backend == "local":
            prepare_weights(settings)
        _serve(settings, listener)


def prepare_weights(settings: Settings) -> None:
    """Prepares the language model's weights, showing how far that is."""

    def show(stage: str, fraction: float) -> None:
        typer.echo(f"{text('preparing_weights')} {fraction:4.0%} {stage}", err=True)

    resolve(settings.llm.weights, settings.data_dir, progress=show)


def _serve(settings: Settings, listener: socket.socket) -> None:
    from bot.assembly import assemble
    from web.app import create_app
    from web.lifecycle import make_server

    services = assemble(settings)
    password = create_first_admin(services.accounts)
    app = create_app(services, warm_pages=True)
    server = make_server(app, app.state.context.lifecycle, services)
    host, port = listener.getsockname()[:2]
    tell("serving", url=f"http://{_shown(host)}:{port}{settings.web.root_path}/")
    if password is not None:
        audit.record(services.engine, "server", action="user.add", target=FIRST_ADMIN)
        tell("one_time_password", name=FIRST_ADMIN, password=password)
    server.run(sockets=[listener])


def create_first_admin(accounts: AccountStore) -> str | None:
    """Returns the one-time password of a new admin where there are no accounts yet."""
    return None if accounts.list() else accounts.add(FIRST_ADMIN, StaffRole.ADMIN)


def _listening_socket(settings: Settings) -> socket.socket:
    """Takes the address early, so that a wrong or used one is known before models are loaded."""
    host, port = settings.web.host, settings.web.port
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise CommandError(
            f"Cannot listen on {host} port {port}: {error.strerror}. "
            "Set KEFU_WEB__HOST or KEFU_WEB__PORT, or give --host or --port."
        ) from error
    return listener


def _log_settings(settings: Settings) -> None:
    """Writes the settings in force to the log, secrets masked."""
    shown = settings.model_dump(mode="json")
    url = make_url(settings.database_url).render_as_string(hide_password=True)
    _log.info("settings", extra={"settings": shown | {"database": {"url": url}}})


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
