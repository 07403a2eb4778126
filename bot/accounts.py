"""Staff accounts: passwords, logins and API tokens.

Invariants: passwords are argon2id hashes; cookies and tokens are stored only as SHA-256; a name
that does not exist costs the same time and is locked by the same rule as one that does.
"""

import hashlib
import re
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import ColumnElement, Engine, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bot.backoff import Backoff, seconds_until, wait_after
from bot.errors import (
    AccountExists,
    AccountNotFound,
    LoginFailed,
    LoginLocked,
    PasswordRejected,
)
from bot.tables import SessionRow, UserRow

MIN_PASSWORD_CHARS = 10
MAX_PASSWORD_CHARS = 256
_NAME = re.compile(r"[\w.@-]{1,64}")
_LOCK = {"n_free": 4, "first_s": 5, "longest_s": 900}  # the 4th wrong password locks for 5 s
_ADDRESS_LOCK = {"n_free": 10, "first_s": 30, "longest_s": 3600}


class StaffRole(StrEnum):
    """What a member of staff may do; see `web/security.py` for the table."""

    AGENT = "agent"
    KNOWLEDGE = "knowledge"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """Who is behind a request."""

    name: str
    role: StaffRole
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A member of staff as `kefu user list` shows one."""

    name: str
    role: StaffRole
    is_active: bool
    must_change_password: bool
    n_sessions: int
    created_at: datetime


def utc_now() -> datetime:
    """Returns the present moment, aware."""
    return datetime.now(UTC)


class AccountStore:
    """Keeps accounts; safe to call from several threads and processes.

    Args:
        login_hours: how long a login cookie is good for.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        login_hours: int,
        clock: Callable[[], datetime] = utc_now,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._engine = engine
        self._login_for = timedelta(hours=login_hours)
        self._clock = clock
        self._hasher = hasher or PasswordHasher()
        self._unknown_names = Backoff(**_LOCK, clock=clock)
        self._addresses = Backoff(**_ADDRESS_LOCK, clock=clock)
        self._checking = threading.Lock()  # one at a time: 64 MiB each, and no racing the lock

    def add(self, name: str, role: StaffRole) -> str:
        """Creates an account and returns its one-time password.

        Raises:
            AccountExists: the name is taken.
            ValueError: the name has characters other than letters, digits and `. _ @ -`.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"A name has 1 to 64 letters, digits or . _ @ -, got {name[:80]!r}; choose another."
            )
        password = secrets.token_urlsafe(12)
        row = UserRow(
            id=uuid.uuid4().hex,
            name=name,
            role=StaffRole(role).value,
            password_hash=self._hasher.hash(password),
            must_change_password=True,
            is_active=True,
            failed_logins=0,
            created_at=self._clock(),
        )
        try:
            with Session(self._engine) as session, session.begin():
                session.add(row)
        except IntegrityError as error:
            raise AccountExists(f"There is already an account named {name!r}.") from error
        return password

    def list(self) -> list[Account]:
        """Returns all accounts by name."""
        with Session(self._engine) as session:
            rows = session.scalars(select(UserRow).order_by(UserRow.name)).all()
            counts: dict[str, int] = {}
            for (user_id,) in session.execute(select(SessionRow.user_id).where(self._is_valid())):
                counts[user_id] = counts.get(user_id, 0) + 1
        return [
            Account(
                name=row.name,
                role=StaffRole(row.role),
                is_active=row.is_active,
                must_change_password=row.must_change_password,
                n_sessions=counts.get(row.id, 0),
                created_at=row.created_at,
            )
            for row in rows
        ]

    def reset(self, name: str) -> str:
        """Gives a new one-time password, opens the account again and ends its sessions.

        Raises:
            AccountNotFound: there is no such account.
        """
        password = secrets.token_urlsafe(12)
        with Session(self._engine) as session, session.begin():
            row = _find(session, name)
            row.password_hash = self._hasher.hash(password)
            row.must_change_password = True
            row.is_active = True
            row.failed_logins = 0
            row.locked_until = None
            session.execute(delete(SessionRow).where(SessionRow.user_id == row.id))
        return password

    def disable(self, name: str) -> None:
        """Closes the account and ends its sessions and tokens at once.

        Raises:
            AccountNotFound: there is no such account.
        """
        with Session(self._engine) as session, session.begin():
            row = _find(session, name)
            row.is_active = False
            session.execute(delete(SessionRow).where(SessionRow.user_id == row.id))

    def revoke(self, name: str) -> int:
        """Ends all cookies and tokens of the account; returns how many there were.

        Raises:
            AccountNotFound: there is no such account.
        """
        with Session(self._engine) as session, session.begin():
            row = _find(session, name)
            of_user = SessionRow.user_id == row.id
            found = session.scalars(select(SessionRow.token_sha256).where(of_user)).all()
            session.execute(delete(SessionRow).where(of_user))
        return len(found)

    def token(self, name: str) -> str:
        """Returns a new API token, good until it is revoked.

        Raises:
            AccountNotFound: there is no such account, or it is disabled.
        """
        with Session(self._engine) as session, session.begin():
            row = _find(session, name)
            if not row.is_active:
                raise AccountNotFound(f"The account {name!r} is disabled; reset it first.")
            return self._open(session, row, kind="token")

    def login(self, name: str, password: str, *, address: str = "") -> str:
        """Checks a password and returns the login's token for a cookie.

        Raises:
            LoginFailed: wrong name or password (which of them is not said).
            LoginLocked: too many wrong passwords for this name or from this address.
        """
        with self._checking:
            wait_s = self._addresses.wait_s(address) if address else 0
            if wait_s:
                raise LoginLocked("Too many wrong passwords.", retry_after_s=wait_s)
            try:
                token = self._check(name, password)
            except LoginFailed:
                if address:
                    self._addresses.fail(address)
                raise
            self._addresses.clear(address)
            return token

    def change_password(self, name: str, current: str, new: str) -> str:
        """Sets a password of the user's own, ends all logins and returns a new one.

        API tokens stay good.

        Raises:
            LoginFailed: the current password is wrong.
            LoginLocked: too many wrong passwords.
            PasswordRejected: the new one is too short, too long or the current one again.
        """
        with self._checking:
            self._check(name, current)
            if not MIN_PASSWORD_CHARS <= len(new) <= MAX_PASSWORD_CHARS or new == current:
                raise PasswordRejected(
                    f"A new password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters "
                    "and differs from the current one."
                )
            hashed = self._hasher.hash(new)
        with Session(self._engine) as session, session.begin():
            row = _find(session, name)
            row.password_hash = hashed
            row.must_change_password = False
            session.execute(
                delete(SessionRow).where(SessionRow.user_id == row.id, SessionRow.kind == "cookie")
            )
            return self._open(session, row, kind="cookie")

    def resolve(self, token: str, *, kind: Literal["cookie", "token"] = "token") -> User | None:
        """Returns whose login or API token this is; None when unknown, expired or revoked.

        A cookie's value is not accepted as an API token, nor the other way round.
        """
        query = (
            select(UserRow)
            .join(SessionRow, SessionRow.user_id == UserRow.id)
            .where(
                SessionRow.token_sha256 == _sha256(token),
                SessionRow.kind == kind,
                UserRow.is_active,
                self._is_valid(),
            )
        )
        with Session(self._engine) as session:
            row = session.scalars(query).one_or_none()
            if row is None:
                return None
            return User(row.name, StaffRole(row.role), row.must_change_password)

    def logout(self, token: str) -> None:
        """Ends one login."""
        with Session(self._engine) as session, session.begin():
            session.execute(delete(SessionRow).where(SessionRow.token_sha256 == _sha256(token)))

    @cached_property
    def _nobody(self) -> str:
        """The hash that names nobody has are checked against, so that they take as long."""
        return self._hasher.hash(secrets.token_urlsafe())

    def _is_valid(self) -> ColumnElement[bool]:
        return (SessionRow.expires_at.is_(None)) | (SessionRow.expires_at > self._clock())

    def _check(self, name: str, password: str) -> str:
        """Verifies a password under the account's lock; counts a wrong one."""
        name = name[:65]  # longer than any account's name, and bounded in memory
        with Session(self._engine) as session:
            row = session.scalars(select(UserRow).where(UserRow.name == name)).one_or_none()
        wait_s = (
            self._unknown_names.wait_s(name)
            if row is None
            else seconds_until(row.locked_until, self._clock())
        )
        if wait_s:
            raise LoginLocked("Too many wrong passwords.", retry_after_s=wait_s)
        nobody = self._nobody  # made at the first login, whoever it is for
        is_right = self._verify(nobody if row is None else row.password_hash, password)
        if row is None:
            self._unknown_names.fail(name)
            raise LoginFailed("Wrong name or password.")
        if not (is_right and row.is_active):
            self._count_failure(row.id)
            raise LoginFailed("Wrong name or password.")
        with Session(self._engine) as session, session.begin():
            session.execute(delete(SessionRow).where(SessionRow.expires_at <= self._clock()))
            session.execute(
                update(UserRow)
                .where(UserRow.id == row.id)
                .values(failed_logins=0, locked_until=None)
            )
            return self._open(session, row, kind="cookie")

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password[: MAX_PASSWORD_CHARS + 1])
        except VerificationError:
            return False

    def _count_failure(self, user_id: str) -> None:
        with Session(self._engine) as session, session.begin():
            row = session.get_one(UserRow, user_id, with_for_update=True)
            row.failed_logins += 1
            row.locked_until = self._clock() + wait_after(row.failed_logins, **_LOCK)

    def _open(self, session: Session, row: UserRow, *, kind: Literal["cookie", "token"]) -> str:
        token = secrets.token_urlsafe(32)
        now = self._clock()
        session.add(
            SessionRow(
                token_sha256=_sha256(token),
                user_id=row.id,
                kind=kind,
                created_at=now,
                expires_at=now + self._login_for if kind == "cookie" else None,
            )
        )
        return token


def _find(session: Session, name: str) -> UserRow:
    row = session.scalars(select(UserRow).where(UserRow.name == name)).one_or_none()
    if row is None:
        raise AccountNotFound(f"There is no account named {name!r}; see `kefu user list`.")
    return row


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
