import json
import logging

import pytest
from fastapi.testclient import TestClient

import bot.errors
import knowledge.errors
from bot.assembly import Services
from bot.catalogue import load_catalogue
from bot.events import Citations, Failure, Status, Token
from tests.web.kit import is_problem, start
from web.errors import KINDS, STATUS, describe, kind_of
from web.language import ui_language
from web.limits import RateLimiter
from web.logs import JsonFormatter
from web.streaming import encode


@pytest.mark.parametrize("package", [bot.errors, knowledge.errors])
def test_every_error_has_a_kind(package: object) -> None:
    for value in vars(package).values():
        if isinstance(value, type) and issubclass(value, Exception):
            kind = next(KINDS[c] for c in value.__mro__ if c in KINDS)
            assert kind in STATUS


@pytest.mark.parametrize("kind", sorted(STATUS))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_kind_is_worded(kind: str, language: str) -> None:
    catalogue = load_catalogue()
    assert catalogue.text(f"errors.{kind}", language)
    assert catalogue.text(f"errors.{kind}_detail", language)


def test_unexpected_errors_say_nothing() -> None:
    error = RuntimeError("password=secret")
    assert kind_of(error) == "internal"
    assert "secret" not in " ".join(describe(error, load_catalogue(), "en"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("DELETE", "/healthz", 405), ("GET", "/api/v1/nope", 404)],
)
def test_routing_errors_are_problems(
    client: TestClient, method: str, path: str, status: int
) -> None:
    assert is_problem(client.request(method, path), status)


def test_problems_are_in_the_readers_language(client: TestClient) -> None:
    answer = client.get("/nope", headers={"Accept-Language": "zh-TW,en;q=0.8"})
    assert answer.json()["title"] == "未找到"


def test_large_message_body_is_refused(client: TestClient) -> None:
    path, headers = start(client)
    answer = client.post(f"{path}/messages", json={"text": "x" * 2_000_000}, headers=headers)
    assert is_problem(answer, 413)
    length = headers | {"Content-Length": "abc"}
    assert is_problem(client.post(f"{path}/messages", content=b"{}", headers=length), 400)


def test_nothing_is_fetched_for_documentation(client: TestClient) -> None:
    assert client.get("/api/openapi.json").json()["info"]["title"] == "Kefu"
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404


def test_readiness_names_what_is_missing(client: TestClient, services: Services) -> None:
    assert client.get("/readyz").json()["status"] == "ready"
    held, services.indexes._held = services.indexes._held, None
    answer = client.get("/readyz")
    services.indexes._held = held
    assert answer.status_code == 503
    assert answer.json()["checks"] == {
        "database": True, "model": True, "index": False, "intake": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-Hant-TW", "zh"),
        ("fr", "en"),
        ("en;q=0.4, zh;q=0.5", "zh"),
        ("zh;q=0.4, en", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x", "en"),
        ("en, zh", "en"),
    ],
)
def test_language_of_a_header(header: str, language: str) -> None:
    assert ui_language(header) == language


def test_limiter_slides_and_forgets() -> None:
    now = [0.0]
    limiter = RateLimiter(2, window_s=60, clock=lambda: now[0], max_keys=2)
    assert [limiter.wait_s("a") for _ in range(3)] == [0, 0, 60]
    now[0] = 59.5
    assert limiter.wait_s("a") == 1
    assert limiter.wait_s("b") == 0
    now[0] = 60.0
    assert limiter.wait_s("a") == 0
    limiter.wait_s("c")
    assert limiter.wait_s("b") == 0


@pytest.mark.parametrize(
    ("event", "name", "data"),
    [
        (Status("queued", 2), "status", {"stage": "queued", "position": 2}),
        (Status("searching"), "status", {"stage": "searching"}),
        (Token("a\n\n是 "), "token", {"text": "a\n\n是 "}),
        (Citations(()), "citations", []),
        (Failure("t", "d", "r"), "failure", {"title": "t", "detail": "d", "reference": "r"}),
    ],
)
def test_frames_carry_events(event: object, name: str, data: object) -> None:
    first, second, *rest = encode(event).split("\n")  # type: ignore[arg-type]
    assert first == f"event: {name}"
    assert json.loads(second.removeprefix("data: ")) == data
    assert rest == ["", ""]


def test_request_log_has_no_text(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        path, headers = start(client)
        client.post(f"{path}/messages?q=query-secret", json={"text": "topsecret"}, headers=headers)
    lines = [JsonFormatter().format(record) for record in caplog.records if record.name != "httpx2"]
    assert any('"route"' in line and '"reference"' in line for line in lines)
    for secret in ("topsecret", "query-secret", headers["Authorization"].split()[1]):
        assert not any(secret in line for line in lines)


def test_log_lines_are_json() -> None:
    record = logging.makeLogRecord({"msg": "two\nlines %s", "args": ("您好",), "status": 200})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["status"] == 200
    assert json.loads(line)["message"] == "two\nlines 您好"
