"""Values of the knowledge base; a leaf that imports no sibling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

DocumentId = NewType("DocumentId", str)
ChunkId = NewType("ChunkId", int)
JobId = NewType("JobId", str)


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


class DocumentStatus(StrEnum):
    """Where a document stands between upload and search."""

    QUEUED = "queued"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


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


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What one search found, best first, and how sure we are that it is relevant at all."""

    query: str
    hits: tuple[ScoredChunk, ...]
    relevance: float  # calibrated probability in [0, 1] that the top hits answer the query
    timings_ms: Mapping[str, float] = field(default_factory=dict)  # embed, dense, lexical, fuse


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
