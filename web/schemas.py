"""Bodies of requests and responses, as DESIGN fixes them; read from the frozen values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bot.labels import LabelCorrection
from bot.types import Conversation, Message, MessageId, MessageStatus, Role
from knowledge.types import Schedule, SourceKind
from web.analysis_schemas import AnalysisFullOut, LabelOut, with_corrections


def _clean(text: str) -> str:
    return text.replace("\x00", "")


ClientId = Annotated[str, Field(min_length=1, max_length=64)]
Comment = Annotated[str, Field(max_length=2000), AfterValidator(_clean)]
FeedbackReason = Literal[
    "wrong", "incomplete", "outdated", "wrong_evidence", "tone", "offensive", "other"
]


class _In(BaseModel):
    model_config = ConfigDict(extra="ignore", str_max_length=900_000)


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class NewConversation(_In):
    """`customer` is a token signed by the host page; anything else is only kept as a claim."""

    language: Annotated[str, Field(max_length=35)] | None = None
    customer: str | dict[str, object] | None = None


class NewMessage(_In):
    """A customer's message; a repeated `client_id` gives the first answer again."""

    text: str
    client_id: ClientId | None = None


class NewSource(_In):
    """The address of a page or a sitemap that is to be kept as documents."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]
    kind: SourceKind = SourceKind.PAGE
    schedule: Schedule = Schedule.OFF


class SourceChange(_In):
    """How often a web source is fetched."""

    schedule: Schedule


class NewRating(_In):
    """How the customer liked the conversation, 5 being best."""

    score: Annotated[int, Field(ge=1, le=5)]
    comment: Comment | None = None


class NewFeedback(_In):
    """A thumb on one answer."""

    value: Literal["up", "down"]
    reason: FeedbackReason | None = None
    comment: Comment | None = None


class ConversationCreated(_Out):
    """The token is shown this once."""

    id: str
    token: str
    greeting: str
    suggestions: list[str]


class ArchiveRestored(_Out):
    """How many documents a restored archive holds."""

    documents: int


class SourceOut(_Out):
    """A web page or sitemap that documents are made from."""

    id: str
    url: str
    kind: str
    schedule: str
    author: str
    created_at: datetime
    last_fetched_at: datetime | None
    next_fetch_at: datetime | None
    error: str | None
    n_pages: int
    n_changed: int
    n_failed: int
    n_missing: int
    job_id: str | None


class SourceList(_Out):
    """All web sources."""

    items: list[SourceOut]
    total: int


class SourcePageOut(_Out):
    """A page of a web source and the document that it became."""

    url: str
    document_id: str | None
    last_fetched_at: datetime | None
    error: str | None
    is_missing: bool


class SourcePageList(_Out):
    """All pages of a web source, those with problems first."""

    items: list[SourcePageOut]
    total: int


class SyncAccepted(_Out):
    """The job that fetches a source."""

    source_id: str
    job_id: str


class CitationOut(_Out):
    """A run of a document that supports the answer."""

    n: int
    document_id: str
    document: str
    title: str
    chunk_id: int
    quote: str
    start: int | None
    end: int | None
    page: int | None
    score: float
    version: int


class PredictionOut(_Out):
    """A label with its confidence and the runners-up."""

    label: str
    confidence: float
    top: list[tuple[str, float]]


class AnalysisOut(_Out):
    """What was understood of the message."""

    language: str
    intent: PredictionOut


class SentenceOut(_Out):
    """How well one sentence is supported."""

    text: str
    score: float
    citation: int | None


class GroundingOut(_Out):
    """How far the documents carry the answer."""

    score: float
    verdict: str
    sentences: list[SentenceOut]


class ReplyOut(_Out):
    """A finished answer."""

    message_id: str
    action: str
    text: str
    citations: list[CitationOut]
    analysis: AnalysisOut
    grounding: GroundingOut
    query: str
    suggestions: list[str]
    adapter: str | None
    model: str
    timings_ms: dict[str, float]
    reason: str | None
    handoff_offered: bool
    status: str


class FeedbackOut(_Out):
    """The customer's vote on an answer."""

    value: str
    reason: str | None
    comment: str | None


class MessageOut(_Out):
    """One message; `reply` is the bot's; superseded ones and all from `evidence` on are for staff.

    `analysis` is a customer message's, with the `labels` in force that people put in its place.
    """

    id: str
    role: Role
    text: str
    created_at: datetime
    status: MessageStatus
    author: str | None = None
    superseded: bool = False
    reply: ReplyOut | None = None
    feedback: FeedbackOut | None = None
    evidence: dict[str, object] | None = None
    prompt: str | None = None
    prompt_sha256: str | None = None
    analysis: AnalysisFullOut | None = None
    labels: list[LabelOut] = []


