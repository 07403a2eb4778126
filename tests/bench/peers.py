"""Compares ingestion and hybrid search with a LlamaIndex and a Haystack pipeline.

    python -m tests.bench.peers [--files 6] [--passages 20000]

All three use the same packaged embedder object, so the same thread, with batches of 8, on the
same passages of the demo company; the peers get them split already. Kefu's time begins with the
files and ends, as the peers' does, when everything can be searched; its sentences follow after
that, and are timed too. Peers are set up as their documentation shows a hybrid pipeline: LlamaIndex
with FAISS, `bm25s` and its reciprocal rank fusion; Haystack with its in-memory store, BM25 and
joiner. Two ratios are given for ingestion: `searchable`, against peers that embed the passages
alone, and `same_texts`, of the whole time to peers that embed each passage and each of its
sentences. The former is the median of `--rounds` in which all take turns. `--passages` measures
search also over that many synthetic passages whose vectors are given, `--files` takes only the
first files. A ratio is a peer's time over Kefu's: above 1, Kefu is quicker. About eight minutes,
with `--passages` twelve.

The peers are not dependencies of Kefu; a peer that is not installed is left out with a line.
"""

import argparse
import gc
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bot.assembly import open_search, open_stores
from bot.database import open_database, upgrade
from bot.settings import Settings
from knowledge.embedding import Embedder, Vectors, load_embedder
from knowledge.jobs import INGEST
from knowledge.live_chunks import passage_text
from knowledge.parts import in_place
from tests.bench.synthetic import RealPassage, fill, real_passages
from tests.bench.timing import DEMO, machine, questions, spread

INSTALL = (
    "pip install llama-index-core llama-index-retrievers-bm25 llama-index-vector-stores-faiss "
    "haystack-ai"
)
_BATCH = 8
_CANDIDATES = 30
_TOP = 5
_N_WARM = 10

Search = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Given:
    """What every pipeline takes in; with vectors, nothing has to be embedded."""

    texts: Sequence[str]
    vectors: Vectors | None = None


def kefu_ingestion(
    embedder: Embedder, folder: Path, n_files: int, *, sentences: bool = True
) -> tuple[list[float], Search]:
    """Takes the demo company's files in as a server does.

    Returns:
        The seconds until all can be searched and until their sentences are made too; a search.
    """
    settings = Settings(data_dir=folder, _env_file=None)
    engine = open_database(settings.database_url)
    upgrade(engine)
    search = open_search(settings, engine, embedder=embedder)
    search.indexes.words.load()
    stores = open_stores(settings, engine)
    started = time.perf_counter()
    for path in sorted((DEMO / "documents").iterdir())[:n_files]:
        stores.ingestor.submit(path.name, path.read_bytes(), author="bench")
    search.worker.run_until_idle(frozenset({INGEST}))
    seconds = [time.perf_counter() - started]
    if sentences:
        search.worker.run_until_idle()
        seconds.append(time.perf_counter() - started)
    search.worker.stop(1)
    return seconds, search.retriever.search


def kefu_synthetic(embedder: Embedder, folder: Path, real: Sequence[RealPassage], n: int) -> Search:
    settings = Settings(data_dir=folder, _env_file=None)
    engine = open_database(settings.database_url)
    upgrade(engine)
    fill(engine, real, embedder=embedder.id, n_chunks=n)
    search = open_search(settings, engine, embedder=embedder)
    while search.indexes.upkeep():
        pass
    return search.retriever.search


