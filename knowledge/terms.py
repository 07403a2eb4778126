"""The company's words that mean the same: edited in the page, used by every search.

A change by any process is seen within a second, because searches read the list from the
database again when that much time has passed. Chinese terms are kept whole by the splitter of
words besides, in questions and in passages: those passages that hold a term which was added or
taken away are named in the outbox, and only they are split again.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from time import monotonic

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.orm import Session

from knowledge import live_chunks
from knowledge.chinese_words import WordFinder
from knowledge.tables import TermRow
from knowledge.words import han_runs, plain

logger = logging.getLogger(__name__)

MAX_GROUPS = 2000
MAX_WORDS = 20
MAX_WORD_CHARS = 60
_FRESH_S = 1.0


class TermStore:
    """Groups of words that mean the same, such as 发票, fapiao, tax invoice.

    A group of one Chinese word is a name that has no other, such as 清泉壶.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._groups: tuple[tuple[str, ...], ...] = ()
        self._read_at = float("-inf")

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Returns all groups as of at most a second ago."""
        with self._lock:
            if monotonic() - self._read_at > _FRESH_S:
                with Session(self._engine) as session:
                    self._groups = _stored(session)
                self._read_at = monotonic()
            return self._groups

    def replace(self, groups: Sequence[Sequence[str]]) -> None:
        """Saves the whole list and has the passages split again that it changes.

        Raises:
            ValueError: a group is one word that is not Chinese, or something is too long.
        """
        cleaned = [_clean(group) for group in groups]
        if len(cleaned) > MAX_GROUPS:
            raise ValueError(f"Expected at most {MAX_GROUPS} groups of terms, got {len(cleaned)}.")
        while not self._try_replace(cleaned):
            logger.info("somebody else saved the terms meanwhile, looking again")
        with self._lock:
            self._read_at = float("-inf")

    def _try_replace(self, groups: Sequence[Sequence[str]]) -> bool:
        """Saves unless others changed the list meanwhile; reads all passages before any lock."""
        upto = live_chunks.newest_change(self._engine)
        with Session(self._engine) as session:
            before = _stored(session)
        changed = WordFinder(_runs(before) ^ _runs(groups))
        held_by = _holders(self._engine, changed, live_chunks.live_chunk_ids(self._engine))
        now = datetime.now(UTC)
        rows = [{"words": words, "updated_at": now} for words in groups]
        with Session(self._engine) as session, session.begin():
            live_chunks.hold_changes(session)
            session.execute(update(TermRow).values(updated_at=TermRow.updated_at))  # takes the lock
            if _stored(session) != before:
                return False
            session.execute(delete(TermRow))
            if rows:
                session.execute(insert(TermRow), rows)
            newest = live_chunks.newest_change(self._engine)
            late = live_chunks.changed_chunk_ids(self._engine, after=upto, up_to=newest)
            held_by |= _holders(self._engine, changed, late)
            live_chunks.record_changes(session, sorted(held_by), "add")
        return True


def kept_words(engine: Engine) -> frozenset[str]:
    """Returns the Chinese words of all terms, for the splitter of words to keep whole."""
    with Session(engine) as session:
        return _runs(_stored(session))


def parse_terms(text: str) -> list[list[str]]:
    """Returns the groups of a text with one group a line, words parted by commas."""
    lines = text.replace("，", ",").replace("、", ",").splitlines()
    return [line.split(",") for line in lines if line.strip()]


def _stored(session: Session) -> tuple[tuple[str, ...], ...]:
    rows = session.scalars(select(TermRow.words).order_by(TermRow.id))
    return tuple(tuple(words) for words in rows)


def _runs(groups: Sequence[Sequence[str]]) -> frozenset[str]:
    return han_runs(word for group in groups for word in group)


def _holders(engine: Engine, words: WordFinder, ids: Sequence[int]) -> set[int]:
    """Returns those of `ids` whose passage or questions hold a word."""
    if not words.words:
        return set()
    texts = live_chunks.searched_texts(engine, ids)
    return {id for id, text in texts if words.is_in(plain(text))}


def _clean(group: Sequence[str]) -> list[str]:
    words = list(dict.fromkeys(" ".join(word.split()) for word in group))
    words = [word for word in words if word]
    fewest = 1 if han_runs(words) else 2
    if not fewest <= len(words) <= MAX_WORDS:
        raise ValueError(
            f"Expected 2 to {MAX_WORDS} different words in a group of terms, or one Chinese name, "
            f"got {words!r}. Write one group a line and part its words by commas."
        )
    for word in words:
        if len(word) > MAX_WORD_CHARS:
            raise ValueError(f"Expected terms of at most {MAX_WORD_CHARS} characters: {word!r}.")
    return words
