"""The list of documents through the API: filters, orders and pages."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.web.kit import bearer, is_problem, settle, staff_token

NAMES = ("sorted-b.txt", "sorted-a.md", "sorted-c.txt")


@pytest.fixture
def head(services: Services) -> dict[str, str]:
    for name in NAMES:
        text = f"Every {name} says how long a return takes in the shop.".encode()
        services.ingestor.submit(name, text, author="test")
    settle(services)
    return bearer(staff_token(services, "knowledge"))


def names(client: TestClient, head: dict[str, str], **query: Any) -> tuple[list[str], int]:
    path = "/api/v1/documents"
    found = client.get(path, params={"q": "sorted-", **query}, headers=head).json()
    return [one["name"] for one in found["items"]], found["total"]


def test_documents_are_sorted_and_paged(client: TestClient, head: dict[str, str]) -> None:
    assert names(client, head, sort="name") == (sorted(NAMES), 3)
    assert names(client, head, sort="name", page=2, page_size=2) == (["sorted-c.txt"], 3)
    assert names(client, head, page=9, page_size=2) == ([], 3)


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ({"format": "TXT"}, 2),
        ({"language": "en"}, 3),
        ({"language": "zh"}, 0),
        ({"health": "ok"}, 3),
        ({"health": "expired"}, 0),
        ({"archived": "true"}, 0),
        ({"updated_from": "2001-01-01T00:00:00Z"}, 3),
        ({"updated_to": "2001-01-01T00:00:00Z"}, 0),
    ],
)
def test_filters_leave_what_fits(
    client: TestClient, head: dict[str, str], query: dict[str, str], n: int
) -> None:
    assert names(client, head, **query)[1] == n


def test_unknown_orders_are_refused(client: TestClient, head: dict[str, str]) -> None:
    for query in ({"sort": "size"}, {"page": 0}, {"page_size": 501}, {"updated_to": "soon"}):
        assert is_problem(client.get("/api/v1/documents", params=query, headers=head), 422)
