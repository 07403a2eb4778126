"""What takes long to make and never changes: made once a process, then copied or shared."""

import tempfile
from functools import cache
from pathlib import Path

from bot.database import open_database, upgrade
from knowledge.chinese_words import ChineseDictionary
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


def word_splitter() -> WordSplitter:
    """A new splitter over the one dictionary, which takes a second to prepare and half to load."""
    return WordSplitter(dictionary_folder(), dictionary=_dictionary())


@cache
def _dictionary() -> ChineseDictionary:
    return ChineseDictionary(dictionary_folder())


def dictionary_folder() -> Path:
    """Where that dictionary is kept once it is prepared; another process can start from a copy."""
    return Path(_folder().name) / "words"
