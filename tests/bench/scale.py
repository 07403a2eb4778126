"""Measures search over a large knowledge base: time, recall, memory, and adding a document.

Run `kefu demo` once with the folder as `KEFU_DATA_DIR`, then

    python -m tests.bench.scale --chunks 100000 --data DIR

makes `DIR/scale-100000` from the demo company's passages (see `tests.bench.synthetic`), builds its
indexes as a start of Kefu does, and measures in a process of its own. All stages can be run
again: rows and indexes that are there are kept. Needs about 12 GB of disk a million passages.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import perf_counter

import numpy as np
from sqlalchemy import Engine, func, select

from bot.assembly import KnowledgeStores, Search, open_search, open_stores
from bot.database import open_database, upgrade
from bot.settings import Settings
from knowledge.embedding import load_embedder
from knowledge.live_chunks import decode_vector, is_live
from knowledge.parts import all_vectors
from knowledge.tables import ChunkRow
from knowledge.types import Audience
from tests.bench.synthetic import fill, real_passages
from tests.bench.timing import TimedEmbedder, machine, private_mib, questions, spread

_N_WARM = 20
_TOP = 10
_BLOCK = 1 << 16
_N_INGESTED = 5  # documents taken in while searches are timed


@dataclass(frozen=True, slots=True)
class Place:
    """Where the base of a size lives."""

    real: Path
    folder: Path
    n_chunks: int

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder, _env_file=None)

    def open(self) -> Engine:
        self.folder.mkdir(parents=True, exist_ok=True)
        engine = open_database(self.settings.database_url)
        upgrade(engine)
        return engine


def make_rows(place: Place) -> None:
    """Writes the synthetic passages that are not there yet."""
    real, embedder = real_passages(place.real / "kefu.db")
    engine = place.open()
    started = perf_counter()
    fill(engine, real, embedder=embedder, n_chunks=place.n_chunks)
    _tell({"real_passages": len(real), "rows_s": round(perf_counter() - started, 1)})
    engine.dispose()


def make_indexes(place: Place) -> None:
    """Builds both indexes as the first start on a full database does, and saves them."""
    engine = place.open()
    started = perf_counter()
    search = open_search(place.settings, engine)
    search.indexes.save()
    built_s = perf_counter() - started
    while search.indexes.upkeep():
        pass
    search.indexes.save()
    _tell({"built_s": round(built_s, 1), "upkeep_s": round(perf_counter() - started - built_s, 1)})
    search.indexes.close()
    engine.dispose()


def measure(place: Place, wanted: Sequence[str] = ()) -> dict[str, object]:
    """Measures a base whose indexes are saved; for a fresh process, or memory means nothing."""
    engine = place.open()
    embedder = TimedEmbedder(load_embedder("packaged", device="cpu"))
    embedder.embed_queries(["warm"])
    before = private_mib()
    started = perf_counter()
    search = open_search(place.settings, engine, embedder=embedder)
    opened_s, resident = perf_counter() - started, private_mib() - before
    asked = questions()
    report: dict[str, object] = {"machine": machine(), "opened_s": round(opened_s, 2)}
    parts: dict[str, Callable[[], object]] = {
        "size": lambda: _sizes(place, engine, search, resident),
        "search": lambda: _timed(search, asked),
        "dense_recall_at_10": lambda: _recall(place, engine, search, asked[:200]),
        "add_one_document": lambda: _add_one(place, engine, search, embedder),
        "search_while_ingesting": lambda: _beside_ingestion(place, engine, search, asked),
    }
    try:
        for name in wanted or parts:
            part = parts[name]
            report[name] = part()
            _tell({name: report[name]})
    finally:
        search.indexes.close()
        engine.dispose()
    return report


def _sizes(place: Place, engine: Engine, search: Search, resident_mib: float) -> dict[str, object]:
    with engine.connect() as connection:
        n_chunks = connection.scalar(select(func.count()).select_from(ChunkRow)) or 1
    held = search.indexes._open()
    per_million = 1_000_000 / n_chunks / 1024
    files = [f for f in (place.folder / "index").glob("state-*/**/*") if f.is_file()]
    on_disk = {
        part: sum(f.stat().st_size for f in files if part in f.parts) / 2**20
        for part in ("vectors", "lexical")
    }
    return {
        "chunks": n_chunks,
        "vectors": sum(one.n_rows for one in held.vectors.described),
        "segments": [
            {"kind": one.kind, "rows": one.n_rows, "effort": one.effort, "recall": one.recall}
            for one in held.vectors.described
            if one.n_rows
        ],
        "resident_gib_per_million_chunks": round(resident_mib * per_million, 2),
        "disk_gib_per_million_chunks": {
            part: round(size * per_million, 2) for part, size in on_disk.items()
        },
    }


def _timed(search: Search, asked: Sequence[str]) -> dict[str, object]:
    """Asks each question once, after others that warm up."""
    search.indexes.words.load()
    for query in asked[-_N_WARM:]:
        search.retriever.search(query)
    totals: list[float] = []
    stages: dict[str, list[float]] = {}
    for query in asked[:-_N_WARM]:
        started = perf_counter()
        found = search.retriever.search(query)
        totals.append((perf_counter() - started) * 1000)
        for stage, ms in found.timings_ms.items():
            stages.setdefault(stage, []).append(ms)
    return {
        "questions": len(totals),
        **spread(totals),
        "stages": {stage: spread(ms) for stage, ms in stages.items()},
    }


def _recall(place: Place, engine: Engine, search: Search, asked: Sequence[str]) -> float:
    """Returns the share of each question's ten nearest passages that the index finds."""
    queries = search.embedder.embed_queries(asked)
    exact = _exact(place, engine, queries)
    n_found = 0
    for query, wanted in zip(queries, exact, strict=True):
        found = search.indexes.search_dense(query, _TOP)
        n_found += len({id for id, _ in found} & set(wanted.tolist()))
    return round(n_found / (_TOP * len(queries)), 4)


