"""A file's passages before it is stored, and the rule that a document keeps."""

from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.web.kit import bearer, is_problem, staff_token, upload

TEXT = "# Title\n\nFirst short one.\n\nSecond short one.\n\nThird short one.\n"
FILE = {"file": ("preview.md", TEXT.encode())}
PATH = "/api/v1/documents"


def test_the_preview_follows_the_rule(client: TestClient, services: Services) -> None:
    head = bearer(staff_token(services, "knowledge"))
    texts = {}
    for kind in ("structure", "paragraphs"):
        made = client.post(f"{PATH}/preview", files=FILE, data={"split": kind}, headers=head)
        assert all(TEXT[i["start"] : i["end"]] == i["text"] for i in made.json()["items"])
        texts[kind] = made.json()["total"]
    assert texts["structure"] == 1
    assert texts["paragraphs"] == 3
    names = [d["name"] for d in client.get(PATH, headers=head).json()["items"]]
    assert "preview.md" not in names


def test_a_document_keeps_its_rule(client: TestClient, services: Services) -> None:
    token = staff_token(services, "knowledge")
    made = upload(client, token, "preview.md", TEXT)
    path, head = f"{PATH}/{made['document_id']}/chunks", bearer(token)
    assert client.get(path, headers=head).json()["total"] == 1
    client.post(PATH, files=FILE, data={"split": "paragraphs"}, headers=head)
    services.worker.run_until_idle()
    upload(client, token, "preview.md", TEXT + "\nA fourth short one.\n")
    assert client.get(path, headers=head).json()["total"] == 4


def test_bad_rules_are_refused(client: TestClient, services: Services) -> None:
    head = bearer(staff_token(services, "knowledge"))
    for rule in ({"split": "letters"}, {"max_tokens": "3"}, {"max_tokens": "9999"}):
        made = client.post(f"{PATH}/preview", files=FILE, data=rule, headers=head)
        assert is_problem(made, 422)
    agent = bearer(staff_token(services, "agent"))
    assert is_problem(client.post(f"{PATH}/preview", files=FILE, headers=agent), 403)
