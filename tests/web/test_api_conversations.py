import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from bot.types import ConversationId
from tests.fakes import FakeChatModel
from tests.web.kit import (
    RETURNS,
    bearer,
    build_services,
    is_problem,
    make_settings,
    staff_token,
    start,
    upload,
)
from web.app import create_app

SSE = {"Accept": "text/event-stream"}
QUESTION = "How much is gift wrapping?"
REPLY = {
    "message_id", "action", "text", "citations", "analysis", "grounding", "query", "suggestions",
    "adapter", "timings_ms", "reason", "handoff_offered",
}  # fmt: skip


def events(text: str) -> list[tuple[str, Any]]:
    frames = [frame for frame in text.split("\n\n") if frame and not frame.startswith(":")]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in (frame.split("\n") for frame in frames)
    ]


def test_answer_is_cited(client: TestClient, services: Services) -> None:
    made = upload(client, staff_token(services))
    path, headers = start(client)
    reply = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers).json()
    assert set(reply) >= REPLY
    (citation, *_) = reply["citations"]
    assert RETURNS[citation["start"] : citation["end"]] == citation["quote"]
    assert citation["document_id"] == made["document_id"]
    passage = client.get(
        f"/api/v1/messages/{reply['message_id']}/citations/{citation['n']}", headers=headers
    ).json()
    assert passage["quote"] == citation["quote"]
    assert passage["before"] + passage["quote"] + passage["after"] == RETURNS


def test_stream_ends_with_the_reply(client: TestClient, services: Services) -> None:
    upload(client, staff_token(services))
    path, headers = start(client)
    answer = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers | SSE)
    assert answer.headers["cache-control"].startswith("no-cache")
    assert answer.headers["x-accel-buffering"] == "no"
    seen = events(answer.text)
    assert "token" in [name for name, _ in seen]
    assert [name for name, _ in seen][-2:] == ["citations", "final"]
    assert set(seen[-1][1]) >= REPLY


def test_line_breaks_stay_inside_a_frame(
    client: TestClient, services: Services, model: FakeChatModel
) -> None:
    upload(client, staff_token(services))
    model._answer = lambda _: (
        "first\n\nevent: final\ndata: {}\n\nGift wrapping costs 3.20 euros [1]"
    )
    path, headers = start(client)
    answer = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers | SSE)
    assert [name for name, _ in events(answer.text)].count("final") == 1


def test_conversation_is_read_back(client: TestClient) -> None:
    path, headers = start(client, language="zh")
    client.post(f"{path}/messages", json={"text": "你好"}, headers=headers)
    shown = client.get(path, headers=headers).json()
    assert shown["language"] == "zh"
    assert [m["role"] for m in shown["messages"]] == ["customer", "bot"]
    assert all(m["status"] == "complete" for m in shown["messages"])
    assert all("prompt" not in m or m["prompt"] is None for m in shown["messages"])


def test_staff_sees_prompt_and_evidence(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    upload(client, token)
    path, headers = start(client)
    client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers)
    shown = client.get(path, headers=bearer(token)).json()["messages"][-1]
    assert "Gift wrapping" in shown["prompt"]
    assert shown["evidence"]


def test_repeated_client_id_gives_the_first_answer(client: TestClient) -> None:
    path, headers = start(client)
    body = {"text": "hello", "client_id": "c1"}
    first = client.post(f"{path}/messages", json=body, headers=headers).json()
    second = client.post(f"{path}/messages", json=body, headers=headers).json()
    assert first["message_id"] == second["message_id"]
    assert len(client.get(path, headers=headers).json()["messages"]) == 2


def test_answer_in_progress_is_a_conflict(client: TestClient, services: Services) -> None:
    path, headers = start(client)
    turn = services.chat.begin(ConversationId(path.rsplit("/", 1)[1]), "hello")
    answer = client.post(f"{path}/messages", json={"text": "again"}, headers=headers)
    assert is_problem(answer, 409)
    assert list(services.chat.stream(turn))


def test_full_queue_is_busy(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    model = FakeChatModel(max_waiting=0)
    services = build_services(settings, model)
    with TestClient(create_app(services, pages=False)) as client:
        upload(client, staff_token(services))
        path, headers = start(client)
        model._requests.append(object())
        answer = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers)
        assert is_problem(answer, 503)
        assert int(answer.headers["Retry-After"]) > 0
        assert client.get(path, headers=headers).json()["messages"] == []


