"""Messages: send one and get the answer as JSON or as a stream, vote on it, open its sources."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from bot.chat import Turn
from bot.events import Failure
from bot.types import ConversationId, MessageId
from knowledge.types import Audience
from web.dependencies import (
    ContextDep,
    OwnConversation,
    ServicesDep,
    WebContext,
    own_conversation,
    readable_conversation,
)
from web.errors import HttpProblem
from web.schemas import NewFeedback, NewMessage, PassageOut, ReplyOut
from web.streaming import event_stream, finish

router = APIRouter(tags=["messages"])
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"model": ReplyOut, "content": {"text/event-stream": {}}}
}


@router.post("/conversations/{conversation_id}/messages", responses=_ANSWER)
async def send(
    request: Request, conversation: OwnConversation, body: NewMessage, context: ContextDep
) -> Response:
    """Takes a customer's message and returns the answer, streamed where the client accepts it."""
    _check_intake(request, context)
    turn = await run_in_threadpool(
        context.services.chat.begin, conversation.id, body.text, client_id=body.client_id
    )
    return await _answer(request, context, conversation_id=conversation.id, turn=turn)


@router.post("/messages/{message_id}/regenerate", responses=_ANSWER)
async def regenerate(request: Request, message_id: str, context: ContextDep) -> Response:
    """Writes the answer again; the earlier one is superseded."""
    message = await run_in_threadpool(context.services.conversations.message, MessageId(message_id))
    await run_in_threadpool(own_conversation, request, message.conversation_id)
    _check_intake(request, context)
    turn = await run_in_threadpool(context.services.chat.regenerate, message.id)
    return await _answer(request, context, conversation_id=message.conversation_id, turn=turn)


@router.post("/messages/{message_id}/feedback", status_code=204)
def give_feedback(
    request: Request, message_id: str, body: NewFeedback, services: ServicesDep
) -> Response:
    """Keeps the customer's vote; a second one replaces the first."""
    message = services.conversations.message(MessageId(message_id))
    own_conversation(request, message.conversation_id)
    services.conversations.add_feedback(
        message.id, body.value, reason=body.reason, comment=body.comment
    )
    return Response(status_code=204)


@router.get("/messages/{message_id}/citations/{n}", response_model=PassageOut)
def open_citation(request: Request, message_id: str, n: int, services: ServicesDep) -> object:
    """Returns the cited passage with its surroundings, and nothing else of the document."""
    message = services.conversations.message(MessageId(message_id))
    _, for_staff = readable_conversation(request, message.conversation_id)
    audience = Audience.STAFF if for_staff else Audience.CUSTOMER
    return services.chat.passage(message.id, n, audience=audience)


async def _answer(
    request: Request, context: WebContext, *, conversation_id: ConversationId, turn: Turn
) -> Response:
    answer = context.answers.start(conversation_id, turn)
    if "text/event-stream" in request.headers.get("accept", ""):
        return event_stream(context.answers, answer)
    end = await finish(answer)
    if isinstance(end, Failure):
        return _failed(end)
    return JSONResponse(ReplyOut.model_validate(end.reply).model_dump(mode="json"))


def _failed(failure: Failure) -> Response:
    """The answer's own failure, under its own reference."""
    body = {
        "type": "urn:kefu:problem:unavailable",
        "title": failure.title,
        "status": 503,
        "detail": failure.detail,
        "reference": failure.reference,
    }
    headers = {"Retry-After": "10", "Cache-Control": "no-store"}
    return JSONResponse(body, 503, headers=headers, media_type="application/problem+json")


def _check_intake(request: Request, context: WebContext) -> None:
    if context.lifecycle.is_stopping:
        raise HttpProblem("stopping", retry_after_s=10)
    wait_s = context.new_messages.wait_s(context.gate.address(request))
    if wait_s:
        raise HttpProblem("too_many_requests", retry_after_s=wait_s)
    context.answers.check_room()
