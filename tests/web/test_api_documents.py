import io
import zipfile
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.web.kit import RETURNS, bearer, is_problem, staff_token, upload

DOCUMENTS = "/api/v1/documents"


def test_upload_becomes_searchable(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    made = upload(client, token)
    found = client.get(
        "/api/v1/search", params={"q": "gift wrapping", "top_k": 3}, headers=bearer(token)
    ).json()
    assert found["hits"][0]["document_id"] == made["document_id"]
    assert found["hits"][0]["document"] == "returns.md"
    assert found["hits"][0]["rank"] == 1
    assert "embed" in found["timings_ms"]


def test_document_text_is_the_stored_one(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    path = f"{DOCUMENTS}/{upload(client, token)['document_id']}"
    shown = client.get(path, headers=bearer(token)).json()
    chunks = client.get(f"{path}/chunks", headers=bearer(token)).json()
    assert shown["text"] == RETURNS
    assert chunks["total"] == len(chunks["items"])
    for chunk in chunks["items"]:
        assert RETURNS[chunk["start"] : chunk["end"]] == chunk["text"]


def test_replacing_makes_a_version(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    document_id = upload(client, token, name="versions.md")["document_id"]
    again = client.put(
        f"{DOCUMENTS}/{document_id}",
        files={"file": ("versions.md", b"# Returns\n\nWrapping is free now.\n")},
        headers=bearer(token),
    )
    assert again.status_code == 202
    assert again.json()["document_id"] == document_id
    upload(client, token, name="versions.md", text="# Returns\n\nWrapping is free now.\n")
    path = f"{DOCUMENTS}/{document_id}"
    assert "free now" in client.get(path, headers=bearer(token)).json()["text"]
    old = client.get(path, params={"version": 1}, headers=bearer(token)).json()
    assert old["text"] == RETURNS


def test_replace_field_renames(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    document_id = upload(client, token, name="old-name.md")["document_id"]
    made = client.post(
        DOCUMENTS,
        files={"file": ("new-name.md", b"# New\n\nText.\n")},
        data={"replace": document_id},
        headers=bearer(token),
    )
    assert made.json()["document_id"] == document_id


def test_removed_document_is_gone(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    made = upload(client, token, name="gone.md")
    path = f"{DOCUMENTS}/{made['document_id']}"
    assert client.delete(path, headers=bearer(token)).status_code == 204
    found = client.get("/api/v1/search", params={"q": "wrapping"}, headers=bearer(token)).json()
    assert made["document_id"] not in [hit["document_id"] for hit in found["hits"]]
    assert is_problem(client.get(path, headers=bearer(token)), 404)
    assert "gone.md" not in _names(client, token)


def _names(client: TestClient, token: str) -> list[str]:
    listed = client.get(DOCUMENTS, headers=bearer(token)).json()
    assert listed["total"] == len(listed["items"])
    return [item["name"] for item in listed["items"]]


def _bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("word/document.xml", b"0" * 20_000_000)
    return packed.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_zip_answers_for_each_of_its_files(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    files = {"../out.md": b"# Out", "help/fees.md": b"# Fees\n\nThree euros.\n", "x.exe": b"MZ"}
    answer = client.post(
        DOCUMENTS, files={"file": ("help.zip", _zip(files))}, headers=bearer(token)
    )
    made = answer.json()
    assert answer.status_code == 202
    refused, fees, program = made["documents"]
    assert (made["document_id"], made["job_id"]) == (fees["document_id"], fees["job_id"])
    assert (fees["name"], fees["error"]) == ("help/fees.md", None)
    assert "leads out of its folder" in refused["error"]
    assert program["document_id"] is None
    assert "help/fees.md" in _names(client, token)


def test_plain_upload_answers_as_before(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    assert set(upload(client, token, name="plain.md")) == {"document_id", "job_id"}


def test_zip_replaces_no_document(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    document_id = upload(client, token, name="single.md")["document_id"]
    answer = client.put(
        f"{DOCUMENTS}/{document_id}",
        files={"file": ("help.zip", _zip({"a.md": b"# A"}))},
        headers=bearer(token),
    )
    assert is_problem(answer, 415)


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("photo.gif", b"GIF89a", 415),
        ("empty.md", b"", 422),
        ("wrong.pdf", b"# a heading", 415),
        ("", b"text", 422),
        ("broken.docx", b"PK\x03\x04broken", 422),
        ("broken.zip", b"PK\x03\x04broken", 422),
    ],
)
def test_bad_file_is_refused(
    client: TestClient, services: Services, name: str, data: bytes, status: int
) -> None:
    token = staff_token(services)
    before = _names(client, token)
    answer = client.post(DOCUMENTS, files={"file": (name, data)}, headers=bearer(token))
    assert is_problem(answer, status), answer.text
    assert _names(client, token) == before


def test_zip_bomb_is_refused(client: TestClient, services: Services) -> None:
    token = staff_token(services)
    answer = client.post(DOCUMENTS, files={"file": ("b.docx", _bomb())}, headers=bearer(token))
    assert is_problem(answer, 422), answer.text
    assert client.get("/healthz").status_code == 200


def test_declared_large_body_is_refused_unread(client: TestClient, services: Services) -> None:
    headers = bearer(staff_token(services)) | {
        "Content-Length": "200000000",
        "Content-Type": "multipart/form-data; boundary=x",
    }
    assert is_problem(client.post(DOCUMENTS, headers=headers, content=b"x"), 413)


def test_large_body_is_refused_as_it_arrives(client: TestClient, services: Services) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        for _ in range(6):
            yield b"x" * 1_000_000

    headers = bearer(staff_token(services)) | {"Content-Type": "multipart/form-data; boundary=x"}
    assert is_problem(client.post(DOCUMENTS, headers=headers, content=body()), 413)


def test_upload_without_token_is_refused_before_the_body(client: TestClient) -> None:
    answer = client.post(DOCUMENTS, content=b"not multipart", headers={"Content-Type": "x/y"})
    assert is_problem(answer, 401)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/jobs/nope"),
        ("POST", "/api/v1/jobs/nope/cancel"),
        ("POST", "/api/v1/jobs/nope/retry"),
        ("GET", f"{DOCUMENTS}/nope"),
        ("GET", f"{DOCUMENTS}/nope/chunks"),
        ("DELETE", f"{DOCUMENTS}/nope"),
    ],
)
def test_unknown_ids_are_not_found(
    client: TestClient, services: Services, method: str, path: str
) -> None:
    answer = client.request(method, path, headers=bearer(staff_token(services)))
    assert is_problem(answer, 404)


@pytest.mark.parametrize("query", [{}, {"q": ""}, {"q": "x", "top_k": 0}, {"q": "x" * 5000}])
def test_wrong_searches_are_invalid(
    client: TestClient, services: Services, query: dict[str, str]
) -> None:
    answer = client.get("/api/v1/search", params=query, headers=bearer(staff_token(services)))
    assert is_problem(answer, 422)
    assert "xxxx" not in answer.text
