"""The composition root: the only place that names the concrete classes of knowledge and bot.

`assemble` builds everything a server needs; the smaller openers serve commands that need only a
part. The caller has brought the database up to date. Models may be given, as tests do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from bot.accounts import AccountStore
from bot.adapter_pointer import AS_SET
from bot.adapter_registry import AdapterRegistry, BaseModel
from bot.catalogue import Catalogue, load_catalogue
from bot.chat import ChatParts, ChatService
from bot.classifiers.care import IntentCare
from bot.classifiers.renewal import IntentLearning
from bot.classifiers.served_heads import ServedHeads
from bot.company import CompanyTexts
from bot.conversations import ConversationStore
from bot.curated import CuratedStore
from bot.curated_matching import CuratedMatcher
from bot.curated_reply import CuratedReplies
from bot.database import open_database
from bot.document_uses import DocumentUses
from bot.grounding import Grounder
from bot.intake_limits import fetch_options, parse_limits
from bot.label_store import LabelStore
from bot.llm.base import ChatModel, GenerationParams
from bot.nlu_assembly import follow_heads, open_analyzer, open_intents, open_labels
from bot.prompting import PromptBuilder
from bot.question_writing import ModelQuestionWriter
from bot.quotation import Meaning, Quoter
from bot.served_adapters import OpenedModel, ServedAdapters, open_with_adapter
from bot.settings import Settings
from bot.suggestions import Suggester
from bot.turns import TurnStore
from bot.understanding import Analyzer
from knowledge.archive import KnowledgeArchive
from knowledge.archive_format import ArchiveManifest
from knowledge.chunk_edits import ChunkEditor
from knowledge.chunk_questions import QuestionStore
from knowledge.document_edits import DocumentChange, DocumentEditor
from knowledge.duplicate_marks import DuplicateMarks
from knowledge.embedding import Embedder, load_by_id, load_embedder
from knowledge.evaluate_job import EvaluationStep
from knowledge.fusion import LearnedFusion
from knowledge.ingestion import Ingestor
from knowledge.job_run import IngestionOptions
from knowledge.jobs import EVALUATE, JobStore
from knowledge.neighbors import NeighborFinder
from knowledge.next_embedder import serving_embedder
from knowledge.parsing.running import ChildParsing
from knowledge.part_vectors import PartVectors, load_part_vectors
from knowledge.preview import Previewer
from knowledge.relevance_file import NAME as RELEVANCE_FILE
from knowledge.relevance_file import RelevanceFile
from knowledge.reranking import Reranker, load_reranker
from knowledge.retrieval import HybridRetriever, RetrievalOptions
from knowledge.search_indexes import SearchIndexes
from knowledge.sources import SourceStore
from knowledge.store import DocumentStore
from knowledge.types import ChunkId, ChunkQuestion, Document, DocumentId, QuestionState
from knowledge.vector_segments import IndexSizes
from knowledge.versions import VersionHistory
from knowledge.words import WordSplitter
from knowledge.worker import IngestionWorker

_WORKER_STOP_S = 5.0
_SUGGESTIONS_KEPT_S = 30.0
_N_SUGGESTIONS = 3
_N_PROPOSALS = 3
_PREVIEW_LIMIT_S = 60.0  # somebody is waiting for it
_NEIGHBOR_REACH = 2


class ServedModel(ChatModel, Protocol):
    """A language model that holds threads or connections."""

    def close(self) -> None:
        """Ends them."""
        ...


@dataclass(frozen=True, slots=True)
class KnowledgeStores:
    """What needs no model: documents, jobs and taking files in."""

    documents: DocumentStore
    jobs: JobStore
    ingestor: Ingestor
    sources: SourceStore
    archive: KnowledgeArchive
    document_editor: DocumentEditor
    versions: VersionHistory
    duplicates: DuplicateMarks


@dataclass(frozen=True, slots=True)
class Search:
    """What needs the embedder: open indexes, searching them, and working jobs off."""

    embedder: Embedder
    indexes: SearchIndexes
    retriever: HybridRetriever
    worker: IngestionWorker
    editor: ChunkEditor
    questions: QuestionStore


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that routes, pages and commands call."""

    settings: Settings
    engine: Engine
    catalogue: Catalogue
    embedder: Embedder
    model: ServedModel
    documents: DocumentStore
    jobs: JobStore
    ingestor: Ingestor
    sources: SourceStore
    archive: KnowledgeArchive
    document_editor: DocumentEditor
    versions: VersionHistory
    duplicates: DuplicateMarks
    document_uses: DocumentUses
    worker: IngestionWorker
    indexes: SearchIndexes
    retriever: HybridRetriever
    conversations: ConversationStore
    company: CompanyTexts
    chat: ChatService
    accounts: AccountStore
    editor: ChunkEditor
    questions: QuestionStore
    curated: CuratedStore
    previewer: Previewer
    adapters: ServedAdapters
    analyzer: Analyzer
    labels: LabelStore
    intents: IntentCare
    heads: ServedHeads

    def propose_questions(self, chunk_id: ChunkId) -> Sequence[ChunkQuestion]:
        """Has the language model propose questions in both languages; returns all there are."""
        writer = ModelQuestionWriter(self.model, self.catalogue)
        chunk, had = self.editor.get(chunk_id), self.questions.of_chunk(chunk_id)
        known = [question.text for question in had]
        wanted = writer.write(chunk, limit=_N_PROPOSALS, known=known)
        return self.questions.add(
            chunk_id, wanted, author=self.model.name[:64], state=QuestionState.PROPOSED
        )

    def restore_knowledge(self, source: Path, *, replace: bool) -> ArchiveManifest:
        """Restores an exported base; when this returns, searches find what it brought."""
        manifest = self.archive.restore(source, replace=replace)
        self.indexes.refresh()
        return manifest

    def change_document(self, document_id: DocumentId, change: DocumentChange) -> Document:
        """Changes a document; when this returns, searches know of it."""
        changed = self.document_editor.change(document_id, change)
        self.indexes.refresh()
        return changed

    def start(self) -> None:
        """Marks what a crash cut off, then follows index changes and works jobs off.

        For the one server of a data folder; commands beside it do not call this.
        """
        self.conversations.mark_interrupted()
        self.indexes.start()
        self.worker.start()
        self.adapters.start()
        self.heads.start()

    def close(self) -> None:
        """Ends background work, saves the indexes and lets go of everything."""
        self.heads.stop()
        self.adapters.stop()
        self.worker.stop(_WORKER_STOP_S)
        self.previewer.parsing.close()
        self.indexes.close()
        self.model.close()
        self.engine.dispose()


