"""The workbench through its API and its page's handlers, over real services."""

from collections.abc import Iterator
from dataclasses import asdict

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.requests import Request

from bot.accounts import StaffRole
from bot.assembly import Services
from bot.recorded import recorded_retrieval
from bot.tables import AuditRow
from knowledge.search_settings import RetrievalOptions, SearchSettings
from tests.web.kit import RETURNS, settle
from web.dependencies import WebContext
from web.ui.workbench import WorkbenchPage

FIELDS = {
    "q": "gift wrapping",
    "top_k": "2",
    "candidates": "9",
    "fusion": "rank",
    "word_weight": "2.5",
    "per_document": "1",
    "handoffs_per_wrong_answer": "3",
    "relevance_threshold": "",
}


@pytest.fixture(scope="module")
def tokens(client: TestClient, services: Services) -> dict[str, str]:
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.ingestor.submit("note.md", b"# Note\n\nGift wrapping is green.\n", author="test")
    settle(services)
    for role in StaffRole:
        name = f"w-{role.value}"
        password = services.accounts.add(name, role)
        services.accounts.change_password(name, password, f"{name}-password-1")
    return {role.value: services.accounts.token(f"w-{role.value}") for role in StaffRole}


@pytest.fixture(autouse=True)
def _defaults(services: Services) -> Iterator[None]:
    yield
    services.retriever.settings.apply(None, author="test")
    services.retriever.terms.replace([])


def as_role(tokens: dict[str, str], role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens[role]}"}


def event(**data: str) -> gr.EventData:
    return gr.EventData(None, data)


def request(token: str) -> gr.Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "headers": headers, "method": "POST", "path": "/", "client": None}
    return gr.Request(request=Request(scope))


@pytest.fixture
def page(client: TestClient) -> WorkbenchPage:
    context: WebContext = client.app.state.context  # type: ignore[attr-defined]
    return WorkbenchPage(context, "en")


def test_applied_settings_reach_other_processes(
    client: TestClient, services: Services, tokens: dict[str, str]
) -> None:
    head = as_role(tokens, "knowledge")
    answer = client.put("/api/v1/search/settings", json={"top_k": 1}, headers=head)
    assert answer.json()["top_k"] == 1
    elsewhere = SearchSettings(services.engine, RetrievalOptions(top_k=5, candidates=30))
    assert elsewhere.current().top_k == 1
    assert len(services.retriever.search("gift wrapping").hits) == 1
    with Session(services.engine) as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "search.settings")).first()
        assert row is not None
        assert row.actor == "w-knowledge"
    assert client.delete("/api/v1/search/settings", headers=head).json()["top_k"] == 5


def test_trying_changes_nothing(client: TestClient, tokens: dict[str, str]) -> None:
    head = as_role(tokens, "agent")
    body = {"q": "gift wrapping", "settings": {"top_k": 1, "fusion": "rank"}}
    found = client.post("/api/v1/search/try", json=body, headers=head).json()
    assert len(found["hits"]) == 1
    assert found["hits"][0]["lexical_rank"] is not None
    assert found["settings"]["fusion"] == "rank"
    assert client.get("/api/v1/search/settings", headers=head).json()["top_k"] == 5


@pytest.mark.parametrize("body", [{"top_k": 0}, {"fusion": "magic"}, {"other": 1}])
def test_bad_settings_are_refused(
    client: TestClient, tokens: dict[str, str], body: dict[str, object]
) -> None:
    head = as_role(tokens, "admin")
    assert client.put("/api/v1/search/settings", json=body, headers=head).status_code == 422


def test_agents_may_not_apply(client: TestClient, tokens: dict[str, str]) -> None:
    head = as_role(tokens, "agent")
    assert client.put("/api/v1/search/settings", json={}, headers=head).status_code == 403
    assert client.put("/api/v1/terms", json={"groups": []}, headers=head).status_code == 403
    assert client.get("/api/v1/terms").status_code == 401


