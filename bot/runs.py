"""Quotable runs: whole sentences of one passage, short enough for a citation.

Between retrieval and grounding; every run is a slice of its passage, so whatever is quoted
stands word for word in the document.
"""

import re
from dataclasses import dataclass

from bot.text import sentence_spans
from bot.types import Citation
from knowledge.claims import Figure, figures, words
from knowledge.types import ScoredChunk

MAX_QUOTE_CHARS = 300
_MAX_RUN = 4  # sentences in one quote
_CLAUSE = re.compile(r"[，,、；;]")


@dataclass(frozen=True, slots=True)
class Run:
    """Whole sentences of one passage, short enough to quote."""

    hit: ScoredChunk
    start: int  # in the passage
    end: int
    n_sentences: int
    words: frozenset[str]
    figures: frozenset[Figure]
    context: frozenset[str]  # words and figures of title and headings

    @property
    def text(self) -> str:
        """The words of the passage."""
        return self.hit.chunk.text[self.start : self.end]


def runs_of(hit: ScoredChunk) -> list[Run]:
    """Returns all runs of up to four sentences that fit into a quote."""
    text = hit.chunk.text
    spans = [piece for span in sentence_spans(text) for piece in _pieces(text, span)]
    above = " ".join((hit.title, *hit.chunk.headings))
    context = words(above) | {figure.value for figure in figures(above)}
    claims = [(words(text[a:b]), figures(text[a:b])) for a, b in spans]
    runs: list[Run] = []
    for first, (start, _) in enumerate(spans):
        found: frozenset[str] = frozenset()
        numbers: frozenset[Figure] = frozenset()
        for last in range(first, min(first + _MAX_RUN, len(spans))):
            end = spans[last][1]
            if end - start > MAX_QUOTE_CHARS:
                break
            found |= claims[last][0]
            numbers |= claims[last][1]
            runs.append(Run(hit, start, end, last - first + 1, found, numbers, context))
    return runs


def _pieces(text: str, span: tuple[int, int]) -> list[tuple[int, int]]:
    """Cuts a sentence that is too long to quote at its commas, else by length."""
    start, end = span
    pieces: list[tuple[int, int]] = []
    while end - start > MAX_QUOTE_CHARS:
        commas = [found.end() for found in _CLAUSE.finditer(text, start, start + MAX_QUOTE_CHARS)]
        cut = commas[-1] if commas else start + MAX_QUOTE_CHARS
        pieces.append((start, cut))
        start = cut
    return [*pieces, (start, end)]


def cite(n: int, run: Run, score: float) -> Citation:
    """Returns the run as a citation into its document version."""
    chunk = run.hit.chunk
    return Citation(
        n=n,
        document_id=chunk.document_id,
        document=run.hit.document,
        title=run.hit.title,
        version=chunk.version,
        chunk_id=chunk.id,
        quote=run.text,
        start=chunk.start + run.start,
        end=chunk.start + run.end,
        page=chunk.page,
        score=score,
    )
