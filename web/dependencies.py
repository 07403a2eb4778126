"""What routes ask for: the services, who is asking, and whether they may."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from bot.accounts import User
from bot.assembly import Services
from bot.catalogue import UiLanguage
from bot.errors import AccessDenied
from bot.types import Conversation, ConversationId
from web.errors import HttpProblem
from web.language import ui_language
from web.lifecycle import Lifecycle
from web.limits import RateLimiter
from web.security import Access, Gate, bearer_token, may
from web.streaming import AnswerThreads


@dataclass(frozen=True, slots=True)
class WebContext:
    """What the app keeps for its routes."""

    services: Services
    gate: Gate
    answers: AnswerThreads
    lifecycle: Lifecycle
    new_conversations: RateLimiter
    new_messages: RateLimiter


def get_context(request: Request) -> WebContext:
    """Returns the app's context."""
    context: WebContext = request.app.state.context
    return context


def get_services(request: Request) -> Services:
    """Returns the app's services."""
    return get_context(request).services


def get_language(request: Request) -> UiLanguage:
    """Returns the reader's language."""
    return ui_language(request.headers.get("accept-language", ""))


def staff(access: Access) -> Callable[[Request], User]:
    """Returns a dependency that lets only roles with this access through."""

    def check(request: Request) -> User:
        return require_staff(request, access)

    return check


def require_staff(request: Request, access: Access) -> User:
    """Returns who is asking.

    Raises:
        HttpProblem: 401 without a valid token or login; 403 when the role may not do it, or the
            one-time password has not been changed.
    """
    user = get_context(request).gate.user(request)
    if user is None:
        raise HttpProblem("unauthorized")
    if user.must_change_password and bearer_token(request) is None:
        raise HttpProblem("password_change")
    if not may(user, access):
        raise HttpProblem("forbidden")
    return user


def get_own_conversation(request: Request, conversation_id: str) -> Conversation:
    """Returns the conversation of the path when the request carries its token."""
    return own_conversation(request, conversation_id)


def own_conversation(request: Request, conversation_id: str) -> Conversation:
    """Returns a conversation whose token the request carries.

    Raises:
        HttpProblem: 401 without any token.
        ConversationNotFound: no such conversation.
        AccessDenied: the token is another one's.
    """
    token = bearer_token(request)
    if token is None:
        raise HttpProblem("unauthorized")
    store = get_services(request).conversations
    return store.authorize(ConversationId(conversation_id), token)


def readable_conversation(request: Request, conversation_id: str) -> tuple[Conversation, bool]:
    """Returns a conversation for its customer, or for staff who may read transcripts.

    The flag is True for staff.
    """
    token = bearer_token(request)
    if token is not None:
        try:
            return own_conversation(request, conversation_id), False
        except AccessDenied:
            if get_context(request).gate.user(request) is None:
                raise
    require_staff(request, "transcripts")
    return get_services(request).conversations.get(ConversationId(conversation_id)), True


ContextDep = Annotated[WebContext, Depends(get_context)]
ServicesDep = Annotated[Services, Depends(get_services)]
LanguageDep = Annotated[UiLanguage, Depends(get_language)]
OwnConversation = Annotated[Conversation, Depends(get_own_conversation)]
DocumentReader = Annotated[User, Depends(staff("documents.read"))]
DocumentWriter = Annotated[User, Depends(staff("documents.write"))]
Searcher = Annotated[User, Depends(staff("search"))]
Analyst = Annotated[User, Depends(staff("analyze"))]
IntentReader = Annotated[User, Depends(staff("labels"))]
IntentWriter = Annotated[User, Depends(staff("intents"))]
Reviewer = Annotated[User, Depends(staff("transcripts"))]
AdapterAdmin = Annotated[User, Depends(staff("adapters"))]
