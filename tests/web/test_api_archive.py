"""The whole base over HTTP: download, bring back, and who may."""

import zipfile
from io import BytesIO

from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.web.kit import bearer, is_problem, staff_token, upload

ARCHIVE = "/api/v1/archive"


def test_a_base_goes_out_and_comes_back(client: TestClient, services: Services) -> None:
    headers = bearer(staff_token(services))
    made = upload(client, staff_token(services))
    got = client.get(ARCHIVE, headers=headers)
    assert got.headers["content-type"] == "application/zip"
    assert "manifest.json" in zipfile.ZipFile(BytesIO(got.content)).namelist()
    assert not list(services.settings.data_dir.glob("export-*"))
    files = {"file": ("base.zip", got.content)}
    assert is_problem(client.post(ARCHIVE, files=files, headers=headers), 422)
    client.delete(f"/api/v1/documents/{made['document_id']}", headers=headers)
    back = client.post(ARCHIVE, files=files, data={"replace": "true"}, headers=headers)
    assert back.json() == {"documents": 1}
    found = client.get("/api/v1/search", params={"q": "gift wrapping"}, headers=headers).json()
    assert found["hits"][0]["document_id"] == made["document_id"]


def test_only_those_who_may_write_do(client: TestClient, services: Services) -> None:
    headers = bearer(staff_token(services, "agent"))
    assert is_problem(client.get(ARCHIVE, headers=headers), 403)
    assert is_problem(client.post(ARCHIVE, files={"file": ("x", b"x")}, headers=headers), 403)
    assert is_problem(client.get(ARCHIVE), 401)
