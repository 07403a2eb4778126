"""Values of a conversation; a leaf that imports no sibling but errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)


class Role(StrEnum):
    """Who speaks."""

    CUSTOMER = "customer"
    BOT = "bot"
    AGENT = "agent"
    SYSTEM = "system"


class MessageStatus(StrEnum):
    """How far a message got; `streaming` is only ever seen while it is being written."""

    STREAMING = "streaming"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"  # stopped by the customer, or cut off by a crash
    FAILED = "failed"


class ConversationState(StrEnum):
    """Who is expected to speak next to the customer."""

    BOT = "bot"
    QUEUED = "queued"  # a person was asked for
    PERSON = "person"
    RETURNED = "returned"
    RESOLVED = "resolved"


class Action(StrEnum):
    """What the policy decided; the model's text never changes it."""

    ANSWER = "answer"
    CLARIFY = "clarify"
    SMALLTALK = "smalltalk"
    HANDOFF = "handoff"
    REFUSE = "refuse"
    FORM = "form"
    RESOLVE = "resolve"
    NONE = "none"


class Reason(StrEnum):
    """Why an action other than a plain answer was chosen."""

    NO_EVIDENCE = "no_evidence"
    LOW_CONFIDENCE = "low_confidence"
    POLICY = "policy"
    TOOL_FAILED = "tool_failed"
    CUSTOMER_ASKED = "customer_asked"
    UNSUPPORTED_LANGUAGE = "unsupported_language"


@dataclass(frozen=True, slots=True)
class Prediction:
    """A label with its confidence in [0, 1] and the runners-up, best first."""

    label: str
    confidence: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ComplaintFinding:
    """Whether a message complains, about what and how badly (1 to 4, worst last)."""

    is_complaint: bool
    type: str | None = None
    severity: int | None = None
    confidence: float = 0.0
    reasons: tuple[str, ...] = ()  # names of what made it as severe


#: A confidence of 0 says that nobody looked, as in what was stored before there were heads.
NEUTRAL = Prediction("neutral", 0.0)
NO_COMPLAINT = ComplaintFinding(False)


@dataclass(frozen=True, slots=True)
class MessageAnalysis:
    """What we understood of a customer's message before deciding anything."""

    language: str  # zh-Hans zh-Hant en mixed other
    intent: Prediction  # an intent's label, or oos; `question` only in what was stored earlier
    language_confidence: float = 1.0
    sentiment: Prediction = NEUTRAL  # very_negative negative neutral positive very_positive
    complaint: ComplaintFinding = NO_COMPLAINT
    is_urgent: bool = False
    is_angry: bool = False
    intent_source: str = "head"  # rule: certain; head: learned


@dataclass(frozen=True, slots=True)
class Citation:
    """A run of a document that supports the answer; `quote == text[start:end]`."""

    n: int
    document_id: str
    document: str  # file name
    title: str
    version: int
    chunk_id: int
    quote: str
    start: int | None
    end: int | None
    page: int | None
    score: float


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A citation's quote with its surroundings in the version that was cited."""

    document: str  # file name
    title: str
    page: int | None
    before: str
    quote: str
    after: str
    start: int | None
    end: int | None
    version: int


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """One sentence of an answer with how well its best passage supports it, in [0, 1]."""

    text: str
    score: float
    citation: int | None  # `n` of the citation it is tied to


@dataclass(frozen=True, slots=True)
class Grounding:
    """How far the documents carry an answer."""

    score: float
    verdict: str  # supported, partly, unsupported, none (nothing to check)
    sentences: tuple[SentenceCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished answer: what the API's `final` event carries."""

    message_id: MessageId
    action: Action
    text: str
    analysis: MessageAnalysis
    query: str  # the stand-alone question that was searched for
    citations: tuple[Citation, ...] = ()
    grounding: Grounding = field(default_factory=lambda: Grounding(0.0, "none"))
    suggestions: tuple[str, ...] = ()
    adapter: str | None = None
    model: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    handoff_offered: bool = False
    status: MessageStatus = MessageStatus.COMPLETE


@dataclass(frozen=True, slots=True)
class Message:
    """One stored message; the optional parts are the bot's."""

    id: MessageId
    conversation_id: ConversationId
    role: Role
    text: str
    status: MessageStatus
    created_at: datetime
    author: str | None = None  # agent's name for `agent`
    reply: Reply | None = None
    evidence: Mapping[str, object] | None = None  # retrieval hits as stored JSON
    prompt: str | None = None
    prompt_sha256: str | None = None
    feedback: tuple[str, str | None, str | None] | None = None  # value, reason, comment
    is_superseded: bool = False  # another answer stands in its place; staff only
    analysis: MessageAnalysis | None = None  # the customer's; None for what was never analysed


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages."""

    id: ConversationId
    state: ConversationState
    language: str  # zh or en: of the interface and of fixed texts
    created_at: datetime
    updated_at: datetime
    title: str = ""  # the customer's first words
    n_messages: int = 0
    rating: int | None = None
    handoff_at: datetime | None = None
    priority: int | None = None  # worst severity so far, 1 to 4; None: no hurry
    due_at: datetime | None = None  # when a person should have answered
    customer: Mapping[str, object] | None = None
