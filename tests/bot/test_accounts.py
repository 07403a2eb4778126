from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from bot.accounts import AccountStore, StaffRole
from bot.errors import (
    AccountExists,
    AccountNotFound,
    LoginFailed,
    LoginLocked,
    PasswordRejected,
)
from bot.tables import SessionRow, UserRow


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(engine: Engine, clock: Clock) -> AccountStore:
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    return AccountStore(engine, login_hours=12, clock=clock, hasher=quick)


def test_one_time_password_must_be_changed(accounts: AccountStore) -> None:
    password = accounts.add("lin", StaffRole.ADMIN)
    user = accounts.resolve(accounts.login("lin", password), kind="cookie")
    assert user is not None
    assert user.must_change_password
    changed = accounts.change_password("lin", password, "a better password")
    user = accounts.resolve(changed, kind="cookie")
    assert user is not None
    assert not user.must_change_password
    with pytest.raises(LoginFailed):
        accounts.login("lin", password)


def test_password_is_stored_as_argon2id(accounts: AccountStore, engine: Engine) -> None:
    password = accounts.add("lin", StaffRole.ADMIN)
    with Session(engine) as session:
        stored = session.scalars(select(UserRow.password_hash)).one()
    assert stored.startswith("$argon2id$")
    assert password not in stored


def test_tokens_are_stored_hashed(accounts: AccountStore, engine: Engine) -> None:
    accounts.add("lin", StaffRole.ADMIN)
    token = accounts.token("lin")
    with Session(engine) as session:
        assert session.get(SessionRow, token) is None
    user = accounts.resolve(token)
    assert user is not None
    assert user.name == "lin"


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "a/b", "new\nline"])
def test_bad_names_are_refused(accounts: AccountStore, name: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        accounts.add(name, StaffRole.AGENT)


def test_name_is_taken_once(accounts: AccountStore) -> None:
    accounts.add("小林", StaffRole.AGENT)
    with pytest.raises(AccountExists):
        accounts.add("小林", StaffRole.AGENT)


def test_login_expires(accounts: AccountStore, clock: Clock) -> None:
    token = accounts.login("lin", accounts.add("lin", StaffRole.AGENT))
    clock.forward(hours=11)
    assert accounts.resolve(token, kind="cookie") is not None
    clock.forward(hours=2)
    assert accounts.resolve(token, kind="cookie") is None


def test_cookie_is_no_api_token(accounts: AccountStore) -> None:
    cookie = accounts.login("lin", accounts.add("lin", StaffRole.AGENT))
    assert accounts.resolve(cookie) is None
    assert accounts.resolve(accounts.token("lin"), kind="cookie") is None


@pytest.mark.parametrize("name", ["lin", "nobody"])
def test_wrong_passwords_lock_for_growing_times(
    accounts: AccountStore, clock: Clock, name: str
) -> None:
    accounts.add("lin", StaffRole.AGENT)
    waits = []
    while len(waits) < 8:
        try:
            accounts.login(name, "wrong")
        except LoginLocked as locked:
            waits.append(locked.retry_after_s)
            clock.forward(seconds=locked.retry_after_s)
        except LoginFailed:
            continue
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640]


def test_right_password_is_refused_while_locked(accounts: AccountStore, clock: Clock) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    for _ in range(4):
        with pytest.raises(LoginFailed):
            accounts.login("lin", "wrong")
    with pytest.raises(LoginLocked):
        accounts.login("lin", password)
    clock.forward(seconds=6)
    assert accounts.login("lin", password)


def test_address_is_locked_across_names(accounts: AccountStore) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    for n in range(10):
        with pytest.raises(LoginFailed):
            accounts.login(f"guess{n}", "wrong", address="192.0.2.7")
    with pytest.raises(LoginLocked):
        accounts.login("lin", password, address="192.0.2.7")
    assert accounts.login("lin", password, address="192.0.2.8")


@pytest.mark.parametrize("new", ["short", "x" * 257])
def test_poor_passwords_are_rejected(accounts: AccountStore, new: str) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    with pytest.raises(PasswordRejected):
        accounts.change_password("lin", password, new)


def test_the_same_password_is_rejected(accounts: AccountStore) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    with pytest.raises(PasswordRejected):
        accounts.change_password("lin", password, password)


def test_changing_ends_other_logins(accounts: AccountStore) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    other = accounts.login("lin", password)
    api = accounts.token("lin")
    accounts.change_password("lin", password, "a better password")
    assert accounts.resolve(other, kind="cookie") is None
    assert accounts.resolve(api) is not None


@pytest.mark.parametrize("end", ["reset", "disable", "revoke"])
def test_sessions_end_at_once(accounts: AccountStore, end: str) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    cookie, token = accounts.login("lin", password), accounts.token("lin")
    getattr(accounts, end)("lin")
    assert accounts.resolve(cookie, kind="cookie") is None
    assert accounts.resolve(token) is None


def test_disabled_account_cannot_log_in(accounts: AccountStore) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    accounts.disable("lin")
    with pytest.raises(LoginFailed):
        accounts.login("lin", password)
    with pytest.raises(AccountNotFound, match="disabled"):
        accounts.token("lin")
    assert accounts.login("lin", accounts.reset("lin"))


def test_logout_ends_one_login(accounts: AccountStore) -> None:
    password = accounts.add("lin", StaffRole.AGENT)
    first, second = accounts.login("lin", password), accounts.login("lin", password)
    accounts.logout(first)
    assert accounts.resolve(first, kind="cookie") is None
    assert accounts.resolve(second, kind="cookie") is not None


def test_list_counts_open_sessions(accounts: AccountStore) -> None:
    accounts.add("ann", StaffRole.KNOWLEDGE)
    accounts.token("ann")
    (account,) = accounts.list()
    assert (account.name, account.role, account.n_sessions) == ("ann", "knowledge", 1)


@pytest.mark.parametrize("operation", ["reset", "disable", "revoke", "token"])
def test_unknown_account_is_named(accounts: AccountStore, operation: str) -> None:
    with pytest.raises(AccountNotFound, match="nobody"):
        getattr(accounts, operation)("nobody")
