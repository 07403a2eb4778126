from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> WordSplitter:
    """One splitter for all tests: the dictionary takes a second to load."""
    return WordSplitter(tmp_path_factory.mktemp("words"))


@pytest.fixture
def kb(tmp_path: Path, engine: Engine, words: WordSplitter) -> Iterator[KnowledgeBase]:
    """An empty knowledge base over a real database, real indexes and the fake embedder."""
    base = KnowledgeBase(tmp_path, engine, FakeEmbedder(), words)
    base.indexes.open()
    yield base
    base.indexes.close()