def llama_index(embedder: Embedder, given: Given) -> tuple[float, Search]:
    """Builds a LlamaIndex pipeline; returns the time that took, and its search."""
    import faiss
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import TextNode
    from llama_index.retrievers.bm25 import BM25Retriever
    from llama_index.vector_stores.faiss import FaissVectorStore

    class Packaged(BaseEmbedding):
        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder.embed_queries([query])[0].tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return embedder.embed_passages([text])[0].tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed_passages(texts).tolist()

    started = time.perf_counter()
    nodes = [TextNode(text=text) for text in given.texts]
    if given.vectors is not None:
        for node, vector in zip(nodes, given.vectors, strict=True):
            node.embedding = vector.tolist()
    store = FaissVectorStore(faiss_index=faiss.IndexFlatIP(embedder.dim))
    index = VectorStoreIndex(
        nodes,
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=Packaged(embed_batch_size=_BATCH),
    )
    hybrid = QueryFusionRetriever(
        [
            index.as_retriever(similarity_top_k=_CANDIDATES),
            BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=_CANDIDATES),
        ],
        llm=MockLLM(),
        num_queries=1,
        mode="reciprocal_rerank",
        similarity_top_k=_TOP,
        use_async=False,
    )
    return time.perf_counter() - started, hybrid.retrieve


def haystack(embedder: Embedder, given: Given) -> tuple[float, Search]:
    """Builds a Haystack pipeline; returns the time that took, and its search."""
    from haystack import Document, Pipeline, component
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers.in_memory import (
        InMemoryBM25Retriever,
        InMemoryEmbeddingRetriever,
    )
    from haystack.components.writers import DocumentWriter
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    @component
    class DocumentEmbedder:
        @component.output_types(documents=list[Document])
        def run(self, documents: list[Document]) -> dict[str, Any]:
            vectors: list[list[float]] = []
            for first in range(0, len(documents), _BATCH):
                group = [one.content for one in documents[first : first + _BATCH]]
                vectors += embedder.embed_passages(group).tolist()
            return {"documents": _with_vectors(documents, vectors)}

    @component
    class TextEmbedder:
        @component.output_types(embedding=list[float])
        def run(self, text: str) -> dict[str, Any]:
            return {"embedding": embedder.embed_queries([text])[0].tolist()}

    started = time.perf_counter()
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    documents = [Document(content=text, id=str(number)) for number, text in enumerate(given.texts)]
    taking_in = Pipeline()
    taking_in.add_component("writer", DocumentWriter(store))
    if given.vectors is None:
        taking_in.add_component("embedder", DocumentEmbedder())
        taking_in.connect("embedder.documents", "writer.documents")
        taking_in.run({"embedder": {"documents": documents}})
    else:
        documents = _with_vectors(documents, given.vectors.tolist())
        taking_in.run({"writer": {"documents": documents}})
    seconds = time.perf_counter() - started
    hybrid = Pipeline()
    hybrid.add_component("embedder", TextEmbedder())
    hybrid.add_component("dense", InMemoryEmbeddingRetriever(store, top_k=_CANDIDATES))
    hybrid.add_component("lexical", InMemoryBM25Retriever(store, top_k=_CANDIDATES))
    hybrid.add_component("join", DocumentJoiner("reciprocal_rank_fusion", top_k=_TOP))
    hybrid.connect("embedder.embedding", "dense.query_embedding")
    hybrid.connect("dense", "join")
    hybrid.connect("lexical", "join")

    def search(query: str) -> object:
        return hybrid.run({"embedder": {"text": query}, "lexical": {"query": query}})

    return seconds, search


def _with_vectors(documents: Sequence[Any], vectors: Sequence[list[float]]) -> list[Any]:
    pairs = zip(documents, vectors, strict=True)
    return [replace(document, embedding=vector) for document, vector in pairs]


PEERS: dict[str, tuple[str, Callable[[Embedder, Given], tuple[float, Search]]]] = {
    "llama_index": ("llama_index.retrievers.bm25", llama_index),
    "haystack": ("haystack", haystack),
}


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _search_times(searches: dict[str, Search], asked: Sequence[str]) -> dict[str, dict[str, float]]:
    """Asks all pipelines each question in turn, so that a noisy moment hits all of them."""
    spent: dict[str, list[float]] = {name: [] for name in searches}
    for number, query in enumerate([*asked[-_N_WARM:], *asked[:-_N_WARM]]):
        for name, search in searches.items():
            started = time.perf_counter()
            search(query)
            if number >= _N_WARM:
                spent[name].append((time.perf_counter() - started) * 1000)
    return {name: spread(ms) for name, ms in spent.items()}