def test_failing_model_gives_a_failure(
    client: TestClient, services: Services, model: FakeChatModel
) -> None:
    upload(client, staff_token(services))
    model.error = RuntimeError("secret detail")
    path, headers = start(client)
    answer = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers)
    streamed = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers | SSE)
    model.error = None
    assert is_problem(answer, 503)
    assert events(streamed.text)[-1][0] == "failure"
    assert "secret detail" not in answer.text + streamed.text


def test_regenerating_supersedes(client: TestClient, services: Services) -> None:
    upload(client, staff_token(services))
    path, headers = start(client)
    first = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers).json()
    second = client.post(f"/api/v1/messages/{first['message_id']}/regenerate", headers=headers)
    assert second.status_code == 200
    shown = client.get(path, headers=headers).json()["messages"]
    assert [m["id"] for m in shown if m["role"] == "bot"] == [second.json()["message_id"]]


def test_staff_see_what_was_superseded(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    upload(client, token)
    path, headers = start(client)
    first = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers).json()
    client.post(f"{path}/messages", json={"text": "Thanks"}, headers=headers)
    again = f"/api/v1/messages/{first['message_id']}/regenerate"
    second = client.post(again, headers=headers).json()
    theirs = client.get(path, headers=headers).json()["messages"]
    ours = client.get(path, headers=bearer(token)).json()["messages"]
    assert theirs[1]["id"] == second["message_id"]
    assert [m["id"] for m in ours[1:3]] == [first["message_id"], second["message_id"]]
    assert [m["superseded"] for m in ours] == [False, True, False, False, False]


def test_stop_without_an_answer_is_false(client: TestClient) -> None:
    path, headers = start(client)
    assert client.post(f"{path}/stop", headers=headers).json() == {"stopped": False}


def test_handoff_is_told(client: TestClient) -> None:
    path, headers = start(client)
    answer = client.post(f"{path}/handoff", json={}, headers=headers)
    assert answer.status_code == 202
    assert answer.json()["role"] == "system"
    assert client.get(path, headers=headers).json()["state"] == "queued"


def test_rating_and_feedback_are_kept(client: TestClient) -> None:
    path, headers = start(client)
    reply = client.post(f"{path}/messages", json={"text": "hello"}, headers=headers).json()
    feedback = f"/api/v1/messages/{reply['message_id']}/feedback"
    body = {"value": "down", "reason": "tone", "comment": "cold\x00"}
    assert client.post(feedback, json=body, headers=headers).status_code == 204
    rating = client.post(f"{path}/rating", json={"score": 2}, headers=headers)
    assert rating.status_code == 204
    shown = client.get(path, headers=headers).json()
    assert shown["rating"] == 2
    assert shown["messages"][-1]["feedback"] == {
        "value": "down", "reason": "tone", "comment": "cold",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("rating", {"score": 0}),
        ("rating", {"score": 6}),
        ("rating", {"score": "x"}),
        ("messages", {}),
        ("messages", {"text": 1}),
        ("messages", {"text": ""}),
        ("messages", {"text": "\u0000\u0007"}),
        ("messages", {"text": "x" * 50_000}),
        ("messages", {"text": "x", "client_id": ""}),
    ],
)
def test_bad_bodies_change_nothing(client: TestClient, path: str, body: Any) -> None:
    conversation, headers = start(client)
    answer = client.post(f"{conversation}/{path}", json=body, headers=headers)
    assert is_problem(answer, 422)
    assert len(answer.content) < 1000
    assert client.get(conversation, headers=headers).json()["messages"] == []


