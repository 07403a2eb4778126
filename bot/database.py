"""Opens the SQL database and brings its tables up to date."""

from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event


def open_database(url: str) -> Engine:
    """Returns an engine; SQLite gets WAL mode, foreign keys and a patient lock.

    Values stay out of error messages, and so out of the log.

    WAL lets readers work while one writes; `synchronous=NORMAL` keeps the database whole
    through `kill -9` (only a power cut may lose the newest commits).
    Source: sqlite.org/wal.html and sqlite.org/pragma.html.
    """
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    connect = {"timeout": 30, "check_same_thread": False}
    engine = create_engine(url, connect_args=connect, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def upgrade(engine: Engine) -> None:
    """Brings the tables to the newest revision; safe to run again."""
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(engine: Engine) -> bool:
    """True when the database is at the newest revision."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def _migrations() -> Path:
    """The migrations: inside the package when installed, beside it in a checkout."""
    installed = Path(str(files("bot"))) / "migrations"
    return installed if installed.is_dir() else Path(str(files("bot"))).parent / "alembic"
