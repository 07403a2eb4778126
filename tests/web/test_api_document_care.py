from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.web.kit import bearer, is_problem, settle, staff_token, start, upload

DOCUMENTS = "/api/v1/documents"
SECRET = "# Margin\n\nThe wholesale margin on fountain pens is 41 percent.\n"
QUESTION = "What is the wholesale margin on fountain pens?"


@pytest.fixture
def token(services: Services) -> str:
    return staff_token(services)


@pytest.fixture
def document(client: TestClient, token: str) -> Iterator[str]:
    made = upload(client, token, name="margin.md", text=SECRET)["document_id"]
    yield made
    client.delete(f"{DOCUMENTS}/{made}", headers=bearer(token))


def change(client: TestClient, token: str, document: str, **fields: Any) -> Any:
    return client.patch(f"{DOCUMENTS}/{document}", json=fields, headers=bearer(token))


def ask(client: TestClient) -> tuple[Any, dict[str, str]]:
    path, headers = start(client, language="en")
    answer = client.post(f"{path}/messages", json={"text": QUESTION}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json(), headers


def is_found(client: TestClient, token: str, audience: str | None = None) -> bool:
    params = {"q": QUESTION} | ({"audience": audience} if audience else {})
    found = client.get("/api/v1/search", params=params, headers=bearer(token)).json()
    return "margin.md" in [hit["document"] for hit in found["hits"]]


def last_bot_message(services: Services, reply: dict[str, Any]) -> Any:
    return services.conversations.message(reply["message_id"])


def test_staff_only_document_never_reaches_a_customer(
    client: TestClient, services: Services, token: str, document: str
) -> None:
    assert change(client, token, document, visibility="staff").status_code == 200
    reply, _ = ask(client)
    message = last_bot_message(services, reply)
    said = {name: value for name, value in reply.items() if name != "timings_ms"}
    assert "41 percent" not in str(said)
    assert "margin.md" not in str(said)
    assert "41 percent" not in str(message.evidence) + str(message.prompt)
    assert not is_found(client, token)
    assert is_found(client, token, "staff")


def test_citation_closes_when_its_document_becomes_staff_only(
    client: TestClient, token: str, document: str
) -> None:
    reply, headers = ask(client)
    assert reply["citations"][0]["document"] == "margin.md"
    path = f"/api/v1/messages/{reply['message_id']}/citations/1"
    assert client.get(path, headers=headers).status_code == 200
    change(client, token, document, visibility="staff")
    assert is_problem(client.get(path, headers=headers), 404)
    assert client.get(path, headers=bearer(token)).status_code == 200


def test_quotes_leave_the_conversation_of_a_closed_document(
    client: TestClient, token: str, document: str
) -> None:
    path, headers = start(client, language="en")
    body = {"text": QUESTION, "client_id": "once-0001"}
    reply = client.post(f"{path}/messages", json=body, headers=headers).json()
    assert reply["citations"]
    change(client, token, document, visibility="staff")
    for_customer = client.get(path, headers=headers).json()["messages"][-1]["reply"]
    replayed = client.post(f"{path}/messages", json=body, headers=headers).json()
    for_staff = client.get(path, headers=bearer(token)).json()["messages"][-1]["reply"]
    assert (for_customer["citations"], replayed["citations"]) == ([], [])
    assert for_customer["text"] == replayed["text"] == reply["text"]
    assert for_staff["citations"] == reply["citations"]


@pytest.mark.parametrize(("field", "days"), [("effective_from", 1), ("expires_at", -1)])
def test_dates_are_held_at_the_search(
    client: TestClient, token: str, document: str, field: str, days: int
) -> None:
    moment = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    shown = change(client, token, document, **{field: moment}).json()
    assert shown["health"] == {"effective_from": "not_yet", "expires_at": "expired"}[field]
    assert not is_found(client, token)
    change(client, token, document, **{field: None})
    assert is_found(client, token)


def test_archived_document_is_not_searched_but_kept(
    client: TestClient, token: str, document: str
) -> None:
    assert change(client, token, document, archived=True).json()["health"] == "archived"
    assert not is_found(client, token, "staff")
    path = f"{DOCUMENTS}/{document}"
    assert client.get(path, headers=bearer(token)).json()["text"] == SECRET
    change(client, token, document, archived=False)
    assert is_found(client, token)


def test_list_is_filtered(client: TestClient, token: str, document: str) -> None:
    change(client, token, document, tags=[" price ", "price"], visibility="staff", language="zh")
    wanted = {"tag": "price", "status": "ready", "visibility": "staff", "q": "MARG"}
    found = client.get(DOCUMENTS, params=wanted, headers=bearer(token)).json()
    assert [item["name"] for item in found["items"]] == ["margin.md"]
    assert (found["items"][0]["tags"], found["items"][0]["language"]) == (["price"], "zh")
    none = client.get(DOCUMENTS, params={"tag": "other"}, headers=bearer(token)).json()
    assert none["total"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": "everyone"},
        {"tags": ["x" * 41]},
        {"language": "fr"},
        {"expires_at": "2026-01-01T00:00:00"},
        {"effective_from": "2026-02-01T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"},
        {"title": "other"},
    ],
)
def test_wrong_changes_are_refused(
    client: TestClient, token: str, document: str, fields: dict[str, Any]
) -> None:
    assert is_problem(change(client, token, document, **fields), 422)


def test_agents_may_not_change_documents(
    client: TestClient, services: Services, document: str
) -> None:
    agent = staff_token(services, "agent")
    assert is_problem(change(client, agent, document, visibility="staff"), 403)


def test_rollback_is_a_new_version(client: TestClient, services: Services, token: str,
                                   document: str) -> None:  # fmt: skip
    upload(client, token, name="margin.md", text=SECRET.replace("41", "39"))
    path = f"{DOCUMENTS}/{document}"
    parts = client.get(f"{path}/diff", params={"old": 1, "new": 2}, headers=bearer(token)).json()[
        "parts"
    ]
    changed = {part["kind"]: part["text"] for part in parts if part["kind"] != "same"}
    assert ("41" in changed["removed"], "39" in changed["added"]) == (True, True)
    client.post(f"{path}/rollback", params={"version": 1}, headers=bearer(token))
    settle(services)
    listed = client.get(f"{path}/versions", headers=bearer(token)).json()
    assert [item["version"] for item in listed["items"]] == [3, 2, 1]
    assert listed["items"][0]["author"] == "admin"
    assert client.get(path, headers=bearer(token)).json()["text"] == SECRET


def test_conversations_that_used_a_document_are_counted(
    client: TestClient, token: str, document: str
) -> None:
    ask(client)
    ask(client)
    path = f"{DOCUMENTS}/{document}"
    assert client.get(path, headers=bearer(token)).json()["n_conversations"] == 2