@pytest.mark.parametrize("content", [b"{bad", b"\xff\xfe", b"[1]", b""])
def test_malformed_json_is_refused(client: TestClient, content: bytes) -> None:
    path, headers = start(client)
    answer = client.post(
        f"{path}/messages", content=content, headers=headers | {"Content-Type": "application/json"}
    )
    assert is_problem(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_tokens_are_checked(client: TestClient) -> None:
    path, headers = start(client)
    _, others = start(client)
    assert is_problem(client.get(path), 401)
    assert is_problem(client.get(path, headers=bearer("made-up")), 403)
    assert is_problem(client.get(path, headers=others), 403)
    assert is_problem(client.get("/api/v1/conversations/nope", headers=headers), 404)
    for action in ("messages", "stop", "handoff", "rating"):
        body = {"text": "x", "score": 1}
        assert is_problem(client.post(f"{path}/{action}", json=body, headers=others), 403)


def test_messages_of_others_stay_closed(client: TestClient) -> None:
    path, headers = start(client)
    _, others = start(client)
    reply = client.post(f"{path}/messages", json={"text": "hello"}, headers=headers).json()
    message = f"/api/v1/messages/{reply['message_id']}"
    assert is_problem(client.get(f"{message}/citations/1", headers=others), 403)
    assert is_problem(client.post(f"{message}/regenerate", headers=others), 403)
    vote = client.post(f"{message}/feedback", json={"value": "up"}, headers=others)
    assert is_problem(vote, 403)
    assert is_problem(client.get(f"{message}/citations/9", headers=headers), 404)
    assert is_problem(client.get("/api/v1/messages/nope/citations/1", headers=headers), 404)


@pytest.mark.parametrize(("limit", "path"), [("conversations", ""), ("messages", "/messages")])
def test_addresses_are_limited(tmp_path: Path, limit: str, path: str) -> None:
    settings = make_settings(tmp_path, web={f"{limit}_per_minute": 2})
    services = build_services(settings, FakeChatModel())
    with TestClient(create_app(services, pages=False)) as client:
        conversation, headers = start(client)
        target = conversation + path if path else "/api/v1/conversations"
        seen = [client.post(target, json={"text": "hi"}, headers=headers) for _ in range(3)]
    assert is_problem(seen[-1], 429)
    assert 0 < int(seen[-1].headers["Retry-After"]) <= 60


KEY = "a-key-of-the-host-page-that-is-long-enough"


@pytest.mark.parametrize(
    ("key", "age_s", "verified"), [(KEY, 0, True), ("x" * 40, 0, False), (KEY, 7200, False)]
)
def test_customer_token_is_verified(tmp_path: Path, key: str, age_s: int, verified: bool) -> None:
    settings = make_settings(tmp_path, web={"customer_key": KEY})
    services = build_services(settings, FakeChatModel())
    expires = datetime.now(UTC) + timedelta(hours=1) - timedelta(seconds=age_s)
    token = jwt.encode({"sub": "c7", "language": "zh", "exp": expires}, key, algorithm="HS256")
    with TestClient(create_app(services, pages=False)) as client:
        path, _ = start(client, customer=token)
        kept = services.conversations.get(ConversationId(path.rsplit("/", 1)[1]))
    assert kept.customer is not None
    assert kept.customer["verified"] is verified
    assert kept.language == ("zh" if verified else "en")


def test_unsigned_customer_is_a_claim(client: TestClient, services: Services) -> None:
    path, _ = start(client, customer={"sub": "boss", "verified": True})
    kept = services.conversations.get(ConversationId(path.rsplit("/", 1)[1])).customer
    assert kept == {"verified": False, "claim": {"sub": "boss", "verified": True}}


def test_language_follows_the_browser(client: TestClient) -> None:
    headers = {"Accept-Language": "fr;q=0.3, zh-CN;q=0.9, en;q=0.5"}
    zh = client.post("/api/v1/conversations", json={}, headers=headers).json()
    en = client.post("/api/v1/conversations", json={"language": "en"}, headers=headers).json()
    assert zh["greeting"] != en["greeting"]


def test_many_streams_leave_the_server_awake(tmp_path: Path) -> None:
    said = "Gift wrapping costs 3.20 euros per book. " * 4
    model = FakeChatModel(answer=lambda _: said, token_delay_s=0.001)
    services = build_services(make_settings(tmp_path), model)
    with TestClient(create_app(services, pages=False)) as client:
        upload(client, staff_token(services))
        done: list[int] = []

        def ask() -> None:
            path, headers = start(client)
            body = {"text": QUESTION}
            answer = client.post(f"{path}/messages", json=body, headers=headers | SSE)
            done.append(answer.status_code)

        threads = [threading.Thread(target=ask) for _ in range(24)]
        for thread in threads:
            thread.start()
        slowest = 0.0
        while any(thread.is_alive() for thread in threads):
            started = time.perf_counter()
            client.get("/readyz")
            slowest = max(slowest, time.perf_counter() - started)
    assert done == [200] * 24
    assert slowest < 2.0
