"""The company's words that mean the same: edited in the page, used by every search.

A change by any process is seen within a second, because searches read the list from the
database again when that much time has passed; nothing has to be indexed again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from time import monotonic

from sqlalchemy import Engine, delete, insert, select

from knowledge.tables import TermRow

MAX_GROUPS = 2000
MAX_WORDS = 20
MAX_WORD_CHARS = 60
_FRESH_S = 1.0


class TermStore:
    """Groups of words that mean the same, such as 发票, fapiao, tax invoice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._groups: tuple[tuple[str, ...], ...] = ()
        self._read_at = float("-inf")

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Returns all groups as of at most a second ago."""
        with self._lock:
            if monotonic() - self._read_at > _FRESH_S:
                with self._engine.connect() as connection:
                    rows = connection.scalars(select(TermRow.words).order_by(TermRow.id))
                    self._groups = tuple(tuple(words) for words in rows)
                self._read_at = monotonic()
            return self._groups

    def replace(self, groups: Sequence[Sequence[str]]) -> None:
        """Saves the whole list.

        Raises:
            ValueError: a group has fewer than two different words or something is too long.
        """
        cleaned = [_clean(group) for group in groups]
        if len(cleaned) > MAX_GROUPS:
            raise ValueError(f"Expected at most {MAX_GROUPS} groups of terms, got {len(cleaned)}.")
        now = datetime.now(UTC)
        with self._engine.begin() as connection:
            connection.execute(delete(TermRow))
            if cleaned:
                rows = [{"words": words, "updated_at": now} for words in cleaned]
                connection.execute(insert(TermRow), rows)
        with self._lock:
            self._read_at = float("-inf")


def parse_terms(text: str) -> list[list[str]]:
    """Returns the groups of a text with one group a line, words parted by commas."""
    lines = text.replace("，", ",").replace("、", ",").splitlines()
    return [line.split(",") for line in lines if line.strip()]


def _clean(group: Sequence[str]) -> list[str]:
    words = list(dict.fromkeys(" ".join(word.split()) for word in group))
    words = [word for word in words if word]
    if not 2 <= len(words) <= MAX_WORDS:
        raise ValueError(
            f"Expected 2 to {MAX_WORDS} different words in a group of terms, got {words!r}. "
            "Write one group a line and part its words by commas."
        )
    for word in words:
        if len(word) > MAX_WORD_CHARS:
            raise ValueError(f"Expected terms of at most {MAX_WORD_CHARS} characters: {word!r}.")
    return words
