"""What the benchmarks share: an embedder that keeps its time, percentiles, questions, memory."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import perf_counter, thread_time

import numpy as np

from knowledge.embedding import Embedder, Vectors

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "knowledge" / "demo"


class TimedEmbedder:
    """Adds up how long passages and token counts take; otherwise the embedder that it is given."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = Lock()
        self.spent_s = {"passages": 0.0, "queries": 0.0, "tokens": 0.0}
        self.cpu_s = dict.fromkeys(self.spent_s, 0.0)

    @property
    def id(self) -> str:
        return self._embedder.id

    @property
    def dim(self) -> int:
        return self._embedder.dim

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        with self._timed("queries"):
            return self._embedder.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        with self._timed("passages"):
            return self._embedder.embed_passages(texts)

    def count_tokens(self, text: str) -> int:
        with self._timed("tokens"):
            return self._embedder.count_tokens(text)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        wall, cpu = perf_counter(), thread_time()
        try:
            yield
        finally:
            with self._lock:
                self.spent_s[what] += perf_counter() - wall
                self.cpu_s[what] += thread_time() - cpu


def questions() -> list[str]:
    """Returns distinct questions about the demo company, written by people, in a mixed order."""
    paths = [DEMO / "questions.jsonl", *sorted((ROOT / "tests" / "dev_sets").glob("dev_*.jsonl"))]
    lines = [line for path in paths for line in path.read_text("utf-8").splitlines() if line]
    found = list(dict.fromkeys(json.loads(line)["query"] for line in lines))
    return [found[n] for n in np.random.default_rng(0).permutation(len(found))]


def spread(milliseconds: Sequence[float]) -> dict[str, float]:
    """Returns median and 95th percentile."""
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


def private_mib() -> float:
    """Returns this process's memory that is not a file's, on Linux; 0 elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def machine() -> dict[str, object]:
    """Returns what the figures were measured on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
