from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bot.accounts import AccountStore, StaffRole
from bot.assembly import Services
from tests.fakes import FakeChatModel
from tests.web.kit import (
    QUICK,
    bearer,
    build_services,
    is_problem,
    make_settings,
    staff_token,
    start,
)
from web.app import create_app
from web.security import COOKIE, ROLE_ACCESS, load_secret

ORIGIN = {"Origin": "http://testserver"}
ALL = ("agent", "knowledge", "admin")
KEEPERS = ("knowledge", "admin")
OWN = "a password of my own"


def log_in(client: TestClient, name: str, password: str, target: str = "") -> object:
    form = {"name": name, "password": password, "next": target}
    return client.post("/auth/login", data=form, headers=ORIGIN, follow_redirects=False)


def ready_account(services: Services, name: str, role: str = "admin") -> str:
    """An account whose one-time password was changed."""
    services.accounts.change_password(name, services.accounts.add(name, StaffRole(role)), OWN)
    return OWN


@pytest.mark.parametrize("role", [*ALL, None])
@pytest.mark.parametrize(
    ("method", "path", "roles"),
    [
        ("GET", "/api/v1/documents", ALL),
        ("GET", "/api/v1/documents/x", ALL),
        ("GET", "/api/v1/documents/x/chunks", ALL),
        ("POST", "/api/v1/documents", KEEPERS),
        ("PUT", "/api/v1/documents/x", KEEPERS),
        ("DELETE", "/api/v1/documents/x", KEEPERS),
        ("GET", "/api/v1/jobs/x", ALL),
        ("POST", "/api/v1/jobs/x/cancel", KEEPERS),
        ("POST", "/api/v1/jobs/x/retry", KEEPERS),
        ("GET", "/api/v1/search?q=x", ALL),
        ("GET", "/api/v1/conversations/x", ("agent", "admin")),
    ],
)
def test_roles_open_their_routes_only(
    client: TestClient, services: Services, method: str, path: str, roles: tuple[str], role: str
) -> None:
    headers = bearer(staff_token(services, role)) if role else {}
    if path.endswith("conversations/x"):
        path, _ = start(client)
    files = {"file": ("x.gif", b"x")} if method in ("POST", "PUT") else None
    status = client.request(method, path, headers=headers, files=files).status_code
    if role is None:
        assert status == 401
    else:
        assert (status == 403) == (role not in roles)


def test_every_role_may_do_something() -> None:
    assert {role for roles in ROLE_ACCESS.values() for role in roles} == set(StaffRole)


def test_first_login_leads_to_a_new_password(client: TestClient, services: Services) -> None:
    password = services.accounts.add("newcomer", StaffRole.AGENT)
    answer = log_in(client, "newcomer", password, "/staff/transcripts")
    assert answer.headers["location"] == "/auth/password?next=/staff/transcripts"
    page = client.get("/staff/transcripts", follow_redirects=False)
    assert page.headers["location"].startswith("/auth/password")
    assert is_problem(client.get("/api/v1/documents"), 403)
    form = {"current": password, "new": OWN, "again": OWN, "next": "/staff/transcripts"}
    done = client.post("/auth/password", data=form, headers=ORIGIN, follow_redirects=False)
    assert done.headers["location"] == "/staff/transcripts"
    assert client.get("/api/v1/documents").status_code == 200
    client.post("/auth/logout", headers=ORIGIN)
    assert is_problem(client.get("/api/v1/documents"), 401)


def test_cookie_is_protected(client: TestClient, services: Services) -> None:
    answer = log_in(client, "cook", ready_account(services, "cook"))
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    client.cookies.clear()


def test_secure_cookie_by_setting(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, web={"secure_cookies": True})
    services = build_services(settings, FakeChatModel())
    with TestClient(create_app(services, pages=False)) as client:
        answer = log_in(client, "lin", ready_account(services, "lin"))
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("value", ["made-up", "made-up.abc", "", "."])
def test_unsigned_cookie_is_nobody(client: TestClient, value: str) -> None:
    answer = client.get("/api/v1/documents", headers={"Cookie": f"{COOKIE}={value}"})
    assert is_problem(answer, 401)


def test_expired_login_is_sent_to_the_login_page(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    services = build_services(make_settings(tmp_path), FakeChatModel())
    clock = [now]
    accounts = AccountStore(services.engine, login_hours=1, clock=lambda: clock[0], hasher=QUICK)
    object.__setattr__(services, "accounts", accounts)
    with TestClient(create_app(services, pages=False)) as client:
        log_in(client, "lin", ready_account(services, "lin"))
        assert client.get("/api/v1/documents").status_code == 200
        clock[0] = now + timedelta(hours=2)
        assert is_problem(client.get("/api/v1/documents"), 401)
        page = client.get("/staff/knowledge", follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/staff/knowledge")


@pytest.mark.parametrize(
    ("path", "method"), [("/staff/gradio_api/queue/join", "POST"), ("/staff/upload", "POST")]
)
def test_page_events_need_a_login(client: TestClient, path: str, method: str) -> None:
    assert is_problem(client.request(method, path, headers=ORIGIN), 401)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/"},
    ],
)
def test_foreign_forms_are_refused(
    client: TestClient, services: Services, headers: dict[str, str]
) -> None:
    form = {"name": "x", "password": "y"}
    assert is_problem(client.post("/auth/login", data=form, headers=headers), 403)


