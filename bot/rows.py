"""Rows of conversations and messages to values and back, for the stores that own the tables.

What a reply carries is kept as JSON columns with the field names of `bot.types`, so a stored
answer reads the same as the one that was streamed.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Row

from bot.types import (
    NEUTRAL,
    NO_COMPLAINT,
    Action,
    Citation,
    ComplaintFinding,
    Conversation,
    ConversationId,
    ConversationState,
    Grounding,
    Message,
    MessageAnalysis,
    MessageId,
    MessageStatus,
    Prediction,
    Reason,
    Reply,
    Role,
    SentenceCheck,
)
from knowledge.types import Retrieval

JsonObject = dict[str, Any]


def conversation_from(row: Row[Any]) -> Conversation:
    """Returns the value of a row with all columns of `conversations` and `n_messages`."""
    return Conversation(
        id=ConversationId(row.id),
        state=ConversationState(row.state),
        language=row.language,
        created_at=row.created_at,
        updated_at=row.updated_at,
        title=row.title,
        n_messages=row.n_messages,
        rating=row.rating,
        handoff_at=row.handoff_at,
        priority=row.priority,
        due_at=row.due_at,
        customer=row.customer,
    )


def message_from(row: Row[Any]) -> Message:
    """Returns the value of a row with all columns of `messages` and those of its feedback."""
    feedback = (row.value, row.feedback_reason, row.comment) if row.value else None
    return Message(
        id=MessageId(row.id),
        conversation_id=ConversationId(row.conversation_id),
        role=Role(row.role),
        text=row.text,
        status=MessageStatus(row.status),
        created_at=row.created_at,
        author=row.author,
        reply=reply_from(row) if row.action else None,
        evidence=row.evidence,
        prompt=row.prompt,
        prompt_sha256=row.prompt_sha256,
        feedback=feedback,
        is_superseded=row.superseded,
        analysis=_own_analysis(row),
    )


def reply_from(row: Row[Any]) -> Reply:
    """Returns the reply that a finished bot message carries."""
    return Reply(
        message_id=MessageId(row.id),
        action=Action(row.action),
        text=row.text,
        analysis=analysis_from(row.analysis),
        query=row.query or "",
        citations=tuple(Citation(**item) for item in row.citations or ()),
        grounding=_grounding_from(row.grounding),
        suggestions=tuple(row.suggestions or ()),
        adapter=row.adapter,
        model=row.model or "",
        timings_ms=row.timings_ms or {},
        reason=Reason(row.reason) if row.reason else None,
        handoff_offered=row.handoff_offered,
        status=MessageStatus(row.status),
    )


def reply_columns(reply: Reply) -> JsonObject:
    """Returns the columns of `messages` that hold the reply."""
    return {
        "text": reply.text,
        "status": reply.status.value,
        "action": reply.action.value,
        "reason": reply.reason.value if reply.reason else None,
        "analysis": dataclasses.asdict(reply.analysis),
        "query": reply.query,
        "citations": [dataclasses.asdict(citation) for citation in reply.citations],
        "grounding": dataclasses.asdict(reply.grounding),
        "suggestions": list(reply.suggestions),
        "handoff_offered": reply.handoff_offered,
        "model": reply.model or None,
        "adapter": reply.adapter,
        "timings_ms": dict(reply.timings_ms),
    }


def analysis_columns(analysis: MessageAnalysis) -> JsonObject:
    """Returns the columns of a customer's message that say what counts of its analysis.

    A sentiment that nobody looked at is left open, which filters rely on.
    """
    sentiment, complaint = analysis.sentiment, analysis.complaint
    return {
        "intent": analysis.intent.label,
        "sentiment": sentiment.label if sentiment.confidence else None,
        "severity": complaint.severity if complaint.is_complaint else None,
    }


def evidence_from(retrieval: Retrieval) -> JsonObject:
    """Returns a retrieval as JSON: what was searched, every hit with its scores, the times."""
    return {
        "query": retrieval.query,
        "relevance": retrieval.relevance,
        "timings_ms": dict(retrieval.timings_ms),
        "settings": dict(retrieval.settings),
        "hits": [
            {
                "rank": hit.rank,
                "score": hit.score,
                "dense_score": hit.dense_score,
                "dense_rank": hit.dense_rank,
                "lexical_score": hit.lexical_score,
                "lexical_rank": hit.lexical_rank,
                "rerank_score": hit.rerank_score,
                "rerank_rank": hit.rerank_rank,
                "chunk_id": hit.chunk.id,
                "document_id": hit.chunk.document_id,
                "document": hit.document,
                "title": hit.title,
                "version": hit.chunk.version,
                "headings": list(hit.chunk.headings),
                "page": hit.chunk.page,
                "start": hit.chunk.start,
                "end": hit.chunk.end,
                "text": hit.chunk.text,
            }
            for hit in retrieval.hits
        ],
    }


def analysis_from(stored: Mapping[str, Any]) -> MessageAnalysis:
    """Returns a stored analysis; earlier ones had a language and a rule's intent only."""
    return MessageAnalysis(
        stored["language"],
        _prediction_from(stored["intent"]),
        language_confidence=stored.get("language_confidence", 1.0),
        sentiment=_prediction_from(stored["sentiment"]) if "sentiment" in stored else NEUTRAL,
        complaint=_complaint_from(stored["complaint"]) if "complaint" in stored else NO_COMPLAINT,
        is_urgent=stored.get("is_urgent", False),
        is_angry=stored.get("is_angry", False),
        intent_source=stored.get("intent_source", "rule"),
    )


def _own_analysis(row: Row[Any]) -> MessageAnalysis | None:
    """A customer message's own; a reply carries the one it answers."""
    is_own = row.role == Role.CUSTOMER and row.analysis is not None
    return analysis_from(row.analysis) if is_own else None


def _prediction_from(stored: Mapping[str, Any]) -> Prediction:
    top = tuple((str(label), float(score)) for label, score in stored["top"])
    return Prediction(stored["label"], stored["confidence"], top)


def _complaint_from(stored: Mapping[str, Any]) -> ComplaintFinding:
    return ComplaintFinding(**{**stored, "reasons": tuple(stored.get("reasons", ()))})


def _grounding_from(stored: Mapping[str, Any] | None) -> Grounding:
    if stored is None:
        return Grounding(0.0, "none")
    sentences = cast(list[JsonObject], stored["sentences"])
    checks = tuple(SentenceCheck(**sentence) for sentence in sentences)
    return Grounding(stored["score"], stored["verdict"], checks)
