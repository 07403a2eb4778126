"""Suggests what to ask next: only questions that the documents answer.

Taken from questions and headings in the other passages that were found, then from the company's
own suggestions, each tried against retrieval first.
"""

import re
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from bot.text import sentence_spans
from knowledge.claims import is_chinese, words
from knowledge.types import Retrieval, ScoredChunk

_MAX_CHARS = 60
_MIN_CHARS = 5
_QUESTION = re.compile(
    r"^(?:how|what|when|where|which|why|who|can|could|do|does|is|are|will|may|should)\b.*\?$"
    r"|.*(?:怎么|如何|多久|多少|什么|谁|哪|几|吗|能否|是否|能不能|可以|呢).*[？?]?$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:问题?|Q|Question|FAQ)\s*\d*\s*[:：.、]\s*|^[\d一二三四五六七八九十]+[.、)]\s*", re.I
)
_SAME = 0.5  # share of the longer question's words that two have in common if they are one


class Retriever(Protocol):
    """Finds passages for a stand-alone question."""

    def search(self, query: str, *, top_k: int | None = None) -> Retrieval:
        """Returns what was found, best first, with its calibrated relevance."""
        ...


class Suggester:
    """Chooses follow-up questions; what retrieval said of one is remembered for a while."""

    def __init__(self, retriever: Retriever, *, remember_s: float, limit: int) -> None:
        self._retriever = retriever
        self._remember_s = remember_s
        self._limit = limit
        self._known: dict[str, tuple[float, bool]] = {}
        self._lock = threading.Lock()

    def follow_ups(
        self, hits: Sequence[ScoredChunk], own: Sequence[str], asked: Sequence[str]
    ) -> tuple[str, ...]:
        """Returns questions in the language of the last one asked, none of them asked before."""
        chinese = is_chinese(asked[-1])
        found: list[str] = []
        seen = [words(text) for text in asked]
        for text in (*_questions(hits), *self._answered(own)):
            if len(found) == self._limit:
                break
            claimed = words(text)
            if claimed and is_chinese(text) == chinese and not _is_known(claimed, seen):
                found.append(text)
                seen.append(claimed)
        return tuple(found)

    def starters(self, own: Sequence[str]) -> tuple[str, ...]:
        """Returns those of the company's suggestions that retrieval answers."""
        return tuple(self._answered(own))

    def _answered(self, own: Sequence[str]) -> Iterator[str]:
        for text in own:
            if self._is_answered(text):
                yield text

    def _is_answered(self, text: str) -> bool:
        now = time.monotonic()
        with self._lock:
            tried_at, answered = self._known.get(text, (-self._remember_s, False))
        if now - tried_at < self._remember_s:
            return answered
        answered = self._retriever.search(text).is_relevant
        with self._lock:
            self._known[text] = (now, answered)
        return answered


def _questions(hits: Sequence[ScoredChunk]) -> Iterator[str]:
    """Questions that passages ask themselves: entries of a FAQ, and headings."""
    for hit in hits[1:]:
        text = hit.chunk.text
        lines = [text[start:end] for start, end in sentence_spans(text)]
        candidates = [*reversed(hit.chunk.headings), *(line for line in lines if line[-1] in "？?")]
        for candidate in candidates:
            question = _LABEL.sub("", candidate.strip(" *#|"))
            if _MIN_CHARS <= len(question) <= _MAX_CHARS and _QUESTION.match(question):
                yield question if question[-1] in "？?" else question + _mark(question)


def _mark(question: str) -> str:
    return "？" if is_chinese(question) else "?"


def _is_known(claimed: frozenset[str], seen: Sequence[frozenset[str]]) -> bool:
    return any(len(claimed & other) / max(1, len(claimed), len(other)) >= _SAME for other in seen)
