"""Fixtures that every test may use: a clean environment, no outside network, a fresh database."""

import gc
import os
import shutil
import socket
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.database import open_database
from tests.shared import migrated_database

# Test processes run side by side, one a core; PyTorch's threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture(autouse=True)
def _offline_and_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses every address but loopback and hides the caller's KEFU_ settings."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(host).startswith(_LOOPBACK):
            raise OSError(f"Tests reach only this machine, not {address!r}.")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in [name for name in os.environ if name.startswith("KEFU_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A migrated SQLite database in a file."""
    shutil.copyfile(migrated_database(), tmp_path / "test.db")
    engine = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a tiny language model."""
    from tests.tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("weights") / "Tiny-Base")


@pytest.fixture(scope="session")
def packaged_weights(request: pytest.FixtureRequest) -> Path:
    """The real chat weights, converted once and kept in pytest's cache folder."""
    from bot.llm.weights import resolve

    return resolve("packaged", request.config.cache.mkdir("kefu"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for no garbage among what is imported, which stays: it took four seconds a process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turns a skipped test into a failure where `CI` is set, so that none can vanish."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("A skipped test counts as a failure here.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
