"""Exceptions → problem+json (RFC 9457), in one table; titles and details in zh and en.

Every kind has a title `errors.<kind>` and, unless the exception's own message is meant for the
reader, a detail `errors.<kind>_detail` in the catalogue. Input is never echoed whole.
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

import bot.errors as bot
import knowledge.errors as knowledge
from bot.catalogue import Catalogue, load_catalogue
from web.language import ui_language
from web.reasons import reason

_log = logging.getLogger(__name__)

STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "login_failed": 401,
    "forbidden": 403,
    "wrong_origin": 403,
    "password_change": 403,
    "not_found": 404,
    "conversation_not_found": 404,
    "message_not_found": 404,
    "document_not_found": 404,
    "job_not_found": 404,
    "source_not_found": 404,
    "account_not_found": 404,
    "adapter_not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "answer_in_progress": 409,
    "conflict": 409,
    "too_large": 413,
    "unsupported_format": 415,
    "invalid": 422,
    "message_rejected": 422,
    "unreadable_file": 422,
    "password_rejected": 422,
    "passwords_differ": 422,
    "too_many_requests": 429,
    "login_locked": 429,
    "internal": 500,
    "busy": 503,
    "stopping": 503,
    "unavailable": 503,
}

# Looked up along the exception's ancestors, so a subclass may have its own line.
KINDS: dict[type[Exception], str] = {
    bot.AccessDenied: "forbidden",
    bot.AccountExists: "conflict",
    bot.AccountNotFound: "account_not_found",
    bot.AdapterChangeRefused: "conflict",
    bot.AdapterNotFound: "adapter_not_found",
    bot.AdapterRejected: "invalid",
    bot.AnswerInProgress: "answer_in_progress",
    bot.ConversationNotFound: "conversation_not_found",
    bot.CuratedAnswerNotFound: "not_found",
    bot.CuratedAnswerRejected: "invalid",
    bot.HeadChangeRefused: "conflict",
    bot.HeadNotFound: "not_found",
    bot.IntentNotFound: "not_found",
    bot.IntentRejected: "invalid",
    bot.LabelRejected: "invalid",
    bot.LoginFailed: "login_failed",
    bot.LoginLocked: "login_locked",
    bot.MessageNotFound: "message_not_found",
    bot.MessageRejected: "message_rejected",
    bot.ModelUnavailable: "unavailable",
    bot.PasswordRejected: "password_rejected",
    bot.PromptTooLong: "invalid",
    bot.QueueFull: "busy",
    bot.BotError: "internal",
    knowledge.DocumentNotFound: "document_not_found",
    knowledge.DuplicateDocument: "conflict",
    knowledge.EditConflict: "conflict",
    knowledge.EditRejected: "invalid",
    knowledge.FileTooLarge: "too_large",
    knowledge.IndexLocked: "conflict",
    knowledge.InvalidChange: "invalid",
    knowledge.JobNotFound: "job_not_found",
    knowledge.ParseFailed: "unreadable_file",
    knowledge.QuestionsRejected: "invalid",
    knowledge.ArchiveRejected: "invalid",
    knowledge.SourceNotFound: "source_not_found",
    knowledge.ConflictNotFound: "not_found",
    knowledge.SourceRejected: "invalid",
    knowledge.FetchFailed: "unreadable_file",
    knowledge.UnsupportedFormat: "unsupported_format",
    knowledge.KnowledgeError: "unavailable",
}

#: The exception says what exactly is wrong with what the reader sent.
_SPEAKING = frozenset(
    {
        "conflict",
        "invalid",
        "too_large",
        "unreadable_file",
        "unsupported_format",
    }
)
_BY_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_format",
    422: "invalid",
    429: "too_many_requests",
    503: "unavailable",
}


class HttpProblem(Exception):
    """An error that only exists at the HTTP edge; `kind` is a key of `STATUS`."""

    def __init__(
        self, kind: str, detail: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail or kind)
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s


def kind_of(error: Exception) -> str:
    """Returns the error's kind; `internal` for one that is not in the table."""
    if isinstance(error, HttpProblem):
        return error.kind
    for ancestor in type(error).__mro__:
        if ancestor in KINDS:
            return KINDS[ancestor]
    return "internal"


def describe(error: Exception, catalogue: Catalogue, language: str) -> tuple[str, str]:
    """Returns the title and the detail that a reader may see."""
    kind = kind_of(error)
    title = catalogue.text(f"errors.{kind}", language)
    if isinstance(error, HttpProblem):
        return title, error.detail or catalogue.text(f"errors.{kind}_detail", language)
    if kind in _SPEAKING and str(error):
        return title, reason(str(error), catalogue, language)[:500]
    return title, catalogue.text(f"errors.{kind}_detail", language)


def problem_response(
    scope: Scope,
    *,
    kind: str,
    detail: str | None = None,
    retry_after_s: int | None = None,
) -> Response:
    """Returns the problem+json response of a kind, in the request's language."""
    return _response(scope, HttpProblem(kind, detail, retry_after_s=retry_after_s))


def install_error_responses(app: FastAPI) -> None:
    """Makes every error of the app a problem+json response."""
    for known in (HttpProblem, bot.BotError, knowledge.KnowledgeError):
        app.add_exception_handler(known, _on_known)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)


def catalogue_of(scope: Scope) -> Catalogue:
    """Returns the app's catalogue."""
    app = scope.get("app")
    found = getattr(getattr(app, "state", None), "catalogue", None)
    return found if isinstance(found, Catalogue) else load_catalogue()


def _response(scope: Scope, error: Exception) -> Response:
    kind = kind_of(error)
    language = ui_language(_header(scope, b"accept-language"))
    title, detail = describe(error, catalogue_of(scope), language)
    headers = {"Cache-Control": "no-store"}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if STATUS[kind] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {
        "type": f"urn:kefu:problem:{kind}",
        "title": title,
        "status": STATUS[kind],
        "detail": detail,
        "reference": scope.get("state", {}).get("reference", ""),
    }
    return JSONResponse(body, STATUS[kind], headers=headers, media_type="application/problem+json")


async def _on_known(request: Request, error: Exception) -> Response:
    if STATUS[kind_of(error)] >= 500:
        reference = request.scope.get("state", {}).get("reference", "")
        _log.warning("%s", type(error).__name__, extra={"reference": reference}, exc_info=error)
    return _response(request.scope, error)


async def _on_http(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    response = problem_response(
        request.scope, kind=_BY_STATUS.get(status, "bad_request" if status < 500 else "internal")
    )
    for name, value in (getattr(error, "headers", None) or {}).items():
        response.headers[name] = value
    return response


async def _on_invalid(request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    first: dict[str, Any] = problems[0] if problems else {}
    if first.get("type") == "json_invalid":
        return problem_response(request.scope, kind="bad_request")
    place = ".".join(str(part)[:40] for part in first.get("loc", ())[1:4])
    said = str(first.get("msg", "")).removeprefix("Value error, ")
    is_own = first.get("type") == "value_error"  # a check of the whole body has no place
    detail = f"{place}: {said}"[:200] if place else said[:200] if is_own else None
    return problem_response(request.scope, kind="invalid", detail=detail)


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope.get("headers", ()):
        if key == name:
            return bytes(value).decode("latin-1")
    return ""