def assemble(
    settings: Settings,
    *,
    embedder: Embedder | None = None,
    model: ServedModel | None = None,
    words: WordSplitter | None = None,
    analyzer: Analyzer | None = None,
    learning: IntentLearning | None = None,
) -> Services:
    """Builds all services over a migrated database; loads the models, which takes seconds.

    Raises:
        ModelUnavailable: the language model cannot be loaded.
        AdapterRejected: the adapter that the settings name does not fit.
        EmbedderUnavailable: the embedding model cannot be loaded.
        RerankerUnavailable: the settings name a reranker that cannot be loaded.
    """
    engine = open_database(settings.database_url)
    catalogue = load_catalogue()
    stores = open_stores(settings, engine)
    registry = open_adapters(settings)
    opened = OpenedModel(model, AS_SET) if model else _open_model(settings, registry)
    model = opened.model
    conversations = ConversationStore(engine)
    company = CompanyTexts(engine, catalogue)
    chats: list[ChatService] = []  # the worker yields to chat, and chat needs the search
    search = open_search(
        settings,
        engine,
        embedder=embedder,
        words=words,
        is_busy=lambda: any(chat.is_busy for chat in chats),
    )
    curated = CuratedStore(engine, embedder=search.embedder)
    analyzer = analyzer or open_analyzer(settings, engine, search.embedder)
    intents = open_intents(settings, engine, search.embedder, learning=learning)
    search.worker.add_steps(intents.steps())
    talk = _Talk(engine, catalogue, model, conversations, company, curated, analyzer)
    chats.append(_open_chat(settings, stores, search, talk))
    return Services(
        settings=settings,
        engine=engine,
        catalogue=catalogue,
        embedder=search.embedder,
        model=model,
        documents=stores.documents,
        jobs=stores.jobs,
        ingestor=stores.ingestor,
        sources=stores.sources,
        archive=stores.archive,
        document_editor=stores.document_editor,
        versions=stores.versions,
        duplicates=stores.duplicates,
        document_uses=DocumentUses(engine),
        worker=search.worker,
        indexes=search.indexes,
        retriever=search.retriever,
        conversations=conversations,
        company=company,
        chat=chats[0],
        accounts=open_accounts(settings, engine),
        editor=search.editor,
        questions=search.questions,
        curated=curated,
        previewer=_open_previewer(settings, search.embedder),
        adapters=ServedAdapters(registry, opened, default=_default_adapter(settings)),
        analyzer=analyzer,
        labels=open_labels(settings, engine, intents=intents.labels),
        intents=intents,
        heads=follow_heads(intents, analyzer),
    )


