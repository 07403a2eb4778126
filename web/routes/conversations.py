"""Conversations: start one, read it, ask for a person, rate it."""

from typing import Any

from fastapi import APIRouter, Request, Response

from bot.open_citations import open_messages
from bot.types import ConversationId
from web.customers import read_customer
from web.dependencies import (
    ContextDep,
    LanguageDep,
    OwnConversation,
    ServicesDep,
    WebContext,
    readable_conversation,
)
from web.errors import HttpProblem
from web.language import ui_language
from web.limits import RateLimiter
from web.schemas import (
    ConversationCreated,
    ConversationOut,
    MessageOut,
    NewConversation,
    NewRating,
    conversation_out,
    message_out,
)

router = APIRouter(prefix="/conversations", tags=["conversations"])


@router.post("", status_code=201, response_model=ConversationCreated)
def start(
    request: Request, body: NewConversation, context: ContextDep, accepted: LanguageDep
) -> dict[str, Any]:
    """Starts a conversation; its token is given this once."""
    _check_intake(request, context)
    services = context.services
    customer = read_customer(body.customer, services.settings.web.customer_key.get_secret_value())
    wanted = body.language or (customer or {}).get("language")
    language = ui_language(wanted) if isinstance(wanted, str) else accepted
    conversation, token = services.conversations.create(language=language, customer=customer)
    return {
        "id": conversation.id,
        "token": token,
        "greeting": services.company.get(language).greeting,
        "suggestions": list(services.chat.suggestions(language)),
    }


@router.get("/{conversation_id}")
def read(request: Request, conversation_id: str, services: ServicesDep) -> ConversationOut:
    """Returns a conversation to its customer or to staff who may read transcripts."""
    conversation, for_staff = readable_conversation(request, conversation_id)
    messages = services.conversations.messages(conversation.id, with_superseded=for_staff)
    if not for_staff:
        messages = open_messages(messages, services.documents)
    corrections = services.labels.of_conversation(conversation.id) if for_staff else None
    return conversation_out(
        conversation, list(messages), for_staff=for_staff, corrections=corrections
    )


@router.post("/{conversation_id}/stop")
def stop(conversation: OwnConversation, services: ServicesDep) -> dict[str, bool]:
    """Stops the answer that is being written; false when there was none."""
    return {"stopped": services.chat.stop(ConversationId(conversation.id))}


@router.post("/{conversation_id}/handoff", status_code=202)
def ask_for_person(
    request: Request, conversation: OwnConversation, context: ContextDep
) -> MessageOut:
    """Records that a person is wanted; returns the message that tells the customer."""
    _check_limit(context.new_messages, request, context)
    services = context.services
    return message_out(services.chat.handoff(conversation.id), for_staff=False)


@router.post("/{conversation_id}/rating", status_code=204)
def rate(conversation: OwnConversation, body: NewRating, services: ServicesDep) -> Response:
    """Keeps how the customer liked the conversation; a second rating replaces the first."""
    services.conversations.rate(conversation.id, body.score, comment=body.comment)
    return Response(status_code=204)


def _check_intake(request: Request, context: WebContext) -> None:
    if context.lifecycle.is_stopping:
        raise HttpProblem("stopping", retry_after_s=10)
    _check_limit(context.new_conversations, request, context)


def _check_limit(limiter: RateLimiter, request: Request, context: WebContext) -> None:
    wait_s = limiter.wait_s(context.gate.address(request))
    if wait_s:
        raise HttpProblem("too_many_requests", retry_after_s=wait_s)
