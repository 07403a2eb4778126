"""Measures taking documents in: the embedder's share of the time, and what customers notice.

    python -m tests.bench.ingestion --data DIR [--no-chat]

`DIR` holds the loaded demo company (`kefu demo` with `KEFU_DATA_DIR=DIR`) and the weights. The
share is measured on the demo company's files, parsed in a process of their own as a server does.
For the chat a real server is asked over HTTP, first idle, then while it takes in documents that
are made from the demo company's sentences; these are removed again. About five minutes.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from bot.assembly import KnowledgeStores, open_search, open_stores
from bot.database import open_database, upgrade
from bot.settings import Settings
from knowledge.embedding import load_embedder
from knowledge.jobs import INGEST
from knowledge.types import JobState
from tests.bench.synthetic import real_passages
from tests.bench.timing import DEMO, TimedEmbedder, machine, questions
from web.load import Timing, closed_loop, kefu_customer

_N_DOCUMENTS = 60
_PASSAGES = 40  # of one document
_PORT = 8713
_START_S = 120
_SETTLE_S = 20  # the staff's pages are built in the first seconds after a start
_OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})


def embedder_share() -> dict[str, object]:
    """Takes the demo company's files into an empty base; returns where the time went."""
    with TemporaryDirectory(prefix="kefu-bench-") as folder:
        settings = Settings(data_dir=Path(folder), _env_file=None)
        engine = open_database(settings.database_url)
        upgrade(engine)
        embedder = TimedEmbedder(load_embedder("packaged", device="cpu"))
        embedder.embed_passages(["warm"])
        search = open_search(settings, engine, embedder=embedder)
        search.indexes.words.load()
        stores = open_stores(settings, engine)
        for path in sorted((DEMO / "documents").iterdir()):
            stores.ingestor.submit(path.name, path.read_bytes(), author="bench")
        embedder.spent_s = dict.fromkeys(embedder.spent_s, 0.0)
        started = time.perf_counter()
        n_documents = search.worker.run_until_idle(frozenset({INGEST}))
        searchable_s = time.perf_counter() - started
        in_embedder_s = embedder.spent_s["passages"]
        search.worker.run_until_idle()
        seconds = time.perf_counter() - started
        n_chunks = len(search.indexes)
        search.worker.stop(1)
        search.indexes.close()
        engine.dispose()
    return {
        "documents": n_documents,
        "passages": n_chunks,
        "searchable_s": round(searchable_s, 2),
        "embedder_share_until_searchable": round(in_embedder_s / searchable_s, 3),
        "with_sentences_s": round(seconds, 2),
        "embedder_share": round(embedder.spent_s["passages"] / seconds, 3),
        "token_counting_share": round(embedder.spent_s["tokens"] / seconds, 3),
    }


def first_tokens(data: Path, n_asked: int) -> dict[str, object]:
    """Asks a server idle and while it takes documents in."""
    asked = questions()[:n_asked]
    settings = Settings(data_dir=data, _env_file=None)
    engine = open_database(settings.database_url)
    upgrade(engine)
    stores = open_stores(settings, engine)
    with _server(data) as url:
        time.sleep(_SETTLE_S)
        _ask(url, asked[:2])
        idle = _ask(url, asked)
        added = _submit(stores, data)
        try:
            time.sleep(2)
            _ask(url, asked[:2])
            busy = _ask(url, asked)
            n_open = sum(stores.jobs.get(job_id).state in _OPEN for _, job_id in added)
        finally:
            for document_id, _ in added:
                stores.documents.remove(document_id, actor="bench")
    engine.dispose()
    return {
        "questions": len(asked),
        "idle": _figures(idle),
        "while_ingesting": _figures(busy),
        "ratio": {
            name: round(_figures(busy)[name] / _figures(idle)[name], 2) for name in _figures(idle)
        },
        "documents_left_at_the_end": n_open,  # more than 0: it was ingesting all the time
    }


def _figures(timings: Sequence[Timing]) -> dict[str, float]:
    model = [one.model_first_token_s for one in timings if one.model_first_token_s]
    return {
        "first_token_p50_s": round(statistics.median(one.first_token_s for one in timings), 3),
        "model_first_token_p50_s": round(statistics.median(model), 3),
    }


def _ask(url: str, asked: Sequence[str]) -> list[Timing]:
    return asyncio.run(closed_loop(kefu_customer(url, len), asked, 1))


def _submit(stores: KnowledgeStores, data: Path) -> list[tuple]:
    """Queues long documents, one sentence order each, so that none repeats another."""
    real, _ = real_passages(data / "kefu.db")
    rng = np.random.default_rng(3)
    added = []
    for number in range(_N_DOCUMENTS):
        picked = [real[int(n)] for n in rng.integers(len(real), size=_PASSAGES)]
        text = "\n\n".join(" ".join(one.sentences) for one in picked)
        added.append(stores.ingestor.submit(f"bench-{number}.txt", text.encode(), author="bench"))
    return added


@contextmanager
def _server(data: Path) -> Iterator[str]:
    """Runs a real server on the folder."""
    url = f"http://127.0.0.1:{_PORT}"
    environment = {
        "KEFU_DATA_DIR": str(data),
        "KEFU_WEB__CONVERSATIONS_PER_MINUTE": "100000",
        "KEFU_WEB__MESSAGES_PER_MINUTE": "100000",
        "KEFU_LOG__LEVEL": "WARNING",
    }
    command = [shutil.which("env") or "env", *(f"{k}={v}" for k, v in environment.items())]
    command += [sys.executable, "-m", "web.cli", "serve", "--port", str(_PORT)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Expected a server at {url} within {_START_S} s.")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds the loaded demo company")
    parser.add_argument("--no-chat", action="store_true", help="only the embedder's share")
    parser.add_argument("--questions", type=int, default=16, help="asked idle, and again busy")
    wanted = parser.parse_args()
    report: dict[str, object] = {"machine": machine(), "ingestion": embedder_share()}
    if not wanted.no_chat:
        report["chat"] = first_tokens(wanted.data, wanted.questions)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