def _open_previewer(settings: Settings, embedder: Embedder) -> Previewer:
    return Previewer(
        limits=parse_limits(settings),
        chunk_tokens=settings.knowledge.chunk_tokens,
        count_tokens=embedder.count_tokens,
        parsing=ChildParsing(limit_s=_PREVIEW_LIMIT_S, scan_limit_s=_PREVIEW_LIMIT_S),
    )


@dataclass(frozen=True, slots=True)
class _Talk:
    """What conversations need beside documents and search."""

    engine: Engine
    catalogue: Catalogue
    model: ServedModel
    conversations: ConversationStore
    company: CompanyTexts
    curated: CuratedStore
    analyzer: Analyzer


def _open_chat(
    settings: Settings, stores: KnowledgeStores, search: Search, talk: _Talk
) -> ChatService:
    """Puts the reply flow together."""
    matcher = CuratedMatcher(
        talk.engine, embedder=search.embedder, threshold=settings.chat.curated_threshold
    )
    parts = ChatParts(
        model=talk.model,
        retriever=search.retriever,
        documents=stores.documents,
        conversations=talk.conversations,
        turns=_turns(settings, talk.engine),
        analyzer=talk.analyzer,
        company=talk.company,
        catalogue=talk.catalogue,
        prompts=PromptBuilder(
            count_tokens=talk.model.count_tokens,
            budget_tokens=settings.llm.prompt_budget_tokens,
            neighbor_tokens=settings.chat.neighbor_tokens,
        ),
        grounder=Grounder(embed=search.embedder.embed_passages),
        quoter=Quoter(meaning=_meaning(talk.engine, search.embedder)),
        suggester=Suggester(
            search.retriever,
            remember_s=_SUGGESTIONS_KEPT_S,
            limit=_N_SUGGESTIONS,
        ),
        curated=CuratedReplies(matcher, talk.curated, catalogue=talk.catalogue),
        neighbors=_neighbors(settings, talk.engine),
    )
    generation = GenerationParams(settings.llm.max_new_tokens, settings.llm.temperature)
    return ChatService(parts, settings=settings.chat, generation=generation)


def _turns(settings: Settings, engine: Engine) -> TurnStore:
    chat = settings.chat
    return TurnStore(engine, history_turns=chat.history_turns, sla_minutes=chat.sla_by_severity)


def _neighbors(settings: Settings, engine: Engine) -> NeighborFinder | None:
    return NeighborFinder(engine, reach=_NEIGHBOR_REACH) if settings.chat.neighbor_tokens else None


def _meaning(engine: Engine, embedder: Embedder) -> Meaning:
    def load_parts(chunk_ids: Sequence[int]) -> Mapping[int, PartVectors]:
        return load_part_vectors(engine, chunk_ids, embedder=embedder.id)

    return Meaning(embedder.embed_queries, embedder.embed_passages, load_parts)


def open_stores(settings: Settings, engine: Engine) -> KnowledgeStores:
    """Opens documents, jobs and intake, without loading a model."""
    uploads = _uploads(settings)
    documents = DocumentStore(engine, uploads_dir=uploads)
    ingestor = Ingestor(engine, uploads_dir=uploads, limits=parse_limits(settings))
    return KnowledgeStores(
        documents=documents,
        jobs=JobStore(engine),
        ingestor=ingestor,
        sources=SourceStore(engine),
        archive=KnowledgeArchive(engine, uploads_dir=uploads),
        document_editor=DocumentEditor(engine),
        versions=VersionHistory(engine, documents, ingestor, uploads_dir=uploads),
        duplicates=DuplicateMarks(engine, uploads_dir=uploads),
    )


