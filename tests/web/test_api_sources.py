"""Web sources over HTTP: add, look, reschedule, sync, remove, and who may."""

import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from bot.settings import Settings
from tests.site_kit import html, running_site
from tests.web.kit import bearer, is_problem, make_settings, staff_token

SOURCES = "/api/v1/sources"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    knowledge = {"allow_private_urls": True, "fetch_delay_s": 0.0}
    return make_settings(tmp_path_factory.mktemp("kefu"), knowledge=knowledge)


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    with running_site() as site:
        site.pages["/help"] = html("Gift wrapping costs 3.20 euros.")
        yield f"{site.url}/help"


def test_a_source_lives_from_add_to_remove(
    client: TestClient, services: Services, page: str
) -> None:
    headers = bearer(staff_token(services, "knowledge"))
    made = client.post(SOURCES, json={"url": page, "schedule": "daily"}, headers=headers)
    assert made.status_code == 202
    path = f"{SOURCES}/{made.json()['source_id']}"
    deadline = time.monotonic() + 10
    while client.get(path, headers=headers).json()["last_fetched_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shown = client.get(SOURCES, headers=headers).json()
    assert shown["total"] == 1
    assert (shown["items"][0]["n_pages"], shown["items"][0]["error"]) == (1, None)
    assert client.get(f"{path}/pages", headers=headers).json()["items"][0]["url"] == page
    changed = client.patch(path, json={"schedule": "off"}, headers=headers).json()
    assert changed["next_fetch_at"] is None
    assert client.post(f"{path}/sync", headers=headers).status_code == 202
    assert client.delete(path, headers=headers).status_code == 204
    assert is_problem(client.get(path, headers=headers), 404)


@pytest.mark.parametrize(
    "body", [{"url": "ftp://x/"}, {"url": "https://u:p@x/"}, {"url": "x", "schedule": "often"}, {}]
)
def test_wrong_sources_are_refused(
    client: TestClient, services: Services, body: dict[str, str]
) -> None:
    headers = bearer(staff_token(services))
    assert is_problem(client.post(SOURCES, json=body, headers=headers), 422)


def test_agents_only_look(client: TestClient, services: Services, page: str) -> None:
    headers = bearer(staff_token(services, "agent"))
    assert client.get(SOURCES, headers=headers).status_code == 200
    assert is_problem(client.post(SOURCES, json={"url": page}, headers=headers), 403)
    assert is_problem(client.get(SOURCES), 401)
