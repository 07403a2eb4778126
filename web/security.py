"""Who may do what: the role table, signed login cookies and the origin check.

A cookie's value is the login's random token and its HMAC under `data/secret.key`, so a value that
was not issued here is refused before the database is asked.
"""

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from bot.accounts import AccountStore, StaffRole, User
from bot.settings import WebSettings

_log = logging.getLogger(__name__)

COOKIE = "kefu_login"
_KEY_BYTES = 32
_EVERYONE = frozenset(StaffRole)

Access = Literal[
    "documents.read",
    "documents.write",
    "search",
    "analyze",
    "labels",
    "intents",
    "transcripts",
    "company",
    "adapters",
    "pages",
]

#: The one table of roles; routes, pages and README follow it.
ROLE_ACCESS: Mapping[Access, frozenset[StaffRole]] = {
    "documents.read": _EVERYONE,
    "documents.write": frozenset({StaffRole.KNOWLEDGE, StaffRole.ADMIN}),
    "search": _EVERYONE,
    "analyze": _EVERYONE,
    "labels": _EVERYONE,
    "intents": frozenset({StaffRole.KNOWLEDGE, StaffRole.ADMIN}),
    "transcripts": frozenset({StaffRole.AGENT, StaffRole.ADMIN}),
    "company": frozenset({StaffRole.ADMIN}),
    "adapters": frozenset({StaffRole.ADMIN}),
    "pages": _EVERYONE,
}


def may(user: User, access: Access) -> bool:
    """True when the user's role has this access."""
    return user.role in ROLE_ACCESS[access]


def load_secret(path: Path) -> bytes:
    """Returns the secret key, made at the first start with mode 0600.

    Two processes that start at once end up with the same key: the file is written under another
    name and linked into place, which fails for the second.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        try:
            os.link(draft, path)
        except FileExistsError:
            _log.info("another process made the secret key first")
        finally:
            draft.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path} has {len(key)} bytes, not {_KEY_BYTES}; delete it to renew it.")
    return key


class Gate:
    """Knows who is behind a request.

    Tokens come as `Authorization: Bearer` (programs) or in the login cookie (browsers); a bearer
    token wins, because only that way can a program be sure which of them is used.
    """

    def __init__(self, accounts: AccountStore, key: bytes, settings: WebSettings) -> None:
        self._accounts = accounts
        self._key = key
        self._settings = settings

    def sign(self, token: str) -> str:
        """Returns the cookie value of a login's token."""
        return f"{token}.{self._mac(token)}"

    def cookie_token(self, connection: HTTPConnection) -> str | None:
        """Returns the login's token from the cookie, None when absent or not signed by us."""
        token, _, mac = connection.cookies.get(COOKIE, "").rpartition(".")
        is_ours = bool(token) and hmac.compare_digest(mac.encode(), self._mac(token).encode())
        return token if is_ours else None

    def user(self, connection: HTTPConnection) -> User | None:
        """Returns the member of staff behind a request (asks the database)."""
        bearer = bearer_token(connection)
        if bearer is not None:
            return self._accounts.resolve(bearer, kind="token")
        token = self.cookie_token(connection)
        return None if token is None else self._accounts.resolve(token, kind="cookie")

    def is_own_origin(self, connection: HTTPConnection) -> bool:
        """True when a browser says that the request comes from our own or a trusted page.

        Browsers send `Origin` with every POST; without it `Referer` decides, and with neither the
        answer is no. Source: OWASP, Cross-Site Request Forgery Prevention, verifying origin.
        """
        headers = connection.headers
        origin = headers.get("origin") or headers.get("referer") or ""
        parts = urlsplit(origin)
        if not parts.netloc:
            return False
        trusted = {o.strip().rstrip("/") for o in self._settings.trusted_origins.split(",")}
        own = {headers.get("host", "")}
        if self._settings.trust_forwarded_for:
            own.add(headers.get("x-forwarded-host", ""))
        return parts.netloc in own or f"{parts.scheme}://{parts.netloc}" in trusted

    def address(self, connection: HTTPConnection) -> str:
        """Returns the client's address; the nearest proxy's word is taken only when trusted."""
        if self._settings.trust_forwarded_for:
            nearest = connection.headers.get("x-forwarded-for", "").split(",")[-1].strip()
            if nearest:
                return nearest[:64]
        return connection.client.host if connection.client else "unknown"

    def _mac(self, token: str) -> str:
        return hmac.new(self._key, b"cookie:" + token.encode(), hashlib.sha256).hexdigest()


def bearer_token(connection: HTTPConnection) -> str | None:
    """Returns the token of the Authorization header, None without one."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def current_user(request: Any) -> User | None:
    """Returns who is logged in, for a Starlette request as well as a Gradio one.

    Works in any app mounted below ours: the gate travels in the ASGI scope.
    """
    inner = getattr(request, "request", None) or request  # gr.Request wraps the real one
    gate = inner.scope["kefu.gate"]
    user: User | None = gate.user(HTTPConnection(inner.scope))
    return user
