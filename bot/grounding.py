"""Ties each sentence of an answer to the passage that carries it, after generation.

The model is not asked to cite; citations are found by comparing words and figures, so a quote
is always the document's own text. Sentences with figures that no passage has are cut. An answer
that nothing carries is given up in favor of a quotation, see `bot.quotation`.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bot.runs import Run, cite, runs_of
from bot.text import sentence_spans
from bot.types import Citation, Grounding, SentenceCheck
from knowledge.claims import Figure, figures, is_chinese, words
from knowledge.types import ScoredChunk

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

_RUN_PENALTY = 0.05  # a longer quote must carry so much more
_RANK_PENALTY = 0.01
_ASKED_WEIGHT = 0.35  # words the question already had prove little
_HEADING_WEIGHT = 0.6  # words found only in the title or the headings of the passage

CITE_SCORE = 0.35  # a sentence with less gets no citation
_KEEP_SCORE = 0.5  # one with less is cut
_SUPPORTED_SCORE = 0.6

# Cosines of the packaged model between a sentence and its translation lie from 0.36 to 0.69,
# between unrelated sentences of one shop at 0.14 and mostly below 0.28 (30 pairs, zh and en).
# An answer is only kept above 0.50, as an invented one got past 0.43; else it is quoted.
_COSINE_LOW, _COSINE_HIGH = 0.35, 0.6
_MAX_EMBEDDED = 8
_MAX_SENTENCES = 4  # more is a passage copied out, not an answer
_OWN_WORDS, _OWN_BIGRAMS = 2, 3  # words from which a sentence says something of its own

_OWN_MARKS = re.compile(r"\s*[\[【［](?:\d{1,2}(?:\s*[,，、]\s*)?)+[\]】］]")
_PREAMBLE = re.compile(r"^\s*(?:答案|回答|答|Answer|Reply)\s*[:：]\s*", re.IGNORECASE)
_LAYOUT = re.compile(r"^\s*\[\d{1,2}\](?:.* › .*|[^。.！!？?:：,，\n]*)$\n?", re.MULTILINE)
EMPHASIS = re.compile(r"\*\*|__|`")
_END_MARKS = re.compile(r"[\s。！？!?.；;：:，,]*$")


@dataclass(frozen=True, slots=True)
class Checked:
    """A checked answer: the text with `[n]` marks, what they point to, and how sure we are."""

    text: str
    citations: tuple[Citation, ...] = ()
    grounding: Grounding = field(default_factory=lambda: Grounding(0.0, "none"))
    is_evasive: bool = False  # it said something of its own that no passage says

    @property
    def is_carried(self) -> bool:
        """True where the documents carry the answer."""
        return bool(self.citations) and self.grounding.score >= _SUPPORTED_SCORE


@dataclass(frozen=True, slots=True)
class _Match:
    run: Run
    score: float


class Grounder:
    """Checks answers against passages.

    `embed` gives (n, dim) normalized rows; it is used where an answer and a passage are in
    different languages, and without it only their figures and codes are compared.
    """

    def __init__(self, *, embed: Embed | None) -> None:
        self._embed = embed

    def check(self, answer: str, query: str, hits: Sequence[ScoredChunk]) -> Checked:
        """Returns the answer with citations; without any where nothing carries it."""
        evidence = _Evidence(query, hits, self._embed)
        text = clean_answer(answer)
        spans = _without_repeats(text, sentence_spans(text))
        sentences = [text[start:end] for start, end in spans]
        matches = [evidence.match(sentence) for sentence in sentences]
        known = evidence.figures | figures(query)
        kept = [
            (span, match)
            for span, sentence, match in zip(spans, sentences, matches, strict=True)
            if not evidence.is_echo(sentence) and _is_kept(sentence, match, known)
        ]
        checked = _assemble(text, kept[:_MAX_SENTENCES])
        is_evasive = not checked.is_carried and any(map(evidence.is_own, sentences))
        return replace(checked, is_evasive=is_evasive)


def clean_answer(answer: str) -> str:
    """Returns the model's text without reference marks, preambles and emphasis of its own.

    Headings of passages, which a small model may copy from the prompt, go too.
    """
    text = _OWN_MARKS.sub("", _PREAMBLE.sub("", _LAYOUT.sub("", answer)))
    return EMPHASIS.sub("", text).strip()


class _Evidence:
    """The passages of one turn, cut into quotable runs with what they claim."""

    def __init__(self, query: str, hits: Sequence[ScoredChunk], embed: Embed | None) -> None:
        self._asked = words(query)
        self._asked_figures = figures(query)
        self._embed = embed
        self._runs = [run for hit in hits for run in runs_of(hit)]
        self._headings = {run.context for run in self._runs}
        self.figures = frozenset[Figure]().union(*(figures(hit.chunk.text) for hit in hits))
        self.figures |= frozenset[Figure]().union(
            *(figures(" ".join((hit.title, *hit.chunk.headings))) for hit in hits)
        )
        singles = [run.words for run in self._runs if run.n_sentences == 1]
        self._n_units = len(singles)
        counts: dict[str, int] = {}
        for found in singles:
            for word in found:
                counts[word] = counts.get(word, 0) + 1
        self._counts = counts

    def is_echo(self, sentence: str) -> bool:
        """True where a sentence only repeats the question, a title or headings."""
        claimed, numbers = words(sentence), figures(sentence)
        if claimed and claimed <= self._asked and numbers <= self._asked_figures:
            return True
        return bool(claimed) and not numbers and any(claimed <= above for above in self._headings)

    def is_own(self, sentence: str) -> bool:
        """True where a sentence says more than yes or no, without figures, and no echo."""
        least = _OWN_BIGRAMS if is_chinese(sentence) else _OWN_WORDS
        return len(words(sentence) - self._asked) >= least and not figures(sentence)

    def match(self, sentence: str) -> _Match | None:
        """Returns the run that carries the sentence best; None where it claims nothing."""
        claimed, numbers = words(sentence), figures(sentence)
        if not claimed and not numbers:
            return None
        weights = {word: self._weight(word) for word in claimed}
        best: _Match | None = None
        for run in self._runs:
            score = _coverage(weights, run) * _agreement(numbers, run)
            score -= _RUN_PENALTY * (run.n_sentences - 1) + _RANK_PENALTY * (run.hit.rank - 1)
            if best is None or score > best.score:
                best = _Match(run, score)
        if best is None or best.score < _SUPPORTED_SCORE:
            best = self._match_across(sentence, numbers, best)
        return best and _Match(best.run, round(min(1.0, max(0.0, best.score)), 3))

    def _match_across(
        self, sentence: str, numbers: frozenset[Figure], best: _Match | None
    ) -> _Match | None:
        """Compares with sentences in the other language: by figures, then by meaning."""
        chinese = is_chinese(sentence)
        foreign = [
            run
            for run in self._runs
            if run.n_sentences == 1
            and is_chinese(run.text) != chinese
            and _agreement(numbers, run) == 1.0
        ]
        if numbers and len(foreign) == 1:
            return _better(best, _Match(foreign[0], _SUPPORTED_SCORE))
        close = self._closest(sentence, foreign)
        return best if close is None else _better(best, close)

    def _closest(self, sentence: str, runs: Sequence[Run]) -> _Match | None:
        """Embedding is the slow part, so few runs are tried, the best passages' first."""
        runs = runs[:_MAX_EMBEDDED]
        if self._embed is None or not runs:
            return None
        rows = self._embed([sentence, *(run.text for run in runs)])  # (1 + n_runs, dim)
        best: _Match | None = None
        for run, vector in zip(runs, rows[1:], strict=True):
            meaning = (float(rows[0] @ vector) - _COSINE_LOW) / (_COSINE_HIGH - _COSINE_LOW)
            score = min(1.0, max(0.0, meaning)) - _RANK_PENALTY * (run.hit.rank - 1)
            best = _better(best, _Match(run, round(max(0.0, score), 3)))
        return best

    def _weight(self, word: str) -> float:
        rarity = math.log(1 + self._n_units / (0.5 + self._counts.get(word, 0)))
        return rarity * (_ASKED_WEIGHT if word in self._asked else 1.0)