def open_search(
    settings: Settings,
    engine: Engine,
    *,
    embedder: Embedder | None = None,
    words: WordSplitter | None = None,
    is_busy: Callable[[], bool] | None = None,
    load_old: Callable[[str], Embedder] | None = None,
) -> Search:
    """Loads the embedder and opens the indexes; the caller closes them.

    Documents that another model embedded are searched with that one, loaded by `load_old`, until
    they are rebuilt; without it, by their words only.

    Raises:
        EmbedderUnavailable: the embedding model cannot be loaded.
        RerankerUnavailable: the settings name a reranker that cannot be loaded.
    """
    knowledge = settings.knowledge
    embedder = embedder or load_embedder(knowledge.embedder, device=settings.llm.device)
    reranker = _load_reranker(settings)
    words = words or WordSplitter(settings.data_dir / "cache")
    device = settings.llm.device
    load = load_old or (lambda id: load_by_id(id, device=device))
    serving = serving_embedder(engine, embedder, load=load)
    sizes = IndexSizes(
        exact=knowledge.exact_vectors, hnsw=max(knowledge.exact_vectors, knowledge.hnsw_vectors)
    )
    indexes = SearchIndexes(
        engine, serving, directory=settings.data_dir / "index", words=words, sizes=sizes
    )
    indexes.open(rebuilding=True)
    options = IngestionOptions(
        uploads_dir=_uploads(settings),
        parsing=ChildParsing(),
        limits=parse_limits(settings),
        chunk_tokens=knowledge.chunk_tokens,
        pause=is_busy or (lambda: False),
        fetch=fetch_options(settings),
        duplicate_threshold=knowledge.duplicate_threshold,
    )
    retriever = HybridRetriever(
        engine,
        indexes,
        embedder=serving,
        options=retrieval_options(settings),
        relevance=RelevanceFile(settings.data_dir / RELEVANCE_FILE, embedder=embedder.id),
        fusion=LearnedFusion.load(),
        reranker=reranker,
    )
    documents = DocumentStore(engine, uploads_dir=_uploads(settings))
    step = EvaluationStep(retriever, documents, settings.chat.passages)
    worker = IngestionWorker(
        engine, indexes, embedder=serving, options=options, steps={EVALUATE: step}
    )
    editor = ChunkEditor(engine, indexes, embedder=serving)
    questions = QuestionStore(engine, indexes, embedder=serving)
    return Search(embedder, indexes, retriever, worker, editor, questions)


def _load_reranker(settings: Settings) -> Reranker | None:
    name = settings.knowledge.reranker.strip()
    return load_reranker(name, device=settings.llm.device) if name else None


def retrieval_options(settings: Settings) -> RetrievalOptions:
    """Returns the search settings of the environment, in force until others are applied."""
    return RetrievalOptions(
        top_k=settings.knowledge.top_k,
        candidates=settings.knowledge.candidates,
        rerank_candidates=settings.knowledge.rerank_candidates,
        handoffs_per_wrong_answer=settings.chat.handoffs_per_wrong_answer,
        relevance_threshold=settings.chat.relevance_threshold,
    )


def open_company(engine: Engine) -> CompanyTexts:
    """Opens the texts that the admin words."""
    return CompanyTexts(engine, load_catalogue())


def open_adapters(settings: Settings) -> AdapterRegistry:
    """Opens the adapters of the data folder, without loading a model."""
    base = None
    if settings.llm.backend == "local":
        from bot.llm.weights import locate

        base = BaseModel(*locate(settings.llm.weights, settings.data_dir))
    return AdapterRegistry(settings.data_dir / "adapters", base=base)


def open_accounts(settings: Settings, engine: Engine) -> AccountStore:
    """Opens the staff accounts."""
    return AccountStore(engine, login_hours=settings.web.login_hours)


def _open_model(settings: Settings, registry: AdapterRegistry) -> OpenedModel[ServedModel]:
    """Loads the language model that the settings name; imports only the backend in use."""
    llm = settings.llm
    if llm.backend == "remote":
        from bot.llm.remote import RemoteChatModel, RemoteModelOptions

        options = RemoteModelOptions(
            url=llm.remote_url,
            model=llm.remote_model,
            key=llm.remote_key.get_secret_value(),
            timeout_s=llm.remote_timeout_s,
            max_active=llm.remote_active,
            max_waiting=llm.max_waiting,
        )
        return OpenedModel(RemoteChatModel(options), AS_SET)
    from bot.llm.local import LocalChatModel, LocalModelOptions
    from bot.llm.weights import resolve

    weights = resolve(llm.weights, settings.data_dir)
    local = LocalModelOptions(
        device=llm.device,
        threads=llm.threads,
        max_active=llm.max_active,
        max_waiting=llm.max_waiting,
        prompt_lookup_tokens=llm.prompt_lookup_tokens,
        int8_decoding=llm.int8_decoding,
    )

    def build(adapter: Path | None) -> ServedModel:
        return LocalChatModel(weights, adapter=adapter, options=local)

    return open_with_adapter(registry, build, default=_default_adapter(settings))


def _default_adapter(settings: Settings) -> Path | None:
    """The settings' adapter, which serves where none is promoted."""
    return Path(settings.llm.adapter) if settings.llm.adapter else None


def _uploads(settings: Settings) -> Path:
    return settings.data_dir / "uploads"
