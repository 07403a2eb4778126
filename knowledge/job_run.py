"""What a background job works with: its tools, and its say in when it goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from knowledge.embedding import Embedder
from knowledge.fetching import FetchOptions
from knowledge.jobs import Claim, JobLost, advance
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.running import DirectParsing, ParseRunner
from knowledge.search_indexes import SearchIndexes

#: Small batches, so that cancelling and waiting customers are noticed soon.
BATCH_CHUNKS = 8
BATCH_TOKENS = 800
_MAX_PAUSE_S = 2.0
_PAUSE_STEP_S = 0.02
_REPORT_EVERY_S = 0.5


class WorkerStopping(Exception):  # not an error: the process is shutting down
    """The worker has to stop; the job goes on later from where it is."""


class GivingWay(Exception):  # not an error: other work comes first
    """The job goes on from where it is when nothing else is to be done."""


@dataclass(frozen=True, slots=True)
class IngestionOptions:
    """How documents are worked on.

    Args:
        uploads_dir: Where uploaded bytes are kept.
        limits: What a file may hold.
        chunk_tokens: Upper bound of a passage, in the embedder's tokens.
        pause: True while someone waits for an answer; each batch then waits up to two seconds.
        fetch: How web sources are fetched.
        parsing: Where files are parsed; a server uses `ChildParsing`.
        duplicate_threshold: Share of equal shingles from which two texts are nearly the same.
    """

    uploads_dir: Path
    limits: ParseLimits
    chunk_tokens: int
    pause: Callable[[], bool]
    fetch: FetchOptions = field(default_factory=FetchOptions)
    parsing: ParseRunner = field(default_factory=DirectParsing)
    duplicate_threshold: float = 0.85


@dataclass(frozen=True, slots=True)
class JobRun:
    """One claimed job with everything it needs."""

    claim: Claim
    engine: Engine
    embedder: Embedder
    indexes: SearchIndexes
    options: IngestionOptions
    lost: Event
    stopping: Event

    def report(self, stage: str, progress: float) -> None:
        """Shows where the job is; raises `JobLost` when it is no longer ours."""
        self.check()
        with Session(self.engine) as session, session.begin():
            advance(session, self.claim, stage=stage, progress=progress)

    def check(self) -> None:
        """Raises `JobLost` or `WorkerStopping` when the job must not go on."""
        if self.lost.is_set():
            raise JobLost(self.claim.job.id)
        if self.stopping.is_set():
            raise WorkerStopping

    def wait_turn(self) -> None:
        """Lets waiting customers go first for a while, then checks as `check` does."""
        deadline = monotonic() + _MAX_PAUSE_S
        while self.options.pause() and monotonic() < deadline:
            self.check()
            self.stopping.wait(_PAUSE_STEP_S)
        self.check()


class SteadyProgress:
    """Lets customers go first at every step of a stage, and shows now and then how far it is."""

    def __init__(self, run: JobRun, stage: str) -> None:
        self._run = run
        self._stage = stage
        self._told_at = float("-inf")

    def __call__(self, share: float) -> None:
        """Waits its turn at a share in [0, 1]; raises as `JobRun.check` does."""
        self._run.wait_turn()
        if monotonic() - self._told_at >= _REPORT_EVERY_S:
            self._run.report(self._stage, share)
            self._told_at = monotonic()


def rough_tokens(text: str) -> int:
    """Returns about how many tokens a text has in either language, in no time."""
    return len(text.encode("utf-8", "replace")) // 4


def batches(texts: Sequence[str], count_tokens: Callable[[str], int]) -> Iterator[slice]:
    """Yields consecutive slices of `texts` of few items and bounded tokens, covering all."""
    first, n_tokens = 0, 0
    for position, text in enumerate(texts):
        size = count_tokens(text)
        full = position - first >= BATCH_CHUNKS or n_tokens + size > BATCH_TOKENS
        if position > first and full:
            yield slice(first, position)
            first, n_tokens = position, 0
        n_tokens += size
    if first < len(texts):
        yield slice(first, len(texts))