def _better(best: _Match | None, other: _Match) -> _Match:
    return other if best is None or other.score > best.score else best


def _coverage(weights: dict[str, float], run: Run) -> float:
    """Share of the claim's words, by weight, that the run has; 1 where it has only figures."""
    total = sum(weights.values())
    if not total:
        return 1.0
    found = 0.0
    for word, weight in weights.items():
        if word in run.words:
            found += weight
        elif word in run.context:
            found += _HEADING_WEIGHT * weight
    return found / total


def _agreement(numbers: frozenset[Figure], run: Run) -> float:
    """Share of the claim's figures that the run has; codes may stand in its headings."""
    if not numbers:
        return 1.0
    agreed = sum(
        any(number.agrees(other) for other in run.figures) or number.value in run.context
        for number in numbers
    )
    return agreed / len(numbers)


def _is_kept(sentence: str, match: _Match | None, known: frozenset[Figure]) -> bool:
    numbers = figures(sentence)
    if not all(any(number.agrees(other) for other in known) for number in numbers):
        return False
    return match is None or match.score >= _KEEP_SCORE


def _without_repeats(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leaves out sentences that were said before; a small model may fall into a loop."""
    seen: dict[str, tuple[int, int]] = {}
    for start, end in spans:
        seen.setdefault(_END_MARKS.sub("", text[start:end]).casefold(), (start, end))
    return list(seen.values())


def _assemble(text: str, kept: Sequence[tuple[tuple[int, int], _Match | None]]) -> Checked:
    """Numbers the citations and writes their marks at the ends of the sentences."""
    citations: list[Citation] = []
    checks: list[SentenceCheck] = []
    for (start, end), match in kept:
        number = None
        if match is not None and match.score >= CITE_SCORE:
            number = _number(citations, match)
        score = 1.0 if match is None else match.score
        checks.append(SentenceCheck(text[start:end], score, number))
    lengths = [
        (end - start, match.score) for (start, end), match in kept if match is not None
    ]  # fmt: skip
    total = sum(length for length, _ in lengths)
    score = sum(length * score for length, score in lengths) / total if total else 0.0
    grounding = Grounding(round(score, 3), _verdict(score, bool(total)), tuple(checks))
    marked = _mark(text, [span for span, _ in kept], checks)
    return Checked(marked, tuple(citations), grounding)


def _verdict(score: float, has_claims: bool) -> str:
    if not has_claims:
        return "none"
    if score >= _SUPPORTED_SCORE:
        return "supported"
    return "partly" if score >= CITE_SCORE else "unsupported"


def _number(citations: list[Citation], match: _Match) -> int:
    """Returns the number of the citation that holds the run, adding one if there is none."""
    new = cite(len(citations) + 1, match.run, match.score)
    for known in citations:
        same = (known.document_id, known.version) == (new.document_id, new.version)
        if same and _holds(known, new):
            return known.n
    citations.append(new)
    return new.n


def _holds(known: Citation, new: Citation) -> bool:
    if known.start is None or known.end is None or new.start is None or new.end is None:
        return False
    return known.start <= new.start and new.end <= known.end


def _mark(text: str, spans: Sequence[tuple[int, int]], checks: Sequence[SentenceCheck]) -> str:
    """Rebuilds the text from the kept sentences; of equal marks in a row the last one stays."""
    parts: list[str] = []
    position = 0
    for index, ((start, end), check) in enumerate(zip(spans, checks, strict=True)):
        gap = text[position:start]
        parts.append(_gap(gap, is_first=index == 0))
        following = checks[index + 1].citation if index + 1 < len(checks) else None
        parts.append(_with_mark(check, following))
        position = end
    return "".join(parts).strip()


def _gap(gap: str, *, is_first: bool) -> str:
    """What stands between two kept sentences: list marks and breaks, without what was cut."""
    if not any(char.isalpha() for char in gap):
        return gap
    lead = gap[gap.rfind("\n") :] if "\n" in gap else ("" if is_first else " ")
    return lead if not any(char.isalpha() for char in lead) else "\n"


def _with_mark(check: SentenceCheck, following: int | None) -> str:
    if check.citation is None or check.citation == following:
        return check.text
    return with_mark(check.text, check.citation)


def with_mark(sentence: str, n: int) -> str:
    """Returns the sentence with a reference mark before its end punctuation."""
    ending = _END_MARKS.search(sentence)
    return f"{_END_MARKS.sub('', sentence)} [{n}]{ending[0].strip() if ending else ''}"