def test_terms_are_saved_through_the_api(client: TestClient, tokens: dict[str, str]) -> None:
    head = as_role(tokens, "knowledge")
    saved = client.put("/api/v1/terms", json={"groups": [["zwrap", "gift"]]}, headers=head)
    assert saved.json() == {"groups": [["zwrap", "gift"]]}
    refused = client.put("/api/v1/terms", json={"groups": [["one"]]}, headers=head)
    assert refused.status_code == 422


def test_hits_of_one_document_make_room(services: Services, tokens: dict[str, str]) -> None:
    long = "\n\n".join(f"# Wrap {i}\n\nGift wrapping of parcel {i} is done." for i in range(6))
    services.ingestor.submit("many.md", long.encode(), author="test")
    settle(services)
    options = RetrievalOptions(top_k=4, candidates=30, per_document=1)
    hits = services.retriever.search("gift wrapping of parcel", options=options).hits
    assert len({hit.document for hit in hits[:3]}) == 3
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]


def test_page_compares_and_applies(
    page: WorkbenchPage, services: Services, tokens: dict[str, str]
) -> None:
    who = request(tokens["knowledge"])
    line, form, results, *_ = page.submit(event(form="workbench", **FIELDS), who)
    assert (line, results.count("<section>")) == ("", 2)
    assert 'value="2.5"' in form
    line, *_ = page.submit(event(form="workbench", go="apply", **FIELDS), who)
    assert "Applied" in line
    assert services.retriever.settings.current().word_weight == 2.5
    page.act({}, event(act="reset"), who)
    assert services.retriever.settings.current().word_weight == 1.0


def test_page_refuses_what_the_role_may_not(page: WorkbenchPage, tokens: dict[str, str]) -> None:
    who = request(tokens["agent"])
    assert "alert" in page.submit(event(form="workbench", go="apply", **FIELDS), who)[0]
    assert "alert" in page.submit(event(form="terms", terms="a, b"), who)[0]
    assert "alert" in page.act({}, event(act="show", id="x"), request(tokens["knowledge"]))[0]
    assert "alert" in page.open(request("wrong"))[1]


def test_page_explains_bad_input(page: WorkbenchPage, tokens: dict[str, str]) -> None:
    who = request(tokens["admin"])
    assert "alert" in page.submit(event(form="workbench", **FIELDS | {"top_k": "many"}), who)[0]
    assert "alert" in page.submit(event(form="terms", terms="alone"), who)[0]
    assert "alert" in page.act({}, event(act="show", id="gone"), who)[0]
    assert "alert" in page.act({}, event(act="odd"), who)[0]


def test_recorded_search_opens_and_runs_again(
    client: TestClient, page: WorkbenchPage, services: Services, tokens: dict[str, str]
) -> None:
    started = client.post("/api/v1/conversations", json={}).json()
    head = {"Authorization": f"Bearer {started['token']}"}
    path = f"/api/v1/conversations/{started['id']}/messages"
    reply = client.post(path, json={"text": "What does <b>gift wrapping</b> cost?"}, headers=head)
    recorded = recorded_retrieval(services.engine, reply.json()["message_id"])
    assert recorded is not None
    assert recorded.settings == asdict(services.retriever.settings.current())
    assert len(recorded.candidates) >= len(recorded.hits)
    who = request(tokens["admin"])
    opened = page.open(who)
    assert recorded.message_id in opened[3]
    assert "<b>gift" not in opened[3]
    show = event(act="show", id=recorded.message_id)
    line, form, results, _ = page.act({}, show, who)
    assert (line, results.count("<section>")) == ("", 2)
    assert "<b>gift" not in form + results
    changed = FIELDS | {"q": recorded.query, "record": recorded.message_id}
    results = page.submit(event(form="workbench", **changed), who)[2]
    assert results.count("<section>") == 3  # as it was, in force, tried
    results = page.submit(event(form="workbench", **changed | {"q": "something else"}), who)[2]
    assert results.count("<section>") == 2