def _exact(place: Place, engine: Engine, queries: np.ndarray) -> np.ndarray:
    """Returns (n_queries, 10) passages by comparing all vectors of the database; kept in a file."""
    kept = place.folder / f"exact-{len(queries)}.npz"
    if kept.exists():
        saved = np.load(kept)
        if np.allclose(saved["queries"], queries, atol=1e-4):
            return np.asarray(saved["ids"])
    best = np.full((len(queries), _TOP), -np.inf, np.float32)
    best_ids = np.zeros((len(queries), _TOP), np.int64)
    columns = (ChunkRow.id, ChunkRow.embedding, ChunkRow.part_embeddings)
    with engine.connect().execution_options(yield_per=2000) as connection:
        for rows in connection.execute(select(*columns).where(is_live())).partitions():
            vectors = [all_vectors(decode_vector(row[1]), row[2]) for row in rows]
            starts = np.cumsum([0, *(len(one) for one in vectors[:-1])])
            scores = np.maximum.reduceat(queries @ np.vstack(vectors).T, starts, axis=1)
            scores = np.hstack([best, scores])
            ids = np.hstack([best_ids, np.tile([row[0] for row in rows], (len(queries), 1))])
            first = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
            best = np.take_along_axis(scores, first, 1)
            best_ids = np.take_along_axis(ids, first, 1)
    np.savez(kept, queries=queries, ids=best_ids)
    return best_ids


def _document(number: int) -> bytes:
    return "\n\n".join(
        f"Workshop note {number}-{line}: the brass lantern model L{number}{line:02d} takes "
        f"{line + 2} candles and its glass is cleaned with vinegar every {line + 3} weeks."
        for line in range(20)
    ).encode()


def _add_one(
    place: Place, engine: Engine, search: Search, embedder: TimedEmbedder
) -> dict[str, object]:
    """Takes in a document of 20 lines; it has to be found, and no segment made anew."""
    stores = open_stores(place.settings, engine)
    before = [one for one in search.indexes._open().vectors.described if one.kind != "exact"]
    embedding_s = sum(embedder.spent_s.values())
    started = perf_counter()
    document_id, _ = stores.ingestor.submit("bench-one.txt", _document(0), author="bench")
    search.worker.run_until_idle()
    seconds = perf_counter() - started
    embedding_s = sum(embedder.spent_s.values()) - embedding_s
    hits = search.retriever.search("brass lantern model L007", audience=Audience.STAFF).hits
    after = [one for one in search.indexes._open().vectors.described if one.kind != "exact"]
    started = perf_counter()
    search.indexes.save()
    saved_s = perf_counter() - started
    stores.documents.remove(document_id, actor="bench")
    search.indexes.refresh()
    return {
        "s": round(seconds, 3),
        "of_it_embedding_s": round(embedding_s, 3),
        "is_found": any(hit.chunk.document_id == document_id for hit in hits),
        "segments_kept": before == after,
        "saved_s": round(saved_s, 3),
    }


def _beside_ingestion(
    place: Place, engine: Engine, search: Search, asked: Sequence[str]
) -> dict[str, object]:
    """Times searches while documents are taken in by another thread."""
    stores = open_stores(place.settings, engine)
    added = [
        stores.ingestor.submit(f"bench-{n}.txt", _document(n), author="bench")[0]
        for n in range(1, _N_INGESTED + 1)
    ]
    thread = Thread(target=search.worker.run_until_idle)
    totals: list[float] = []
    thread.start()
    while thread.is_alive() and len(totals) < 10 * len(asked):
        started = perf_counter()
        search.retriever.search(asked[len(totals) % len(asked)])
        totals.append((perf_counter() - started) * 1000)
    thread.join()
    _remove(stores, search, added)
    return {"searches": len(totals), **spread(totals), "max_ms": round(max(totals), 1)}


def _remove(stores: KnowledgeStores, search: Search, added: Sequence) -> None:
    for document_id in added:
        stores.documents.remove(document_id, actor="bench")
    search.indexes.refresh()


def _tell(report: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Runs all stages, each in a process of its own, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--data", type=Path, required=True, help="holds the loaded demo company")
    parser.add_argument("--only", choices=["rows", "indexes", "measure"])
    parser.add_argument("--parts", nargs="*", default=(), help="of the measurements; all")
    wanted = parser.parse_args()
    place = Place(wanted.data, wanted.data / f"scale-{wanted.chunks}", wanted.chunks)
    if wanted.only == "rows":
        make_rows(place)
    elif wanted.only == "indexes":
        make_indexes(place)
    elif wanted.only == "measure":
        report = measure(place, wanted.parts)
        (place.folder / "report.json").write_text(json.dumps(report, indent=2), "utf-8")
    else:
        command = [sys.executable, "-m", "tests.bench.scale", *sys.argv[1:]]
        for stage in ("rows", "indexes", "measure"):
            subprocess.run([*command, "--only", stage], check=True)


if __name__ == "__main__":
    main()
