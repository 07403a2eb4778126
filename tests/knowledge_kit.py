"""A whole knowledge base for tests: everything real but the embedder."""

from pathlib import Path

from sqlalchemy import Engine

from knowledge.chunk_edits import ChunkEditor
from knowledge.chunk_questions import QuestionStore
from knowledge.embedding import Embedder
from knowledge.fetching import FetchOptions
from knowledge.ingestion import Ingestor
from knowledge.job_run import IngestionOptions
from knowledge.jobs import JobStore
from knowledge.parsing.limits import ParseLimits
from knowledge.relevance import RelevanceModel
from knowledge.retrieval import HybridRetriever, RetrievalOptions
from knowledge.search_indexes import SearchIndexes
from knowledge.sources import SourceStore
from knowledge.store import DocumentStore
from knowledge.types import DocumentId, Job, JobId
from knowledge.words import WordSplitter
from knowledge.worker import IngestionWorker

LIMITS = ParseLimits(
    max_pdf_pages=20, max_text_chars=200_000, max_unpacked_bytes=1 << 24, max_bytes=1 << 20
)


class KnowledgeBase:
    """All parts over one folder and database, as a process assembles them."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        embedder: Embedder,
        words: WordSplitter,
        *,
        chunk_tokens: int = 40,
    ) -> None:
        self.folder = folder
        self.engine = engine
        self.embedder = embedder
        self.paused = False
        self.index_dir = folder / "index"
        self.uploads_dir = folder / "uploads"
        self.jobs = JobStore(engine)
        self.documents = DocumentStore(engine, uploads_dir=self.uploads_dir)
        self.indexes = SearchIndexes(engine, embedder, directory=self.index_dir, words=words)
        self.sources = SourceStore(engine)
        self.ingestor = Ingestor(engine, uploads_dir=self.uploads_dir, limits=LIMITS)
        self.worker = IngestionWorker(
            engine,
            self.indexes,
            embedder=embedder,
            options=IngestionOptions(
                uploads_dir=self.uploads_dir,
                limits=LIMITS,
                chunk_tokens=chunk_tokens,
                pause=lambda: self.paused,
                fetch=FetchOptions(delay_s=0.0, timeout_s=5.0, allow_private=True),
            ),
        )
        self.editor = ChunkEditor(engine, self.indexes, embedder=embedder)
        self.questions = QuestionStore(engine, self.indexes, embedder=embedder)
        self.retriever = HybridRetriever(
            engine,
            self.indexes,
            embedder=embedder,
            options=RetrievalOptions(top_k=5, candidates=10),
            relevance=RelevanceModel.load(),
        )

    def submit(
        self, name: str, text: str, *, replace: DocumentId | None = None
    ) -> tuple[DocumentId, JobId]:
        return self.ingestor.submit(name, text.encode(), author="tests", replace=replace)

    def add(self, name: str, text: str) -> DocumentId:
        """Submits and works until nothing is left to do."""
        document_id, _ = self.submit(name, text)
        self.worker.run_until_idle()
        return document_id

    def job_of(self, document_id: DocumentId) -> Job:
        job_id = self.documents.get(document_id).job_id
        assert job_id is not None
        return self.jobs.get(job_id)

    def found(self, query: str) -> list[str]:
        """The names of the documents that a search returns, best first, each once."""
        hits = self.retriever.search(query).hits
        return list(dict.fromkeys(hit.document for hit in hits))


def long_text(n: int, *, topic: str = "kettle") -> str:
    """A text of `n` paragraphs, each a passage of its own at 40 tokens."""
    return "\n\n".join(
        f"Paragraph {i} of the {topic} guide says that the {topic} part number {i * 7} "
        f"must be cleaned with care every {i + 1} days, then dried, stored and checked "
        f"by a person who knows the {topic} and its parts well enough."
        for i in range(n)
    )