def _ratios(times: dict[str, dict[str, float]]) -> dict[str, float]:
    ours = times["kefu"]["p50_ms"]
    return {name: round(one["p50_ms"] / ours, 2) for name, one in times.items() if name != "kefu"}


def compare(n_files: int, n_passages: int, n_rounds: int) -> dict[str, object]:
    """Runs everything with the peers that are installed."""
    found = {name: build for name, (module, build) in PEERS.items() if _is_installed(module)}
    embedder = load_embedder("packaged", device="cpu")
    embedder.embed_passages(["warm"])
    report: dict[str, Any] = {"machine": machine()}
    report["left_out"] = {name: f"not installed; {INSTALL}" for name in PEERS if name not in found}
    with TemporaryDirectory(prefix="kefu-bench-") as folder:
        ours_s, search = kefu_ingestion(embedder, Path(folder), n_files)
        real, _ = real_passages(Path(folder) / "kefu.db")
        passages, sentences = _texts(real)
        searches = {"kefu": search}
        taken: dict[str, list[float]] = {"kefu": ours_s[:1], "kefu_sentences": ours_s[1:]}
        for name, build in found.items():
            taken[f"{name}_same_texts"] = [build(embedder, Given([*passages, *sentences]))[0]]
        for number in range(n_rounds):
            if number:
                taken["kefu"].append(_again(embedder, n_files))
            for name, build in found.items():
                alone_s, searches[name] = build(embedder, Given(passages))
                taken.setdefault(name, []).append(alone_s)
            _tell({"seconds": taken})
        report["ingestion"] = {
            "passages": len(passages),
            "sentences": len(sentences),
            "seconds": taken,
            "ratios": {name: _taking_in(taken, name) for name in found},
        }
        times = _search_times(searches, questions())
        report["search"] = {**times, "ratios": _ratios(times)}
    if n_passages:
        report[f"search_over_{n_passages}"] = _over_many(embedder, real, n_passages, found)
    return report


def _again(embedder: Embedder, n_files: int) -> float:
    """Returns how long it takes once more until all files can be searched."""
    with TemporaryDirectory(prefix="kefu-bench-") as folder:
        return kefu_ingestion(embedder, Path(folder), n_files, sentences=False)[0][0]


def _taking_in(taken: dict[str, list[float]], peer: str) -> dict[str, float]:
    searchable = statistics.median(taken[peer]) / statistics.median(taken["kefu"])
    same_texts = taken[f"{peer}_same_texts"][0] / taken["kefu_sentences"][0]
    return {"searchable": round(searchable, 2), "same_texts": round(same_texts, 2)}


def _texts(real: Sequence[RealPassage]) -> tuple[list[str], list[str]]:
    """Returns what is embedded of them: the passages, and their sentences in place."""
    passages = [passage_text(one.title, one.headings, "\n".join(one.sentences)) for one in real]
    parted = [one for one in real if len(one.vectors) > 1]
    return passages, [
        in_place(one.title, one.headings, part) for one in parted for part in one.sentences
    ]


def _over_many(
    embedder: Embedder,
    real: Sequence[RealPassage],
    n_passages: int,
    found: dict[str, Callable[[Embedder, Given], tuple[float, Search]]],
) -> dict[str, object]:
    """Searches a synthetic base; the peers hold one vector a passage, Kefu its sentences too."""
    with TemporaryDirectory(prefix="kefu-bench-") as folder:
        searches = {"kefu": kefu_synthetic(embedder, Path(folder), real, n_passages)}
        many, _ = real_passages(Path(folder) / "kefu.db")
        given = Given(_texts(many)[0], np.vstack([m.vectors[0] for m in many]))
        for name, build in found.items():
            _, searches[name] = build(embedder, given)
        gc.collect()
        times = _search_times(searches, questions()[:60])
    return {**times, "ratios": _ratios(times)}


def _tell(report: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="of the demo company; all")
    parser.add_argument("--rounds", type=int, default=3, help="of taking files and passages in")
    parser.add_argument("--passages", type=int, default=0, help="also search so many passages")
    wanted = parser.parse_args()
    _tell(compare(wanted.files, wanted.passages, wanted.rounds))


if __name__ == "__main__":
    main()