def test_searches_are_found_by_their_words(
    client: TestClient, page: WorkbenchPage, tokens: dict[str, str]
) -> None:
    started = client.post("/api/v1/conversations", json={}).json()
    head = {"Authorization": f"Bearer {started['token']}"}
    path = f"/api/v1/conversations/{started['id']}/messages"
    client.post(path, json={"text": "What does a zeppelin ride cost?"}, headers=head)
    who = request(tokens["agent"])
    found = page.submit(event(form="searches", q="zeppelin"), who)
    assert found[3].count("<tr>") == 2
    assert found[4]["q"] == "zeppelin"
    assert "<tr>" not in page.submit(event(form="searches", q="zeppelin", language="zh"), who)[3]
    assert page.act({"q": "zeppelin"}, event(act="page", page="1"), who)[3].count("<tr>") == 2
    assert "alert" in page.submit(event(form="searches"), request(tokens["knowledge"]))[0]


def test_dial_moves_the_live_threshold(
    client: TestClient, services: Services, tokens: dict[str, str]
) -> None:
    head = as_role(tokens, "knowledge")
    dial = {"handoffs_per_wrong_answer": 4, "relevance_threshold": None}
    client.put("/api/v1/search/settings", json=dial, headers=head)
    assert services.retriever.search("gift wrapping").threshold == 0.8
    client.put("/api/v1/search/settings", json={"relevance_threshold": 0.1}, headers=head)
    assert services.retriever.search("gift wrapping").threshold == 0.1


def test_page_shows_threshold_and_dial(page: WorkbenchPage, tokens: dict[str, str]) -> None:
    _, form, results, *_ = page.submit(
        event(form="workbench", **FIELDS), request(tokens["knowledge"])
    )
    assert 'name="handoffs_per_wrong_answer" value="3"' in form
    assert "threshold 0.75" in results
    bad = event(form="workbench", **FIELDS | {"handoffs_per_wrong_answer": "-1"})
    assert "alert" in page.submit(bad, request(tokens["knowledge"]))[0]


def test_search_can_be_limited_to_documents(
    client: TestClient, services: Services, tokens: dict[str, str]
) -> None:
    head = as_role(tokens, "agent")
    note = services.documents.find_by_name("note.md")
    assert note is not None
    for only in ({"document_id": note.id}, {"format": "md", "document_id": note.id}):
        answer = client.get("/api/v1/search", params={"q": "returns", **only}, headers=head)
        assert {hit["document"] for hit in answer.json()["hits"]} == {"note.md"}
    for only in ({"tag": "none"}, {"format": "pdf"}, {"changed_to": "2001-01-01T00:00:00Z"}):
        answer = client.get("/api/v1/search", params={"q": "returns", **only}, headers=head)
        assert answer.json()["hits"] == []
    refused = client.get("/api/v1/search", params={"q": "a", "changed_to": "soon"}, headers=head)
    assert refused.status_code == 422


def test_page_searches_in_some_documents_only(
    page: WorkbenchPage, services: Services, tokens: dict[str, str]
) -> None:
    who = request(tokens["agent"])
    only = FIELDS | {"q": "gift wrapping returns", "in_document": "note.md"}
    _, form, results, *_ = page.submit(event(form="workbench", **only), who)
    assert '<details class="k-only" open>' in form
    assert 'name="in_document" value="note.md"' in form
    assert ("note.md" in results, "returns.md" in results) == (True, False)
    none = event(form="workbench", **FIELDS | {"in_tags": "secret, none", "in_to": "2001-01-01"})
    assert "No passage" in page.submit(none, who)[2]
    assert " open><summary>" not in page.open(who)[2]


@pytest.mark.parametrize(
    "bad", [{"in_document": "<b>gone.md"}, {"in_from": "soon"}, {"in_tags": "a," * 60}]
)
def test_page_explains_a_bad_filter(
    page: WorkbenchPage, tokens: dict[str, str], bad: dict[str, str]
) -> None:
    shown = page.submit(event(form="workbench", **FIELDS | bad), request(tokens["agent"]))[0]
    assert "alert" in shown
    assert "<b>" not in shown