def test_cookie_changes_need_our_origin(client: TestClient, services: Services) -> None:
    log_in(client, "ori", ready_account(services, "ori"))
    assert is_problem(client.delete("/api/v1/documents/x"), 403)
    assert is_problem(client.delete("/api/v1/documents/x", headers=ORIGIN), 404)
    token = bearer(staff_token(services))
    assert is_problem(client.delete("/api/v1/documents/x", headers=token), 404)
    client.cookies.clear()


def test_trusted_origin_may_post(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, web={"trusted_origins": "https://help.example, https://b"})
    with TestClient(create_app(build_services(settings, FakeChatModel()), pages=False)) as client:
        form = {"name": "x", "password": "y"}
        origin = {"Origin": "https://help.example"}
        assert client.post("/auth/login", data=form, headers=origin).status_code == 401


def test_wrong_password_is_said_in_the_page(client: TestClient, services: Services) -> None:
    ready_account(services, "wrong")
    headers = ORIGIN | {"Accept-Language": "zh-CN"}
    form = {"name": "wrong<b>", "password": "bad"}
    answer = client.post("/auth/login", data=form, headers=headers)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "用户名或密码错误" in answer.text
    assert "wrong<b>" not in answer.text
    assert 'href="/login?lang=en' in answer.text


def test_too_many_passwords_are_slowed(tmp_path: Path) -> None:
    services = build_services(make_settings(tmp_path), FakeChatModel())
    with TestClient(create_app(services, pages=False)) as client:
        for _ in range(4):
            log_in(client, "somebody", "guess")
        answer = log_in(client, "somebody", "guess")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb", ""]
)
def test_login_leads_only_to_our_pages(client: TestClient, services: Services, target: str) -> None:
    name = f"to{abs(hash(target))}"
    answer = log_in(client, name, ready_account(services, name), target)
    assert answer.headers["location"] == "/staff/"
    client.cookies.clear()


def _names(services: Services) -> set[str]:
    return {account.name for account in services.accounts.list()}


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"current": OWN, "new": "short", "again": "short"}, "10 to 256"),
        ({"current": OWN, "new": "x" * 12, "again": "y" * 12}, "differ"),
        ({"current": "bad", "new": "x" * 12, "again": "x" * 12}, "Wrong name or password"),
    ],
)
def test_bad_password_change_is_explained(
    client: TestClient, services: Services, form: dict[str, str], shown: str
) -> None:
    name = f"change{len(_names(services))}"
    log_in(client, name, ready_account(services, name))
    answer = client.post("/auth/password", data=form, headers=ORIGIN)
    assert answer.status_code in (401, 422)
    assert shown in answer.text
    client.cookies.clear()


def test_login_pages_name_no_other_host(client: TestClient) -> None:
    page = client.get("/login", params={"lang": "zh"})
    assert '<html lang="zh-CN">' in page.text
    assert "http" not in page.text
    assert "<script" not in page.text


def test_pages_carry_protecting_headers(client: TestClient) -> None:
    for path in ("/login", "/healthz", "/nope", "/api/v1/documents"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors" in headers["content-security-policy"]
        assert "http" not in headers["content-security-policy"]


def test_secret_is_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    first = load_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_secret(path) == first
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="delete it"):
        load_secret(path)


@pytest.mark.parametrize("prefix", ["", "/kefu"])
def test_sub_path_works_stripped_or_not(tmp_path: Path, prefix: str) -> None:
    settings = make_settings(tmp_path, web={"root_path": "/kefu"})
    services = build_services(settings, FakeChatModel())
    with TestClient(create_app(services, pages=False)) as client:
        assert client.get(f"{prefix}/healthz").status_code == 200
        page = client.get(f"{prefix}/staff/knowledge", follow_redirects=False)
        assert page.headers["location"] == "/kefu/login?next=/staff/knowledge"
        form = {"name": "lin", "password": ready_account(services, "lin")}
        done = client.post(
            f"{prefix}/auth/login", data=form, headers=ORIGIN, follow_redirects=False
        )
    assert done.headers["location"] == "/kefu/staff/"
    assert "Path=/kefu" in done.headers["set-cookie"]


def test_changes_are_audited(client: TestClient, services: Services) -> None:
    from sqlalchemy import select

    from bot.tables import AuditRow

    log_in(client, "aud", ready_account(services, "aud"))
    client.cookies.clear()
    with services.engine.connect() as connection:
        rows = connection.execute(select(AuditRow.actor, AuditRow.action)).all()
    assert ("aud", "login") in [tuple(row) for row in rows]
