"""A reranker of the settings: its stage in the pages, in recorded searches and in the API."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bot.accounts import StaffRole
from bot.assembly import Services
from bot.recorded import recorded_retrieval
from bot.settings import Settings
from knowledge.errors import RerankerUnavailable
from tests.fakes import FakeChatModel
from tests.tiny_reranker import save_tiny_reranker
from tests.web.kit import RETURNS, bearer, build_services, make_settings, settle, start
from tests.web.test_workbench import FIELDS, event, request
from web.ui.workbench import WorkbenchPage


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("kefu")
    reranker = save_tiny_reranker(folder / "reranker")
    knowledge = {"reranker": str(reranker), "rerank_candidates": 2}
    return make_settings(folder, knowledge=knowledge)


@pytest.fixture(scope="module")
def admin(client: TestClient, services: Services) -> str:
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.ingestor.submit("note.md", b"# Note\n\nGift wrapping is green.\n", author="test")
    settle(services)
    password = services.accounts.add("admin", StaffRole.ADMIN)
    services.accounts.change_password("admin", password, "admin-password-1")
    return services.accounts.token("admin")


@pytest.fixture
def page(client: TestClient) -> WorkbenchPage:
    return WorkbenchPage(client.app.state.context, "en")  # type: ignore[attr-defined]


def test_workbench_shows_the_stage(page: WorkbenchPage, admin: str) -> None:
    fields = FIELDS | {"rerank_candidates": "0"}
    _, form, results, *_ = page.submit(event(form="workbench", **fields), request(admin))
    assert 'name="rerank_candidates"' in form
    live, tried = results.split("<section>")[1:]
    assert live.count("reranked rank") == 2
    assert "<dt>rerank</dt>" in live
    assert "Reranked</th>" in live
    assert "rerank" not in tried


def test_recorded_search_keeps_the_stage(
    client: TestClient, services: Services, page: WorkbenchPage, admin: str
) -> None:
    path, head = start(client)
    reply = client.post(f"{path}/messages", json={"text": "gift wrapping cost?"}, headers=head)
    recorded = recorded_retrieval(services.engine, reply.json()["message_id"])
    assert recorded is not None
    assert [one.rerank_rank for one in recorded.candidates] == [1, 2]
    shown: str = page.act({}, event(act="show", id=recorded.message_id), request(admin))[2]
    assert "Passages the reranker reads" in shown
    assert shown.count("reranked rank") == 4


def test_api_gives_the_score(client: TestClient, admin: str) -> None:
    head = bearer(admin)
    found = client.get("/api/v1/search", params={"q": "gift wrapping"}, headers=head).json()
    assert all(0 <= hit["rerank_score"] <= 1 for hit in found["hits"])
    asked = {"q": "gift wrapping", "settings": {"rerank_candidates": 101}}
    assert client.post("/api/v1/search/try", json=asked, headers=head).status_code == 422


def test_wrong_folder_stops_the_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, knowledge={"reranker": str(tmp_path / "nothing")})
    with pytest.raises(RerankerUnavailable, match="KEFU_KNOWLEDGE__RERANKER"):
        build_services(settings, FakeChatModel())
