"""Answers in the documents' own words: the sentences that fit a question best, with a citation.

Used where the model's text is not carried by the passages. Sentences are compared with the
question by meaning; without an embedder by the words they share.
"""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.grounding import EMPHASIS, Checked, with_mark
from bot.runs import MAX_QUOTE_CHARS, Run, cite, runs_of
from bot.types import Grounding, SentenceCheck
from knowledge.claims import figures, words
from knowledge.part_vectors import PartVectors
from knowledge.parts import in_place
from knowledge.types import ScoredChunk

_MAX_SENTENCES = 14  # compared with a question
_MAX_REMEMBERED = 8192  # embedded sentences, 1.5 kB each
# Of 147 hard questions, a smaller cosine: 7 % of right quotations, 30 % of those without an answer.
_LEAST_MEANING = 0.28
_LEAST_WORDS = 0.2  # share of the question's words below which nothing is quoted
_CODE_BONUS = 0.1  # for a sentence with the question's product or error code
# Neighbors whose fit is within this of the best sentence are quoted with it: of 0 to 0.3 the
# smallest value that held the asked-for facts in 63 % of 86 hard questions (0: 51 %).
_NEIGHBOR_MARGIN = 0.15

_LABEL = re.compile(r"^(?:回答|答案|答|说明|内容|answer|a)\s*[:：]\s*", re.IGNORECASE)

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


LoadParts = Callable[[Sequence[int]], Mapping[int, PartVectors]]


def _no_parts(_: Sequence[int]) -> Mapping[int, PartVectors]:
    return {}


@dataclass(frozen=True, slots=True)
class Meaning:
    """How questions and sentences become comparable: each gives (n, dim) normalized rows.

    `load_parts` gives the vectors that ingestion made of passages' sentences; embedding them
    again while a customer waits takes a quarter of a second.
    """

    embed_queries: Embed
    embed_passages: Embed
    load_parts: LoadParts = _no_parts


class Quoter:
    """Quotes passages; remembers the vectors of sentences it has met."""

    def __init__(self, *, meaning: Meaning | None) -> None:
        self._meaning = meaning
        self._known: OrderedDict[tuple[int, int, int], NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def quote(self, query: str, hits: Sequence[ScoredChunk]) -> Checked | None:
        """Returns the sentences that answer the query best, word for word; None without any."""
        sentences = [run for hit in hits for run in _sentences(hit)][:_MAX_SENTENCES]
        if not sentences or not (words(query) or figures(query)):
            return None
        fits, least = self._fits(query, sentences)
        best = int(np.argmax(fits))
        if fits[best] < least:
            return None
        run = _with_neighbors(sentences, fits, best)
        citation = cite(1, run, round(min(1.0, max(0.0, float(fits[best]))), 3))
        shown = _LABEL.sub("", EMPHASIS.sub("", citation.quote).strip(" |"))
        checks = (SentenceCheck(shown, 1.0, 1),)
        return Checked(with_mark(shown, 1), (citation,), Grounding(1.0, "supported", checks))

    def _fits(self, query: str, sentences: Sequence[Run]) -> tuple[NDArray[np.float32], float]:
        """Returns how well each sentence fits, (n_sentences,), and the least that will do."""
        if self._meaning is None:
            return _shared_words(query, sentences), _LEAST_WORDS
        asked = self._meaning.embed_queries([query])[0]
        fits = self._vectors(sentences) @ asked
        codes = {figure for figure in figures(query) if figure.unit == "code"}
        for index, run in enumerate(sentences):
            if codes & run.figures:
                fits[index] += _CODE_BONUS
        return fits, _LEAST_MEANING

    def _vectors(self, sentences: Sequence[Run]) -> NDArray[np.float32]:
        """Returns (n_sentences, dim); only sentences not met before are embedded."""
        assert self._meaning is not None  # noqa: S101
        keys = [(run.hit.chunk.id, run.start, run.end) for run in sentences]
        with self._lock:
            found: dict[tuple[int, int, int], NDArray[np.float32]] = {
                key: self._known[key] for key in keys if key in self._known
            }
        for key, vector in self._stored(sentences).items():
            found.setdefault(key, vector)
        new = [(key, run) for key, run in zip(keys, sentences, strict=True) if key not in found]
        if new:
            rows = self._meaning.embed_passages([_in_context(run) for _, run in new])
            found.update((key, row) for (key, _), row in zip(new, rows, strict=True))
        with self._lock:
            for key in keys:
                self._known[key] = found[key]
                self._known.move_to_end(key)
            while len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
        return np.stack([found[key] for key in keys])

    def _stored(self, sentences: Sequence[Run]) -> dict[tuple[int, int, int], NDArray[np.float32]]:
        assert self._meaning is not None  # noqa: S101
        parts = self._meaning.load_parts(sorted({run.hit.chunk.id for run in sentences}))
        found: dict[tuple[int, int, int], NDArray[np.float32]] = {}
        for run in sentences:
            known = parts.get(run.hit.chunk.id)
            vector = known.find(run.text) if known else None
            if vector is not None:
                found[run.hit.chunk.id, run.start, run.end] = vector
        return found


def _sentences(hit: ScoredChunk) -> list[Run]:
    """The sentences of a passage that say something, headings left out."""
    above = {_plain(text) for text in (hit.title, *hit.chunk.headings)}
    runs = (run for run in runs_of(hit) if run.n_sentences == 1)
    return [run for run in runs if _plain(run.text) not in above]


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _in_context(run: Run) -> str:
    """A sentence with its place in the document, as ingestion embeds it."""
    return in_place(run.hit.title, run.hit.chunk.headings, run.text)


def _shared_words(query: str, sentences: Sequence[Run]) -> NDArray[np.float32]:
    """Share of the question's words, rare ones counting more, that each sentence has."""
    asked = words(query) | {figure.value for figure in figures(query)}
    had = [run.words | run.context | {figure.value for figure in run.figures} for run in sentences]
    weights = {
        word: math.log(1 + len(had) / (0.5 + sum(word in each for each in had))) for word in asked
    }
    total = sum(weights.values())
    shares = [sum(weights[word] for word in asked & each) / total for each in had]
    own = [len(asked & run.words) / (100 * len(asked)) for run in sentences]  # breaks ties
    return np.array(shares, dtype=np.float32) + np.array(own, dtype=np.float32)


def _with_neighbors(sentences: Sequence[Run], fits: NDArray[np.float32], best: int) -> Run:
    """Returns the best sentence and those around it that fit nearly as well."""
    first = last = best
    while True:
        around = [
            index
            for index in (first - 1, last + 1)
            if 0 <= index < len(sentences)
            and sentences[index].hit is sentences[best].hit
            and fits[index] >= fits[best] - _NEIGHBOR_MARGIN
            and _length(sentences, min(first, index), max(last, index)) <= MAX_QUOTE_CHARS
        ]
        if not around:
            return _joined(sentences[first], sentences[last], n_sentences=last - first + 1)
        index = max(around, key=lambda i: float(fits[i]))
        first, last = min(first, index), max(last, index)


def _length(sentences: Sequence[Run], first: int, last: int) -> int:
    return sentences[last].end - sentences[first].start


def _joined(first: Run, last: Run, *, n_sentences: int) -> Run:
    return Run(
        first.hit,
        first.start,
        last.end,
        n_sentences,
        first.words | last.words,
        first.figures | last.figures,
        first.context,
    )
