from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase
from tests.shared import word_splitter


@pytest.fixture(scope="session")
def words() -> WordSplitter:
    """One splitter for all tests."""
    return word_splitter()


@pytest.fixture
def kb(tmp_path: Path, engine: Engine, words: WordSplitter) -> Iterator[KnowledgeBase]:
    """An empty knowledge base over a real database, real indexes and the fake embedder."""
    base = KnowledgeBase(tmp_path, engine, FakeEmbedder(), words)
    base.indexes.open()
    yield base
    base.indexes.close()
