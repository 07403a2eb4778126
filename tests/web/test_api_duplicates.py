"""Duplicates over HTTP: the rule of an upload, the mark in the list, and settling it."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.knowledge_kit import long_text
from tests.web.kit import bearer, is_problem, staff_token, upload

DOCUMENTS = "/api/v1/documents"
TEXT = long_text(4, topic="lamp")
NEAR = TEXT.replace("Paragraph 2", "Section two")


@pytest.fixture
def token(services: Services) -> str:
    return staff_token(services)


@pytest.fixture
def first(client: TestClient, token: str, services: Services) -> Iterator[str]:
    yield upload(client, token, name="lamp.txt", text=TEXT)["document_id"]
    for document in services.documents.list():
        services.documents.remove(document.id, actor="tests")


def send(client: TestClient, token: str, name: str, rule: str) -> Any:
    """Uploads the near copy and waits until its job has ended."""
    made = client.post(
        DOCUMENTS,
        files={"file": (name, NEAR.encode())},
        data={"on_duplicate": rule},
        headers=bearer(token),
    )
    assert made.status_code == 202, made.text
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        path = f"/api/v1/jobs/{made.json()['job_id']}"
        job = client.get(path, headers=bearer(token)).json()
        if job["state"] in ("succeeded", "failed", "cancelled"):
            return made.json() | job
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def listed(client: TestClient, token: str) -> dict[str, Any]:
    items = client.get(DOCUMENTS, headers=bearer(token)).json()["items"]
    return {item["name"]: item for item in items}


def test_a_kept_duplicate_says_what_it_is_like(client: TestClient, token: str, first: str) -> None:
    send(client, token, "near.txt", "keep")
    found = listed(client, token)
    assert found["lamp.txt"]["like"] is None
    like = found["near.txt"]["like"]
    assert (like["document_id"], like["name"]) == (first, "lamp.txt")
    assert 0.85 <= like["share"] < 1


def test_a_skipped_duplicate_says_why(client: TestClient, token: str, first: str) -> None:
    job = send(client, token, "near.txt", "skip")
    assert job["state"] == "cancelled"
    assert "% like 'lamp.txt'" in job["error"]
    found = listed(client, token)["near.txt"]
    assert (found["status"], found["health"]) == ("skipped", "skipped")


def test_a_replacing_duplicate_becomes_a_version(
    client: TestClient, token: str, first: str
) -> None:
    assert send(client, token, "near.txt", "replace")["state"] == "succeeded"
    found = listed(client, token)
    assert {name: (one["id"], one["version"]) for name, one in found.items()} == {
        "near.txt": (first, 2)
    }


def test_both_are_kept_on_request(client: TestClient, token: str, first: str) -> None:
    near = send(client, token, "near.txt", "keep")["document_id"]
    path = f"{DOCUMENTS}/{near}/duplicate/keep"
    assert client.post(path, headers=bearer(token)).status_code == 204
    assert listed(client, token)["near.txt"]["like"] is None


def test_the_other_is_replaced_on_request(
    client: TestClient, token: str, first: str, services: Services
) -> None:
    near = send(client, token, "near.txt", "keep")["document_id"]
    path = f"{DOCUMENTS}/{near}/duplicate/replace"
    accepted = client.post(path, headers=bearer(token))
    assert (accepted.status_code, accepted.json()["document_id"]) == (202, first)
    assert list(listed(client, token)) in (["near.txt"], ["lamp.txt"])
    assert is_problem(client.post(path, headers=bearer(token)), 422)


def test_unknown_rules_and_agents_are_refused(
    client: TestClient, token: str, first: str, services: Services
) -> None:
    files = {"file": ("a.txt", b"words")}
    wrong = client.post(
        DOCUMENTS, files=files, data={"on_duplicate": "merge"}, headers=bearer(token)
    )
    assert is_problem(wrong, 422)
    agent = bearer(staff_token(services, "agent"))
    for choice in ("keep", "replace"):
        refused = client.post(f"{DOCUMENTS}/{first}/duplicate/{choice}", headers=agent)
        assert is_problem(refused, 403)
