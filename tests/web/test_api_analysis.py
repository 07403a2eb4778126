"""Understanding messages over HTTP: single and in batches, stored, and overwritten by people."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from bot.assembly import Services
from bot.settings import Settings
from bot.tables import AuditRow
from tests.fakes import FakeAnalyzer, FakeChatModel
from tests.web.kit import bearer, build_services, is_problem, staff_token, start, upload

ROLES = ("agent", "knowledge", "admin")


@pytest.fixture(scope="module")
def services(settings: Settings, model: FakeChatModel) -> Services:
    return build_services(settings, model, analyzer=FakeAnalyzer())


def ask(client: TestClient, text: str) -> tuple[str, dict[str, str]]:
    path, headers = start(client)
    client.post(f"{path}/messages", json={"text": text}, headers=headers)
    return path, headers


def asked(client: TestClient, path: str, headers: dict[str, str]) -> dict[str, Any]:
    messages = client.get(path, headers=headers).json()["messages"]
    found: dict[str, Any] = next(m for m in messages if m["role"] == "customer")
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_analyze(client: TestClient, services: Services, role: str) -> None:
    headers = bearer(staff_token(services, role))
    body = client.post("/api/v1/analyze", json={"text": "ANGRY 退款"}, headers=headers).json()
    assert body["intent"]["label"] == "refund"
    assert body["intent"]["top"][0] == ["refund", body["intent"]["confidence"]]
    assert body["sentiment"].keys() >= {"label", "confidence", "level"}
    assert body["complaint"] == {
        "is_complaint": True, "type": "refund", "severity": 3, "confidence": 0.6,
        "level": "medium", "reasons": ["money"],
    }  # fmt: skip
    assert (body["language"], body["urgent"], body["angry"], body["pii"]) == (
        "zh-Hans", False, True, [],
    )  # fmt: skip


def test_customers_may_not_analyze(client: TestClient) -> None:
    _, headers = start(client)
    assert is_problem(client.post("/api/v1/analyze", json={"text": "x"}, headers=headers), 401)
    assert is_problem(client.post("/api/v1/analyze", json={"text": "x"}), 401)


def test_batch_is_as_one_by_one(client: TestClient, services: Services) -> None:
    headers = bearer(staff_token(services))
    texts = ["hello", "", "ANGRY refund", "😀", "你好"]
    body = client.post("/api/v1/analyze", json={"texts": texts}, headers=headers).json()
    alone = [
        client.post("/api/v1/analyze", json={"text": text}, headers=headers).json()
        for text in texts
    ]
    assert (body["items"], body["total"]) == (alone, 5)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "text"),
        ({"text": "a", "texts": ["b"]}, "either"),
        ({"text": "x" * 20_001}, "20000"),
        ({"texts": ["x"] * 1001}, "1000"),
        ({"texts": ["x" * 20_000] * 30}, "500000"),
        ({"texts": "x"}, "list"),
        ({"text": 5}, "string"),
    ],
)
def test_wrong_bodies_say_what_was_expected(
    client: TestClient, services: Services, body: dict[str, object], said: str
) -> None:
    response = client.post("/api/v1/analyze", json=body, headers=bearer(staff_token(services)))
    assert is_problem(response, 422)
    assert said in response.json()["detail"]


def test_empty_batch_is_empty(client: TestClient, services: Services) -> None:
    headers = bearer(staff_token(services))
    body = client.post("/api/v1/analyze", json={"texts": []}, headers=headers).json()
    assert body == {"items": [], "total": 0}


def test_analysis_is_for_staff_alone(client: TestClient, services: Services) -> None:
    path, headers = ask(client, "ANGRY refund")
    own, staff = (
        asked(client, path, each) for each in (headers, bearer(staff_token(services, "agent")))
    )
    assert own["analysis"] is None
    assert staff["analysis"]["complaint"]["severity"] == 3
    conversation = client.get(path, headers=bearer(staff_token(services, "agent"))).json()
    assert conversation["priority"] == 3
    assert conversation["due_at"]
    own_view = client.get(path, headers=headers).json()
    assert own_view["priority"] is None
    replies = [m["reply"] for m in own_view["messages"] if m["reply"]]
    assert set(replies[0]["analysis"]) == {"language", "intent"}


def test_corrected_label_is_in_force_with_lineage(client: TestClient, services: Services) -> None:
    path, _ = ask(client, "ANGRY refund")
    headers = bearer(staff_token(services, "agent"))
    url = f"/api/v1/messages/{asked(client, path, headers)['id']}/labels"
    for task, label in (("intent", "return"), ("severity", "1"), ("intent", "exchange")):
        made = client.post(url, json={"task": task, "label": label}, headers=headers)
        assert made.status_code == 201
    message = asked(client, path, headers)
    assert message["analysis"]["intent"]["label"] == "exchange"
    assert message["analysis"]["complaint"]["severity"] == 1
    assert [(each["task"], each["old_label"], each["new_label"]) for each in message["labels"]] == [
        ("intent", "refund", "return"), ("severity", "3", "1"), ("intent", "return", "exchange"),
    ]  # fmt: skip
    assert {each["author"] for each in message["labels"]} == {"agent"}
    assert client.get(path, headers=headers).json()["priority"] == 1
    with services.engine.connect() as connection:
        audited = connection.execute(
            select(AuditRow.actor, AuditRow.detail).where(AuditRow.target == message["id"])
        ).all()
    assert ("agent", {"task": "severity", "old": "3", "new": "1"}) in [
        tuple(row) for row in audited
    ]


def test_resolution_is_drawn_from_the_documents(client: TestClient, services: Services) -> None:
    upload(client, staff_token(services))
    path, customer = ask(client, "ANGRY about gift wrapping per book")
    agent = bearer(staff_token(services, "agent"))
    url = f"/api/v1/messages/{asked(client, path, agent)['id']}/resolution"
    passage = client.get(url, headers=agent).json()["passage"]
    assert passage["document"] == "returns.md"
    assert "3.20" in passage["text"]
    assert is_problem(client.get(url, headers=customer), 401)


def test_corrections_are_checked(client: TestClient, services: Services) -> None:
    path, customer = ask(client, "refund")
    agent = bearer(staff_token(services, "agent"))
    message = asked(client, path, agent)["id"]
    url = f"/api/v1/messages/{message}/labels"
    right = {"task": "intent", "label": "refund"}
    assert is_problem(client.post(url, json={"task": "intent", "label": "x"}, headers=agent), 422)
    assert is_problem(client.post(url, json={"task": "mood", "label": "x"}, headers=agent), 422)
    assert is_problem(client.post(url, json=right, headers=customer), 401)
    knowledge = bearer(staff_token(services, "knowledge"))
    assert is_problem(client.post(url, json=right, headers=knowledge), 403)
    unknown = "/api/v1/messages/nope/labels"
    assert is_problem(client.post(unknown, json=right, headers=agent), 404)
