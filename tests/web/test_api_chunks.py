"""Passages over HTTP: edits, additions, pins, questions; who may, and what is recorded."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from bot.assembly import Services
from bot.question_writing import questions_in
from bot.tables import AuditRow
from tests.fakes import FakeChatModel
from tests.web.kit import bearer, is_problem, staff_token, upload


@pytest.fixture(scope="module")
def writer(services: Services, client: TestClient) -> dict[str, str]:
    return bearer(staff_token(services, "knowledge"))


@pytest.fixture
def document(client: TestClient, services: Services) -> str:
    return upload(client, staff_token(services, "knowledge"))["document_id"]


def first_chunk(client: TestClient, document: str, headers: dict[str, str]) -> int:
    found = client.get(f"/api/v1/documents/{document}/chunks", headers=headers).json()
    return int(found["items"][0]["id"])


def found_texts(client: TestClient, query: str, headers: dict[str, str]) -> list[str]:
    hits = client.get("/api/v1/search", params={"q": query}, headers=headers).json()["hits"]
    return [hit["text"] for hit in hits]


def test_an_edit_is_searched_and_recorded(
    client: TestClient, services: Services, document: str, writer: dict[str, str]
) -> None:
    chunk = first_chunk(client, document, writer)
    body = {"text": "Zephyr wrapping costs 4 euros.", "pinned": True}
    edited = client.patch(f"/api/v1/chunks/{chunk}", json=body, headers=writer).json()
    assert (edited["edited"], edited["origin"], edited["pinned"]) == (True, "edited", True)
    assert edited["edited_by"] == "knowledge"
    assert found_texts(client, "zephyr wrapping", writer)[0] == body["text"]
    text = client.get(f"/api/v1/documents/{document}", headers=writer).json()["text"]
    assert text[edited["start"] : edited["end"]] == edited["text"]
    with Session(services.engine) as session:
        entry = session.scalars(select(AuditRow).order_by(AuditRow.id.desc())).first()
    assert entry is not None
    assert (entry.action, entry.target) == ("chunk.change", str(chunk))
    assert entry.detail["changed"] == ["pinned", "text"]


def test_a_passage_is_added_and_taken_away(
    client: TestClient, document: str, writer: dict[str, str]
) -> None:
    path = f"/api/v1/documents/{document}/chunks"
    made = client.post(path, json={"text": "Quokkas ride free."}, headers=writer)
    assert (made.status_code, made.json()["origin"]) == (201, "added")
    assert "Quokkas ride free." in found_texts(client, "quokkas", writer)
    chunk = f"/api/v1/chunks/{made.json()['id']}"
    assert client.delete(chunk, headers=writer).status_code == 204
    assert is_problem(client.get(chunk, headers=writer), 404)


def test_questions_are_attached_and_removed(
    client: TestClient, document: str, writer: dict[str, str]
) -> None:
    path = f"/api/v1/chunks/{first_chunk(client, document, writer)}/questions"
    made = client.post(path, json={"questions": ["Is the wombat gratis?"]}, headers=writer).json()
    assert found_texts(client, "wombat gratis", writer)
    question = f"/api/v1/questions/{made['items'][0]['id']}"
    assert client.delete(question, headers=writer).status_code == 204
    assert client.get(path, headers=writer).json() == {"items": [], "total": 0}


def test_the_model_proposes_and_a_person_approves(
    client: TestClient, model: FakeChatModel, document: str, writer: dict[str, str]
) -> None:
    path = f"/api/v1/chunks/{first_chunk(client, document, writer)}/questions"
    model.answer_next("1. What does a numbat cost?\n- What does a numbat cost?\nIt costs 3 euros.")
    made = client.post(f"{path}/propose", headers=writer).json()
    assert [(one["text"], one["state"]) for one in made["items"]] == [
        ("What does a numbat cost?", "proposed")
    ]
    approve = f"/api/v1/questions/{made['items'][0]['id']}/approve"
    assert client.post(approve, headers=writer).json()["state"] == "approved"


def test_agents_read_passages_and_change_none(
    client: TestClient, services: Services, document: str, writer: dict[str, str]
) -> None:
    chunk = first_chunk(client, document, writer)
    agent = bearer(staff_token(services, "agent"))
    assert client.get(f"/api/v1/chunks/{chunk}", headers=agent).status_code == 200
    calls = [
        client.patch(f"/api/v1/chunks/{chunk}", json={"enabled": False}, headers=agent),
        client.delete(f"/api/v1/chunks/{chunk}", headers=agent),
        client.post(f"/api/v1/documents/{document}/chunks", json={"text": "x"}, headers=agent),
        client.post(f"/api/v1/chunks/{chunk}/questions", json={"questions": ["x"]}, headers=agent),
    ]
    assert all(is_problem(call, 403) for call in calls)


@pytest.mark.parametrize(
    ("body", "status"),
    [({"text": " "}, 422), ({"text": "x" * 5000}, 422), ({"start": 3}, 422)],
)
def test_bad_changes_are_refused(
    client: TestClient, document: str, writer: dict[str, str], body: dict[str, object], status: int
) -> None:
    chunk = first_chunk(client, document, writer)
    assert is_problem(client.patch(f"/api/v1/chunks/{chunk}", json=body, headers=writer), status)


def test_unknown_passages_are_not_found(client: TestClient, writer: dict[str, str]) -> None:
    patch = client.patch("/api/v1/chunks/999999", json={"enabled": True}, headers=writer)
    assert is_problem(patch, 404)
    assert is_problem(client.delete("/api/v1/questions/999999", headers=writer), 404)


def test_only_question_lines_are_taken() -> None:
    said = "好的：\n1、运费多少？\nQ2: 多久能到？\n多久能到？\n不知道。\n?\n" + "长" * 130 + "？"
    assert questions_in(said) == ["运费多少？", "多久能到？"]
