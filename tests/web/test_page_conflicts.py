"""The page and the calls of contradictions: a search runs in the background and can be ended."""

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from bot.accounts import StaffRole
from bot.assembly import Services
from knowledge.types import JobId, JobState
from tests.web.kit import bearer, staff_token
from web.ui.conflicts import ConflictsPage

SEARCH = "/api/v1/conflicts/search"


@pytest.fixture(scope="module")
def token(client: TestClient, services: Services) -> str:
    password = services.accounts.add("c-manager", StaffRole.KNOWLEDGE)
    services.accounts.change_password("c-manager", password, "c-manager-password-1")
    return services.accounts.token("c-manager")


@pytest.fixture
def request_(token: str) -> gr.Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "headers": headers, "method": "POST", "path": "/", "client": None}
    return gr.Request(request=Request(scope))


@pytest.fixture
def page(client: TestClient) -> ConflictsPage:
    return ConflictsPage(client.app.state.context, "en")  # type: ignore[attr-defined]


def press(**data: str) -> gr.EventData:
    return gr.EventData(None, data)


def end(services: Services, job_id: str) -> None:
    """Ends a search that a worker may have taken already."""
    services.jobs.cancel(JobId(job_id))
    services.worker.run_until_idle()


def test_search_is_queued(client: TestClient, token: str, services: Services) -> None:
    answer = client.post(SEARCH, headers=bearer(token))
    assert answer.status_code == 202, answer.text
    assert services.jobs.get(JobId(answer.json()["job_id"])).kind == "conflicts"
    end(services, answer.json()["job_id"])


def test_agents_may_not_search(client: TestClient, services: Services) -> None:
    token = staff_token(services, "agent")
    assert client.post(SEARCH, headers=bearer(token)).status_code == 403


def test_page_starts_and_cancels(
    page: ConflictsPage, services: Services, request_: gr.Request
) -> None:
    _, _, timer, _, _ = page.act(press(act="conflicts-search"), request_)
    assert timer.active
    job = services.jobs.newest("conflicts", limit=1)[0]
    _, search, timer, _, _ = page.act(press(act="conflicts-cancel", job=job.id), request_)
    ended = services.jobs.get(job.id).state
    assert ended in (JobState.CANCELLED, JobState.SUCCEEDED)
    assert not timer.active
    assert 'data-act="conflicts-search"' in search


def test_page_cancels_no_other_job(
    page: ConflictsPage, services: Services, request_: gr.Request
) -> None:
    other = services.jobs.add("evaluate", {"questions": [], "source": "none"})
    services.jobs.cancel(other)
    line, *_ = page.act(press(act="conflicts-cancel", job=other), request_)
    assert "k-" in line
