import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.database import open_database, upgrade
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> WordSplitter:
    """One splitter for all tests: the dictionary takes a second to load."""
    return WordSplitter(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that is migrated once and copied for each test."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(tmp_path: Path, migrated: Path) -> Iterator[Engine]:
    """A migrated SQLite database in a file."""
    shutil.copyfile(migrated, tmp_path / "test.db")
    engine = open_database(f"sqlite:///{tmp_path / 'test.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def kb(tmp_path: Path, engine: Engine, words: WordSplitter) -> Iterator[KnowledgeBase]:
    """An empty knowledge base over a real database, real indexes and the fake embedder."""
    base = KnowledgeBase(tmp_path, engine, FakeEmbedder(), words)
    base.indexes.open()
    yield base
    base.indexes.close()
