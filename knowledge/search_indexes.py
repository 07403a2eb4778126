"""The vector and the lexical index of one process, kept in step with the database.

SQL is the truth. Each process holds both indexes, starts from the newest saved state and follows
the outbox `chunk_changes` from there; saving only makes the next start quicker. Whatever is
wrong with the files, the indexes are built again from the rows, which carry the vectors.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, RLock, Thread, get_native_id
from time import monotonic

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from knowledge import index_files, live_chunks
from knowledge.embedding import Embedder, Vectors
from knowledge.errors import IndexLocked, IndexMismatch
from knowledge.index_files import IndexDamaged, Manifest, SavedUpTo
from knowledge.lexical_index import LexicalIndex
from knowledge.live_chunks import with_questions
from knowledge.next_embedder import SwitchingEmbedder
from knowledge.processes import is_alive, process_name
from knowledge.terms import kept_words
from knowledge.vector_index import VectorIndex
from knowledge.vector_segments import IndexSizes
from knowledge.words import WordSplitter

logger = logging.getLogger(__name__)

_REFRESH_S = 0.5
_SAVE_AFTER_S = 5.0
_UPKEEP_S = 2.0
_CLOSE_S = 10.0
#: Niceness of the upkeep's thread where the system has it per thread: customers come first.
_UPKEEP_NICE = 15
#: A search brings its own process up to date when this few changes are waiting.
_FEW_CHANGES = 64
#: Passages that a build stores before it saves where it is: one of a million takes minutes.
_BUILD_GROUP = 50_000


@dataclass(frozen=True, slots=True)
class _Held:
    """The indexes in use, and the folder that the lexical one works in."""

    work: Path
    embedder: str
    vectors: VectorIndex
    lexical: LexicalIndex

    def drop(self) -> None:
        self.lexical.close()
        shutil.rmtree(self.work, ignore_errors=True)


class SearchIndexes:
    """Both indexes of this process; open it, search it, close it.

    Any number of processes may open the same directory: each works on its own copy and only
    saving takes a lock. Searches never wait for a refresh.

    Args:
        engine: The database.
        embedder: Makes the vectors; those of another embedder are refused.
        directory: Where states are saved.
        words: Splits passages and questions.
        sizes: Which type of vector index serves how many vectors.
        build_group: After so many passages a build saves where it is.
    """

    def __init__(
        self,
        engine: Engine,
        embedder: Embedder,
        *,
        directory: Path,
        words: WordSplitter,
        sizes: IndexSizes | None = None,
        build_group: int = _BUILD_GROUP,
    ) -> None:
        self._engine = engine
        self._embedder = embedder
        self._directory = directory
        self._held: _Held | None = None
        self._applied = 0
        self._saved: int | None = None
        self.generation = 0  # moves on when another embedder takes over; odd in between
        self._changed_at = 0.0
        self._refreshing = RLock()
        self._stopping = Event()
        self._threads: list[Thread] = []
        self._sizes = sizes or IndexSizes()
        self._build_group = build_group
        self.words = words

    def open(self, *, rebuilding: bool = False) -> None:
        """Loads the newest saved state, or builds one from the database, and catches up.

        Args:
            rebuilding: Leave out vectors of another embedder instead of refusing, for a
                process that is about to make them anew.

        Raises:
            IndexMismatch: documents were embedded by another model.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        manifest = index_files.read_manifest(self._directory)
        if not rebuilding:
            self._check_embedder()
        _drop_work_of_the_dead(self._directory)
        with self._refreshing:
            self._learn_terms()
            if not self._load(manifest):
                self._build()
            self.refresh()
            while not self._agrees():
                if self.refresh() == 0:
                    logger.warning("index and database differ, building the index again")
                    self._build()
                    break

    def start(self) -> None:
        """Follows changes, saves and does the upkeep in the background until `close`."""
        self._stopping.clear()
        tasks = {"index-refresh": self._follow, "index-upkeep": self._tend}
        self._threads = [Thread(target=t, name=n, daemon=True) for n, t in tasks.items()]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stops following, saves what is new, and drops this process's copy."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_CLOSE_S)  # a build that takes longer is given up: the next start has it
        self._threads = []
        if self._held is None:
            return
        try:
            self.save()
        except (IndexLocked, OSError, SQLAlchemyError) as error:
            logger.warning("index not saved at close: %s", error)
        held, self._held = self._held, None
        held.drop()

    def refresh(self) -> int:
        """Applies all changes since the last call and returns how many chunks they touched."""
        with self._refreshing:
            newest = live_chunks.newest_change(self._engine)
            if newest == self._applied:
                return 0
            self._learn_terms()
            if self._take_over():
                return len(self)
            if newest < self._applied:
                logger.warning("the database is older than the index, building the index again")
                self._build()
                return len(self)
            ids = live_chunks.changed_chunk_ids(self._engine, after=self._applied, up_to=newest)
            if live_chunks.oldest_change(self._engine) > self._applied + 1:
                logger.info("changes were pruned that this index lacks, building it again")
                self._build()
                return len(self)
            try:
                self._store(self._open(), ids)
            except (OSError, ValueError) as error:  # a full disk ends a lexical writer for good
                logger.warning("index could not be changed, building it again: %s", error)
                self._build()
            else:
                self._applied = newest
            self._changed_at = monotonic()
            return len(ids)

    def catch_up(self) -> None:
        """Applies a few waiting changes before a search, unless a refresh is under way."""
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            waiting = live_chunks.newest_change(self._engine) - self._applied
            if 0 < waiting <= _FEW_CHANGES or waiting < 0:
                self.refresh()
        finally:
            self._refreshing.release()

    def save(self) -> None:
        """Writes the present state for the next start, unless it is saved already.

        Raises:
            IndexLocked: another process is saving.
        """
        with self._refreshing:
            if self._saved == self._applied:
                return
            known = SavedUpTo(embedder=self._embedder.id, applied_change=self._applied)
            held = self._open()
            index_files.save_state(self._directory, held.vectors, held.lexical, known=known)
            self._saved = self._applied
            n_pruned = live_chunks.prune_changes(self._engine, up_to=self._applied)
            if n_pruned:
                logger.debug("%d changes pruned", n_pruned)

    def upkeep(self) -> bool:
        """Makes the vector index quicker where it has grown; returns whether there was need.

        Takes up to minutes for a million passages; searches and changes go on meanwhile.
        """
        vectors = self._open().vectors
        if not vectors.upkeep():
            return False
        with self._refreshing:
            self._saved = None
            self._changed_at = monotonic()
        return True

    def search_dense(self, query: Vectors, top_k: int) -> list[tuple[int, float]]:
        """Returns (chunk id, cosine) pairs, best first.

        A chunk counts by the nearest of its vectors: its own or that of an attached question.
        None for a query of another embedder, which took over in the middle of a search.
        """
        held = self._open()
        if query.shape != (held.vectors.dim,):
            return []
        return held.vectors.search(query, top_k)

    def search_lexical(self, query: str, top_k: int) -> list[tuple[int, float]]:
        """Returns (chunk id, BM25) pairs, best first."""
        return self._open().lexical.search(query, top_k)

    def words_in(self, ids: Sequence[int], words: Sequence[str]) -> dict[int, frozenset[str]]:
        """Returns for each chunk which of `words` the lexical index knows it to have."""
        return self._open().lexical.words_in(ids, words)

    def document_frequencies(self, words: list[str]) -> list[int]:
        """Returns in how many chunks each word occurs."""
        return self._open().lexical.document_frequencies(words)

    def __len__(self) -> int:
        held = self._open()
        return max(len(held.vectors), len(held.lexical))

    @property
    def applied_change(self) -> int:
        """Up to which change of the database this process's indexes are complete."""
        return self._applied

    def _check_embedder(self) -> None:
        other = live_chunks.foreign_embedder(self._engine, self._embedder.id)
        if other is not None:
            raise IndexMismatch(
                f"Documents were embedded with {other!r} but the settings name "
                f"{self._embedder.id!r} ({self._embedder.dim} dimensions). "
                "Run `kefu kb rebuild`, or set KEFU_KNOWLEDGE__EMBEDDER back."
            )

    def _learn_terms(self) -> None:
        """Has words split by the present terms; the passages concerned are among the changes."""
        self.words.keep_whole(kept_words(self._engine))

    def _load(self, manifest: Manifest | None) -> bool:
        """Takes the saved state over if it is whole, ours and not from another database."""
        if manifest is None or manifest.embedder != self._embedder.id:
            return False
        if manifest.applied_change > live_chunks.newest_change(self._engine):
            return False
        if live_chunks.oldest_change(self._engine) > manifest.applied_change + 1:
            return False  # changes that it lacks were pruned
        work = self._new_work()
        try:
            vectors = index_files.load_state(self._directory, manifest, work, sizes=self._sizes)
            lexical = LexicalIndex(work / "lexical", words=self.words)
        except (IndexDamaged, OSError) as error:
            logger.warning("saved index is damaged, rebuilding from the database: %s", error)
            shutil.rmtree(work, ignore_errors=True)
            return False
        held = _Held(work, manifest.embedder, vectors, lexical)
        if manifest.built_to is not None:
            self._fill(held, manifest.applied_change, after=manifest.built_to)
        self._swap(held)
        self._applied = manifest.applied_change
        self._saved = self._applied if manifest.built_to is None else None
        return True

    def _take_over(self) -> bool:
        """Switches to the next embedder once every live passage has its vector.

        Searches go on with the old index and the old embedder until the new one stands.
        """
        embedder = self._embedder
        if not isinstance(embedder, SwitchingEmbedder) or embedder.is_switched:
            return False
        if live_chunks.foreign_embedder(self._engine, embedder.target.id) is not None:
            return False
        held, upto = self._built(embedder.target)
        self.generation += 1
        try:
            self._take(held, upto)
            embedder.switch()
        finally:
            self.generation += 1
        return True

    def _build(self) -> None:
        """Builds both indexes from the rows, and only then takes them into use."""
        self._take(*self._built(self._embedder))

    def _built(self, embedder: Embedder) -> tuple["_Held", int]:
        """Returns indexes built from the rows, and up to which change they are complete."""
        upto = live_chunks.newest_change(self._engine)
        work = self._new_work()
        (work / "lexical").mkdir()
        held = _Held(
            work,
            embedder.id,
            VectorIndex(embedder.dim, folder=work / "vectors", sizes=self._sizes),
            LexicalIndex(work / "lexical", words=self.words),
        )
        self._fill(held, upto)
        return held, upto

    def _fill(self, held: "_Held", upto: int, *, after: int = 0) -> None:
        """Stores all live passages of higher ids; the next start goes on where this one ends.

        What changes meanwhile is in the outbox behind `upto`.
        """
        ids = [id for id in live_chunks.live_chunk_ids(self._engine) if id > after]
        try:
            for first in range(0, len(ids), self._build_group):
                group = ids[first : first + self._build_group]
                self._store(held, group)
                n_left = len(ids) - first - len(group)
                if n_left:
                    logger.info("building the index, %d of %d left", n_left, len(ids))
                    self._save_part(held, upto, built_to=group[-1])
        except BaseException:
            held.drop()
            raise

    def _save_part(self, held: "_Held", upto: int, *, built_to: int) -> None:
        known = SavedUpTo(held.embedder, applied_change=upto, built_to=built_to)
        try:
            index_files.save_state(self._directory, held.vectors, held.lexical, known=known)
        except IndexLocked:
            logger.debug("another process is saving the index")

    def _take(self, held: "_Held", upto: int) -> None:
        self._swap(held)
        self._applied, self._saved = upto, None
        self._changed_at = monotonic()
        logger.info("index built from the database, %d chunks", len(held.vectors))

    def _store(self, held: "_Held", ids: Sequence[int]) -> None:
        """Makes the indexes agree with the database about `ids`."""
        gone = set(ids)
        for group in live_chunks.load_indexable(self._engine, ids):
            gone.difference_update(chunk.id for chunk in group)
            ours = [chunk for chunk in group if chunk.embedder == held.embedder]
            if ours:
                rows = [chunk.all_vectors(held.embedder) for chunk in ours]  # (n_vectors, dim) each
                ids = [chunk.id for chunk, mine in zip(ours, rows, strict=True) for _ in mine]
                held.vectors.add(ids, np.vstack(rows))
            texts = [with_questions(c.passage, [q.text for q in c.questions]) for c in group]
            held.lexical.add([chunk.id for chunk in group], texts)
        held.vectors.remove(sorted(gone))
        held.lexical.remove(sorted(gone))
        held.lexical.commit()

    def _agrees(self) -> bool:
        """Compares what is indexed with what is live."""
        held = self._open()
        ours = live_chunks.live_chunk_ids(self._engine, embedder=self._embedder.id)
        n_all = sum(live_chunks.embedders_in_use(self._engine).values())
        return np.array_equal(held.vectors.sorted_ids(), ours) and len(held.lexical) == n_all

    def _swap(self, held: "_Held") -> None:
        old, self._held = self._held, held
        if old is not None:
            old.drop()

    def _new_work(self) -> Path:
        prefix = f"{index_files.WORK_PREFIX}{process_name()}:"
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self._directory))

    def _open(self) -> "_Held":
        if self._held is None:
            raise RuntimeError("The search indexes are not open; call open() first.")
        return self._held

    def _follow(self) -> None:
        self.words.load()  # before the first question needs it
        while not self._stopping.wait(_REFRESH_S):
            try:
                self.refresh()
                if monotonic() - self._changed_at > _SAVE_AFTER_S:
                    self.save()
            except IndexLocked:
                logger.debug("another process is saving the index")
            except (SQLAlchemyError, OSError, ValueError):
                logger.exception("index refresh failed, trying again")

    def _tend(self) -> None:
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, get_native_id(), _UPKEEP_NICE)
        while not self._stopping.wait(_UPKEEP_S):
            try:
                while self.upkeep() and not self._stopping.is_set():
                    pass
            except (OSError, RuntimeError) as error:  # closed, or exchanged for another
                logger.warning("index upkeep was given up: %s", error)


def _drop_work_of_the_dead(directory: Path) -> None:
    for folder in directory.glob(f"{index_files.WORK_PREFIX}*"):
        if not is_alive(folder.name.removeprefix(index_files.WORK_PREFIX)):
            shutil.rmtree(folder, ignore_errors=True)