class ConversationOut(_Out):
    """A conversation with its messages."""

    id: str
    state: str
    language: str
    created_at: datetime
    updated_at: datetime
    rating: int | None
    handoff_at: datetime | None
    customer: dict[str, object] | None = None
    priority: int | None = None
    due_at: datetime | None = None
    messages: list[MessageOut]


class PassageOut(_Out):
    """A cited passage with its surroundings, from the version that was cited."""

    document: str
    title: str
    page: int | None
    before: str
    quote: str
    after: str
    start: int | None
    end: int | None
    version: int


class UploadAccepted(_Out):
    """The job tells when the document can be found."""

    document_id: str
    job_id: str


class UploadedFile(_Out):
    """One file of a ZIP: what it became, or why it was refused."""

    name: str
    document_id: str | None
    job_id: str | None
    error: str | None


class BundleAccepted(UploadAccepted):
    """A ZIP of several files; the ids above are those of the first that was taken."""

    documents: list[UploadedFile]


class DocumentOut(_Out):
    """An uploaded file."""

    id: str
    name: str
    title: str
    status: str
    version: int
    n_chunks: int
    size_bytes: int
    language: str | None
    error: str | None
    job_id: str | None
    created_at: datetime
    updated_at: datetime


class ChunkOut(_Out):
    """A searchable passage."""

    id: int
    text: str
    start: int
    end: int
    page: int | None
    enabled: bool
    headings: list[str]
    pinned: bool
    edited: bool
    origin: str


class ChunkList(_Out):
    """The passages of a document's current version."""

    items: list[ChunkOut]
    total: int


class JobOut(_Out):
    """Background work; `progress` is in [0, 1]."""

    id: str
    state: str
    progress: float
    stage: str
    document_id: str | None
    error: str | None
    attempts: int
    created_at: datetime
    updated_at: datetime


class HitOut(_Out):
    """A retrieved passage; a score is null where that index did not return it."""

    chunk_id: int
    document_id: str
    document: str
    title: str
    text: str
    score: float
    dense_score: float | None
    lexical_score: float | None
    rerank_score: float | None
    rank: int
    page: int | None
    start: int
    end: int


class SearchOut(_Out):
    """What the live retrieval finds; `relevance` decides whether the bot would answer."""

    hits: list[HitOut]
    relevance: float
    timings_ms: dict[str, float]


def message_out(
    message: Message, *, for_staff: bool, corrections: Sequence[LabelCorrection] = ()
) -> MessageOut:
    """Returns a message as the API shows it to a customer or to staff."""
    feedback = message.feedback and dict(
        zip(("value", "reason", "comment"), message.feedback, strict=True)
    )
    return MessageOut(
        id=message.id,
        role=message.role,
        text=message.text,
        created_at=message.created_at,
        status=message.status,
        author=message.author,
        superseded=message.is_superseded,
        reply=message.reply and ReplyOut.model_validate(message.reply),
        feedback=FeedbackOut.model_validate(feedback) if feedback else None,
        evidence=dict(message.evidence) if for_staff and message.evidence else None,
        prompt=message.prompt if for_staff else None,
        prompt_sha256=message.prompt_sha256 if for_staff else None,
        analysis=with_corrections(message.analysis, corrections) if for_staff else None,
        labels=[LabelOut.model_validate(made) for made in corrections] if for_staff else [],
    )


def conversation_out(
    conversation: Conversation,
    messages: list[Message],
    *,
    for_staff: bool,
    corrections: Mapping[MessageId, Sequence[LabelCorrection]] | None = None,
) -> ConversationOut:
    """Returns a conversation as the API shows it to a customer or to staff."""
    made = corrections or {}
    return ConversationOut(
        id=conversation.id,
        state=conversation.state,
        language=conversation.language,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        rating=conversation.rating,
        handoff_at=conversation.handoff_at,
        customer=dict(conversation.customer) if for_staff and conversation.customer else None,
        priority=conversation.priority if for_staff else None,
        due_at=conversation.due_at if for_staff else None,
        messages=[
            message_out(message, for_staff=for_staff, corrections=made.get(message.id, ()))
            for message in messages
        ],
    )
