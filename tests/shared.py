"""What takes long to make and never changes: made once a process, then copied or shared."""

import tempfile
from functools import cache
from pathlib import Path

from bot.database import open_database, upgrade
from knowledge.words import WordSplitter


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """A folder that goes with the process."""
    return tempfile.TemporaryDirectory(prefix="kefu-tests-")


@cache
def migrated_database() -> Path:
    """A migrated SQLite database, to be copied."""
    file = Path(_folder().name) / "empty.db"
    engine = open_database(f"sqlite:///{file}")
    upgrade(engine)
    engine.dispose()
    return file


@cache
def word_splitter() -> WordSplitter:
    """A splitter whose Chinese dictionary takes a second to prepare and half of one to load."""
    return WordSplitter(dictionary_folder())


def dictionary_folder() -> Path:
    """Where that dictionary is kept once it is prepared; another process can start from a copy."""
    return Path(_folder().name) / "words"
