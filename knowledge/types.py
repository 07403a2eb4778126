"""Values of the knowledge base; a leaf that imports no sibling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

DocumentId = NewType("DocumentId", str)
ChunkId = NewType("ChunkId", int)
JobId = NewType("JobId", str)
SourceId = NewType("SourceId", str)


class BlockKind(StrEnum):
    """What a run of parsed text is, as far as splitting cares."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A structural run `[start, end)` of a parsed document's text, in code points."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0  # heading level 1-6, else 0
    page: int | None = None  # 1-based, only for paged formats


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A file's text as stored, with its structure; blocks are ordered and do not overlap."""

    text: str
    title: str
    blocks: tuple[Block, ...]
    n_pages: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkSpan:
    """A passage before it has an id: `text == document.text[start:end]`."""

    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()


class SplitKind(StrEnum):
    """What starts a passage."""

    STRUCTURE = "structure"  # headings and questions; small neighbours go together
    PARAGRAPHS = "paragraphs"  # every paragraph, list item and table row
    ROWS = "rows"  # every table row and question, such as in an FAQ


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a document is split; without `max_tokens` the setting in force decides."""

    kind: SplitKind = SplitKind.STRUCTURE
    max_tokens: int | None = None


class OnDuplicate(StrEnum):
    """What becomes of a new file whose text another document has already, or nearly so."""

    KEEP = "keep"  # both stay, and the new one is marked
    REPLACE = "replace"  # it becomes a new version of the other one
    SKIP = "skip"  # it is not taken in


class DocumentStatus(StrEnum):
    """Where a document stands between upload and search."""

    QUEUED = "queued"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"
    SKIPPED = "skipped"  # never taken in, as its upload asked for: another one says the same


class Visibility(StrEnum):
    """Who may be answered from a document."""

    PUBLIC = "public"
    STAFF = "staff"


class Audience(StrEnum):
    """For whom a search is made; customers find only what is public and in force."""

    CUSTOMER = "customer"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Document:
    """An uploaded file; `name` is the file's name and is unique among live documents."""

    id: DocumentId
    name: str
    title: str
    status: DocumentStatus
    version: int
    n_chunks: int
    size_bytes: int
    sha256: str
    created_at: datetime
    updated_at: datetime
    language: str | None = None
    error: str | None = None
    job_id: JobId | None = None  # the newest job that works or worked on it
    visibility: Visibility = Visibility.PUBLIC
    tags: tuple[str, ...] = ()
    language_is_set: bool = False  # by a person; else it was guessed
    effective_from: datetime | None = None  # customers find it from this moment on
    expires_at: datetime | None = None  # and until just before this one
    archived_at: datetime | None = None
    n_words: int | None = None


@dataclass(frozen=True, slots=True)
class Likeness:
    """The other document that a text is like; `share` of their shingles is in both, 1.0 all."""

    document_id: DocumentId
    name: str
    version: int
    share: float

    @property
    def percent(self) -> int:
        """The share in whole percent; 100 only where the texts are the same."""
        return int(self.share * 100)


class ChunkOrigin(StrEnum):
    """Where the words of a passage come from."""

    PARSED = "parsed"
    EDITED = "edited"
    ADDED = "added"
    ORPHANED = "orphaned"  # an edit whose original a newer file no longer has


class QuestionState(StrEnum):
    """Only approved questions are searched."""

    PROPOSED = "proposed"
    APPROVED = "approved"


@dataclass(frozen=True, slots=True)
class ChunkQuestion:
    """A question that leads to a passage."""

    id: int
    chunk_id: ChunkId
    text: str
    state: QuestionState
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Chunk:
    """A searchable passage of one version of a document."""

    id: ChunkId
    document_id: DocumentId
    version: int
    text: str
    start: int
    end: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    enabled: bool = True
    origin: ChunkOrigin = ChunkOrigin.PARSED
    pinned: bool = False
    original: str | None = None  # of an edited passage: what parsing had found
    edited_by: str | None = None
    edited_at: datetime | None = None

    @property
    def edited(self) -> bool:
        """True where a person worded the passage."""
        return self.origin is not ChunkOrigin.PARSED


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """The stored text of one version; citations point into it by offset."""

    document_id: DocumentId
    version: int
    name: str
    title: str
    text: str
    sha256: str = ""
    author: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A retrieved passage; ranks are 1-based, None where that index did not return it."""

    chunk: Chunk
    document: str  # file name
    title: str
    score: float  # fused reciprocal-rank score
    rank: int
    dense_score: float | None = None  # cosine
    lexical_score: float | None = None  # BM25
    dense_rank: int | None = None
    lexical_rank: int | None = None
    rerank_score: float | None = None  # in [0, 1], of a reranker that read it
    rerank_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that an index proposed, with its place in each ranking; None: not proposed."""

    chunk_id: ChunkId
    document: str  # file name
    rank: int  # in the end
    score: float  # of the fusion
    dense_rank: int | None = None
    dense_score: float | None = None  # cosine
    lexical_rank: int | None = None
    lexical_score: float | None = None  # BM25
    rerank_rank: int | None = None
    rerank_score: float | None = None  # in [0, 1]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What one search found, best first, and how sure we are that it is relevant at all."""

    query: str
    hits: tuple[ScoredChunk, ...]
    relevance: float  # calibrated probability in [0, 1] that the top hits answer the query
    timings_ms: Mapping[str, float] = field(default_factory=dict)  # embed, dense, lexical, fuse
    settings: Mapping[str, object] = field(default_factory=dict)  # that it was made with
    candidates: tuple[Candidate, ...] = ()  # best first; the hits are the first of them
    threshold: float = 0.5  # of relevance, below which nothing relevant was found

    @property
    def is_relevant(self) -> bool:
        """Whether what was found is good enough to answer from."""
        return self.relevance >= self.threshold


class JobState(StrEnum):
    """Life of a background job; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of background work; `progress` is in [0, 1]."""

    id: JobId
    kind: str
    state: JobState
    progress: float
    stage: str
    created_at: datetime
    updated_at: datetime
    document_id: DocumentId | None = None
    error: str | None = None
    attempts: int = 0


class SourceKind(StrEnum):
    """What stands at a web source's address."""

    PAGE = "page"
    SITEMAP = "sitemap"


class Schedule(StrEnum):
    """How often a web source is fetched again by itself."""

    OFF = "off"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True)
class Source:
    """An address whose page, or the pages of whose sitemap, are kept as documents."""

    id: SourceId
    url: str
    kind: SourceKind
    schedule: Schedule
    author: str
    created_at: datetime
    last_fetched_at: datetime | None = None
    next_fetch_at: datetime | None = None  # None: only when someone asks
    error: str | None = None  # why the last sync gave nothing
    n_pages: int = 0
    n_changed: int = 0  # new or different at the last sync
    n_failed: int = 0  # pages that could not be fetched or used
    n_missing: int = 0  # pages that have vanished; their documents stay
    job_id: JobId | None = None  # the newest sync


@dataclass(frozen=True, slots=True)
class SourcePage:
    """One page of a web source with the document that it became."""

    url: str
    document_id: DocumentId | None
    last_fetched_at: datetime | None
    error: str | None
    is_missing: bool
