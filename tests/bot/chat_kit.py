"""What the tests of the reply flow share: a small shop, its retriever, a ready ChatService."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from bot.catalogue import load_catalogue
from bot.chat import ChatParts, ChatService
from bot.company import CompanyTexts
from bot.conversations import ConversationStore
from bot.events import Event, Final
from bot.grounding import Grounder
from bot.llm.base import ChatMessage, GenerationParams
from bot.prompting import PromptBuilder
from bot.quotation import Quoter
from bot.settings import ChatSettings
from bot.suggestions import Suggester
from bot.turns import TurnStore
from bot.types import ConversationId, Reply
from bot.understanding import Analyzer, RuleAnalyzer
from knowledge.claims import words
from knowledge.errors import DocumentNotFound
from knowledge.neighbors import NeighborFinder
from knowledge.types import (
    Chunk,
    ChunkId,
    DocumentId,
    DocumentVersion,
    Retrieval,
    ScoredChunk,
)
from tests.fakes import FakeChatModel

RETURNS_EN = (
    "# Returns\n\nYou have 30 days from delivery to send a product back. "
    "The return label costs €6.90 in the EU.\n\n"
    "We refund within 5 working days of the parcel reaching the warehouse."
)
RETURNS_ZH = (
    "退货说明\n签收后 7 天内可以无理由退货。退货运费由顾客承担，每单 10 元。\n"
    "质量问题退货，运费由我们承担。"
)
SHIPPING_ZH = "配送说明\n普通地区订单满 99 元包邮，不满 99 元收取 8 元运费。新疆需要 4–7 天送达。"
SHOP = {"returns.md": RETURNS_EN, "退货说明.txt": RETURNS_ZH, "配送说明.txt": SHIPPING_ZH}


def hits_of(texts: dict[str, str]) -> list[ScoredChunk]:
    """One passage a text, all of it but its first line, in order."""
    hits = []
    for rank, (name, text) in enumerate(texts.items(), start=1):
        start = text.index("\n") + 1
        title = text[: start - 1].strip("# ")
        chunk = Chunk(
            ChunkId(rank),
            DocumentId(f"doc{rank}"),
            1,
            text[start:],
            start,
            len(text),
            None,
            (title,),
        )
        hits.append(ScoredChunk(chunk, name, title, 1 / rank, rank))
    return hits


@dataclass
class WordRetriever:
    """Ranks the passages by the words they share with the query."""

    texts: dict[str, str]
    queries: list[str] = field(default_factory=list)

    def search(self, query: str, *, top_k: int | None = None) -> Retrieval:
        self.queries.append(query)
        asked = words(query)
        scored = [(len(asked & words(hit.chunk.text)), hit) for hit in hits_of(self.texts)]
        scored.sort(key=lambda pair: -pair[0])
        hits = tuple(
            ScoredChunk(hit.chunk, hit.document, hit.title, float(score), rank)
            for rank, (score, hit) in enumerate(scored[: top_k or 5], start=1)
        )
        best = scored[0][0] / max(1, len(asked))
        return Retrieval(query, hits, min(1.0, 0.9 * (best > 0) + 0.1 * best), {"embed": 1.0})


@dataclass
class TextVersions:
    """Stored texts by document id."""

    texts: dict[str, str]

    def is_public(self, document_id: DocumentId) -> bool:
        return True

    def version(self, document_id: DocumentId, version: int | None = None) -> DocumentVersion:
        number = int(document_id.removeprefix("doc")) - 1
        if number >= len(self.texts):
            raise DocumentNotFound(document_id)
        name, text = list(self.texts.items())[number]
        return DocumentVersion(document_id, version or 1, name, name, text)


@dataclass
class Shop:
    """A ChatService over a small shop, with the parts a test looks into."""

    engine: Engine
    model: FakeChatModel
    texts: dict[str, str] = field(default_factory=lambda: dict(SHOP))
    settings: ChatSettings = field(default_factory=lambda: ChatSettings(checkpoint_s=0.01))

    max_new_tokens: int = 20_000
    neighbors: NeighborFinder | None = None
    analyzer: Analyzer = field(default_factory=RuleAnalyzer)

    def __post_init__(self) -> None:
        catalogue = load_catalogue()
        self.retriever = WordRetriever(self.texts)
        self.conversations = ConversationStore(self.engine)
        self.turns = TurnStore(
            self.engine,
            history_turns=self.settings.history_turns,
            sla_minutes=self.settings.sla_by_severity,
        )
        self.company = CompanyTexts(self.engine, catalogue)
        parts = ChatParts(
            model=self.model,
            retriever=self.retriever,
            documents=TextVersions(self.texts),
            conversations=self.conversations,
            turns=self.turns,
            company=self.company,
            catalogue=catalogue,
            prompts=PromptBuilder(
                count_tokens=self.model.count_tokens,
                budget_tokens=1200,
                neighbor_tokens=self.settings.neighbor_tokens,
            ),
            grounder=Grounder(embed=None),
            quoter=Quoter(meaning=None),
            suggester=Suggester(self.retriever, remember_s=60.0, limit=3),
            analyzer=self.analyzer,
            neighbors=self.neighbors,
        )
        self.chat = ChatService(
            parts, settings=self.settings, generation=GenerationParams(self.max_new_tokens)
        )

    def start(self, language: str = "zh") -> ConversationId:
        return self.conversations.create(language=language)[0].id

    def events(self, conversation_id: ConversationId, text: str) -> list[Event]:
        return list(self.chat.stream(self.chat.begin(conversation_id, text)))

    def ask(self, conversation_id: ConversationId, text: str) -> Reply:
        event = self.events(conversation_id, text)[-1]
        assert isinstance(event, Final), event
        return event.reply


def first_sentence(messages: Sequence[ChatMessage]) -> str:
    """Copies the first sentence of the first passage."""
    lines = messages[-1].content.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("[1]"))
    return next(line for line in lines[start + 1 :] if line.strip())
