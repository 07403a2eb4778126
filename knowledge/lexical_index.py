"""BM25 over words by chunk id, in a tantivy index that adds and deletes in place.

Words are joined by spaces and split again by tantivy's `whitespace` tokenizer, so that
`knowledge.words` alone decides what a word is, in both languages.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import tantivy

from knowledge.words import WordSplitter

_WRITER_BYTES = 20_000_000
_SNAPSHOT_TRIES = 20
#: Words asked for at once: each is a bit of a score, which is exact up to 24 of them.
_WORDS_AT_ONCE = 20
_META = "meta.json"


class LexicalIndex:
    """Passages' words under integer ids; edits show after `commit`.

    Args:
        folder: A folder of this object alone; what a `snapshot` left there is opened again.
        words: Splits passages and questions alike.

    Raises:
        OSError: the folder holds something that is not a whole index.
    """

    def __init__(self, folder: Path, *, words: WordSplitter) -> None:
        self._words = words
        self._folder = folder
        self._schema = _schema()
        self._writer: Any = None
        self._lock = Lock()
        try:
            self._index = tantivy.Index(self._schema, path=str(folder))
            self._index.config_reader(reload_policy="manual")
            self._index.reload()
        except ValueError as error:
            raise OSError(f"{folder} is not a whole lexical index: {error}") from error

    def __len__(self) -> int:
        return int(self._index.searcher().num_docs)

    def add(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        """Queues passages under `ids`; ids that exist are replaced."""
        rows = [" ".join(self._words.split(text)) for text in texts]
        with self._lock:
            writer = self._open_writer()
            for id, row in zip(ids, rows, strict=True):
                writer.delete_documents_by_term("id", id)
                writer.add_document(tantivy.Document(id=id, words=row))

    def remove(self, ids: Sequence[int]) -> None:
        """Queues the removal of `ids`; unknown ones are ignored."""
        with self._lock:
            writer = self._open_writer()
            for id in ids:
                writer.delete_documents_by_term("id", id)

    def commit(self) -> None:
        """Makes all queued edits visible to searches."""
        with self._lock:
            if self._writer is not None:
                self._writer.commit()
                self._index.reload()

    def search(self, query: str, top_k: int) -> list[tuple[int, float]]:
        """Returns up to `top_k` (id, BM25) pairs that share a content word, best first."""
        words = self._words.content_words(query)
        if not words or top_k < 1:
            return []
        terms = [(tantivy.Occur.Should, self._term(word)) for word in words]
        searcher = self._index.searcher()
        hits = searcher.search(tantivy.Query.boolean_query(terms), limit=top_k, count=False).hits
        ids = searcher.fast_field_values("id", [address for _, address in hits])
        return [(int(id), float(score)) for id, (score, _) in zip(ids, hits, strict=True)]

    def words_in(self, ids: Sequence[int], words: Sequence[str]) -> dict[int, frozenset[str]]:
        """Returns for each of `ids` that is indexed which of `words` its passage has.

        Quicker by far than splitting the passages: each word scores a bit of its own, and the sum
        says which of them a passage has.
        """
        found: dict[int, frozenset[str]] = {}
        if not ids:
            return found
        searcher = self._index.searcher()
        for first in range(0, max(1, len(words)), _WORDS_AT_ONCE):
            group = words[first : first + _WORDS_AT_ONCE]
            hits = searcher.search(self._bits(ids, group), limit=len(ids), count=False).hits
            held = searcher.fast_field_values("id", [address for _, address in hits])
            for id, (score, _) in zip(held, hits, strict=True):
                mine = [word for bit, word in enumerate(group) if int(score) >> bit & 1]
                found[int(id)] = found.get(int(id), frozenset()).union(mine)
        return found

    def document_frequencies(self, words: Sequence[str]) -> list[int]:
        """Returns in how many passages each word occurs."""
        searcher = self._index.searcher()
        return [int(searcher.doc_freq("words", word)) for word in words]

    def snapshot(self, target: Path) -> None:
        """Copies the committed state into the new folder `target`, mostly by hard links.

        Segment files never change once written, but a merge in the background may drop some
        while they are being linked; then `meta.json` has changed and the copy starts over.
        """
        for _ in range(_SNAPSHOT_TRIES):
            if self._try_snapshot(target):
                return
            shutil.rmtree(target)
        raise OSError(f"The lexical index did not hold still while it was copied to {target}.")

    def close(self) -> None:
        """Waits for background merges and lets go of the files."""
        with self._lock:
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None

    def _try_snapshot(self, target: Path) -> bool:
        target.mkdir()
        meta = (self._folder / _META).read_bytes()
        segments = {part["segment_id"].replace("-", "") for part in json.loads(meta)["segments"]}
        for file in self._folder.iterdir():
            if file.name.partition(".")[0] in segments:
                try:
                    _link(file, target / file.name)
                except FileNotFoundError:
                    return False
        (target / _META).write_bytes(meta)
        return (self._folder / _META).read_bytes() == meta

    def _open_writer(self) -> Any:  # tantivy's stubs are not complete
        if self._writer is None:
            self._writer = self._index.writer(heap_size=_WRITER_BYTES, num_threads=1)
        return self._writer

    def _bits(self, ids: Sequence[int], words: Sequence[str]) -> tantivy.Query:
        """Finds exactly `ids`; a passage scores 1 for the first word, 2 for the second, then 4."""
        wanted = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "id", id)) for id in ids
        ]
        some = tantivy.Query.const_score_query(tantivy.Query.boolean_query(wanted), 0.0)
        bits = [
            (tantivy.Occur.Should, tantivy.Query.const_score_query(self._term(word), float(1 << n)))
            for n, word in enumerate(words)
        ]
        return tantivy.Query.boolean_query([(tantivy.Occur.Must, some), *bits])

    def _term(self, word: str) -> tantivy.Query:
        return tantivy.Query.term_query(self._schema, "words", word, index_option="freq")


def restore_snapshot(source: Path, target: Path) -> None:
    """Copies a snapshot into the new folder `target`, mostly by hard links."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.name == _META:
            shutil.copyfile(file, target / file.name)
        else:
            _link(file, target / file.name)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("id", indexed=True, fast=True)
    builder.add_text_field("words", tokenizer_name="whitespace", index_option="freq")
    return builder.build()
