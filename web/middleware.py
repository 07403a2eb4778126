"""What every request passes before a route: sub-path, headers, body size, the staff gate.

Plain ASGI, so that streams flow through unbuffered and a disconnect reaches the route.
"""

from dataclasses import dataclass
from urllib.parse import quote

import anyio
from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.accounts import User
from web.errors import problem_response
from web.security import Gate, bearer_token, may

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
# Gradio's pages run inline scripts and compile event code; nothing may come from another host.
_PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_FORMS = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class RootPath:
    """Tells routes the sub-path behind the proxy, whether the proxy strips it or leaves it.

    By the ASGI specification `path` includes `root_path`; mounted apps rely on that.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sets `root_path` and completes `path`."""
        root = self._root_path
        path = scope.get("path", "")
        if root and scope["type"] in ("http", "websocket"):
            scope["root_path"] = root
            if path != root and not path.startswith(root + "/"):
                scope["path"] = root + path
        await self._app(scope, receive, send)


class SecurityHeaders:
    """Adds the headers that keep a browser from being used against us."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds them to every response; a route may set its own value."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = _policy(get_route_path(scope))

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", policy)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
                headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
            await send(message)

        await self._app(scope, receive, add)


def _policy(path: str) -> str:
    if path.startswith(("/api/", "/healthz", "/readyz")):
        return _STRICT
    return _FORMS if path == "/login" or path.startswith("/auth/") else _PAGES


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes a request body may have."""

    upload: int  # one document through the API
    pages: int  # several files at once through a page
    other: int = 1_000_000
    batch: int = 4_000_000  # many messages to understand at once

    def of(self, path: str) -> int:
        """Returns the limit of a path."""
        if path.startswith("/api/v1/documents"):
            return self.upload
        if path == "/api/v1/analyze":
            return self.batch
        if path == "/api/v1/archive":
            return self.pages
        return self.pages if path.startswith("/staff/") else self.other


class BodyLimit:
    """Refuses a body that is too large, by its declared length and while it arrives."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the bytes; nothing beyond the limit is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.of(get_route_path(scope))
        declared = HTTPConnection(scope).headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            kind = "too_large" if declared.isdigit() else "bad_request"
            await problem_response(scope, kind=kind)(scope, receive, send)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)


class StaffGate:
    """Puts the gate into the scope and keeps `/staff` for people who are logged in.

    Someone who is not is sent to the login page, someone with a one-time password to the page
    that changes it. Cookie-authenticated changes must come from our own pages.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself or passes the request on."""
        scope["kefu.gate"] = self._gate
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = await self._check(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _check(self, scope: Scope) -> ASGIApp | None:
        connection = HTTPConnection(scope)
        path = get_route_path(scope)
        if self._is_foreign_change(connection, path):
            return problem_response(scope, kind="wrong_origin")
        is_page = path == "/staff" or path.startswith("/staff/")
        method = scope.get("method", "GET")  # a websocket has none
        is_upload = path.startswith("/api/v1/documents") and method not in SAFE_METHODS
        if not is_page and not is_upload:
            return None
        user = await anyio.to_thread.run_sync(self._gate.user, connection)
        if is_upload:  # checked before the body is read; the route checks the role
            return problem_response(scope, kind="unauthorized") if user is None else None
        if user is not None and not user.must_change_password:
            takes_files = method not in SAFE_METHODS and path.endswith("/gradio_api/upload")
            if takes_files and not may(user, "documents.write"):
                return problem_response(scope, kind="forbidden")  # before Gradio keeps a byte
            return None
        return _send_away(scope, path, user)

    def _is_foreign_change(self, connection: HTTPConnection, path: str) -> bool:
        """A browser could have been made to send this by another site."""
        if connection.scope.get("method", "GET") in SAFE_METHODS:
            return False
        is_form = path.startswith(("/auth/", "/staff/"))
        by_cookie = self._gate.cookie_token(connection) and bearer_token(connection) is None
        return bool(is_form or by_cookie) and not self._gate.is_own_origin(connection)


def _send_away(scope: Scope, path: str, user: User | None) -> ASGIApp:
    is_page = scope.get("method") in ("GET", "HEAD") and "/gradio_api/" not in path
    if not is_page:
        return problem_response(scope, kind="password_change" if user else "unauthorized")
    root = str(scope.get("root_path", "")).rstrip("/")
    target = "/auth/password" if user else "/login"
    return RedirectResponse(f"{root}{target}?next={quote(path)}", status_code=303)
