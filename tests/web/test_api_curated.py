"""Curated answers over HTTP and in the chat: word for word, with a history."""

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.fakes import FakeChatModel
from tests.web.kit import bearer, is_problem, staff_token, start

ANSWER = "Zephyrs ship free.\n\nThey arrive on Monday."
BODY = {"language": "en", "text": ANSWER, "questions": ["Do zephyrs ship for free?"]}
PATH = "/api/v1/curated"


@pytest.fixture(scope="module")
def writer(services: Services, client: TestClient) -> dict[str, str]:
    return bearer(staff_token(services, "knowledge"))


def test_a_curated_answer_is_given_word_for_word(
    client: TestClient, model: FakeChatModel, writer: dict[str, str]
) -> None:
    made = client.post(PATH, json=BODY, headers=writer)
    assert made.status_code == 201
    path, own = start(client, language="en")
    asked = {"text": "do zephyrs ship for free"}
    reply = client.post(f"{path}/messages", json=asked, headers=own).json()
    assert (reply["action"], reply["text"]) == ("answer", ANSWER)
    assert (reply["grounding"]["verdict"], reply["grounding"]["score"]) == ("supported", 1.0)
    cited = reply["citations"][0]
    assert [cited[key] for key in ("n", "start", "end", "page")] == [1, None, None, None]
    assert cited["document_id"] == f"curated:{made.json()['id']}"
    assert model.prompts == []
    passage = client.get(f"/api/v1/messages/{reply['message_id']}/citations/1", headers=own)
    assert passage.json()["quote"] == ANSWER
    history = client.get(f"{PATH}/{made.json()['id']}/history", headers=writer).json()
    assert history["total"] == 1
    hit = history["items"][0]
    assert (hit["message_id"], hit["question"]) == (reply["message_id"], BODY["questions"][0])
    assert hit["conversation_id"] in path


def test_other_questions_are_searched(client: TestClient, writer: dict[str, str]) -> None:
    client.post(PATH, json=BODY, headers=writer)
    path, own = start(client, language="en")
    asked = {"text": "How much does gift wrapping cost in the store?"}
    reply = client.post(f"{path}/messages", json=asked, headers=own).json()
    assert reply["text"] != ANSWER


def test_an_answer_is_changed_and_taken_away(client: TestClient, writer: dict[str, str]) -> None:
    made = client.post(PATH, json=BODY, headers=writer).json()
    one = f"{PATH}/{made['id']}"
    changed = client.put(one, json={**BODY, "text": "No.", "enabled": False}, headers=writer).json()
    assert (changed["text"], changed["enabled"], changed["n_hits"]) == ("No.", False, 0)
    assert changed["created_at"] == made["created_at"]
    assert made["id"] in {item["id"] for item in client.get(PATH, headers=writer).json()["items"]}
    assert client.delete(one, headers=writer).status_code == 204
    assert is_problem(client.put(one, json=BODY, headers=writer), 404)
    assert is_problem(client.delete(one, headers=writer), 404)


def test_agents_read_curated_answers_only(client: TestClient, services: Services) -> None:
    agent = bearer(staff_token(services, "agent"))
    assert client.get(PATH, headers=agent).status_code == 200
    assert is_problem(client.post(PATH, json=BODY, headers=agent), 403)
    assert is_problem(client.get(f"{PATH}/x/history", headers=agent), 403)
    assert is_problem(client.get(PATH), 401)


@pytest.mark.parametrize("change", [{"text": ""}, {"questions": []}, {"language": "fr"}])
def test_bad_curated_answers_are_refused(
    client: TestClient, writer: dict[str, str], change: dict[str, object]
) -> None:
    assert is_problem(client.post(PATH, json=BODY | change, headers=writer), 422)
