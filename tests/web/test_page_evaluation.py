"""The page of evaluations through its handlers, over real services."""

import json
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from bot.accounts import StaffRole
from bot.assembly import Services
from knowledge.eval_runs import EvalRunStore
from tests.web.kit import RETURNS, settle
from web.ui.evaluation import EvaluationPage
from web.ui.knowledge import Picked

LINE = {"query": "gift wrapping costs", "document": "returns.md", "quote": "3.20 euros"}
Who = Callable[[str], gr.Request]


@pytest.fixture(scope="module")
def who(client: TestClient, services: Services) -> Who:
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.worker.run_until_idle()
    tokens = {}
    for role in StaffRole:
        name = f"e-{role.value}"
        password = services.accounts.add(name, role)
        services.accounts.change_password(name, password, f"{name}-password-1")
        tokens[role.value] = services.accounts.token(name)

    def request(role: str) -> gr.Request:
        headers = [(b"authorization", f"Bearer {tokens.get(role, role)}".encode())]
        scope = {"type": "http", "headers": headers, "method": "POST", "path": "/", "client": None}
        return gr.Request(request=Request(scope))

    return request


@pytest.fixture
def page(client: TestClient) -> EvaluationPage:
    return EvaluationPage(client.app.state.context, "en")  # type: ignore[attr-defined]


def picked(folder: Path, text: str) -> list[Picked]:
    path = folder / "upload"
    path.write_text(text, encoding="utf-8")
    return [Picked(path, "<i>q.jsonl")]


def event(**data: str) -> gr.EventData:
    return gr.EventData(None, data)


def test_uploaded_questions_are_evaluated(
    page: EvaluationPage, services: Services, who: Who, tmp_path: Path
) -> None:
    files = picked(tmp_path, json.dumps(LINE | {"language": "en"}))
    line, _, running, _, timer = page.upload(files, who("knowledge"))
    assert "1 questions" in line
    assert "<progress" in running
    assert timer.active
    assert not files[0].path.exists()
    settle(services)
    running, kept, timer, _ = page.tick(who("agent"))
    assert (running, timer.active) == ("", False)
    assert "hit@5 1.000" in kept
    assert "Handoffs per wrong answer" in kept
    assert "<i>q" not in kept


def test_running_evaluation_is_cancelled(
    page: EvaluationPage, services: Services, who: Who, tmp_path: Path
) -> None:
    page.upload(picked(tmp_path, json.dumps(LINE)), who("admin"))
    job = services.jobs.newest("evaluate", limit=1)[0]
    line, running, _, timer = page.act(event(act="cancel", job=job.id), who("admin"))
    assert (line, timer.active) == ("", False)
    assert "<progress" not in running
    assert services.worker.run_until_idle() == 0


def test_bad_file_is_explained(page: EvaluationPage, who: Who, tmp_path: Path) -> None:
    for text in ("[]", json.dumps(LINE | {"document": "none.md"})):
        assert "alert" in page.upload(picked(tmp_path, text), who("admin"))[0]
    assert "alert" in page.upload(None, who("admin"))[0]


def test_agents_may_only_look(page: EvaluationPage, who: Who, tmp_path: Path) -> None:
    opened = page.open(who("agent"))
    assert (opened[2], opened[3]["visible"]) == ("", False)
    assert "alert" in page.upload(picked(tmp_path, json.dumps(LINE)), who("agent"))[0]
    assert "alert" in page.act(event(act="confirmed"), who("agent"))[0]
    assert "alert" in page.open(who("wrong"))[1]
    assert "alert" in page.compare(event(), who("wrong"))[0]


def test_conversations_without_thumbs_give_nothing(page: EvaluationPage, who: Who) -> None:
    assert "thumbs-up" in page.act(event(act="confirmed"), who("admin"))[0]


def test_regression_is_marked_and_compared(
    page: EvaluationPage, services: Services, who: Who
) -> None:
    store, numbers = EvalRunStore(services.engine), []
    for hits in ([1.0] * 20, [0.0] * 20):
        mean = sum(hits) / len(hits)
        report = {
            "k": 5,
            "stages": {"fused": {"all": {"n": 20, "hit_at_k": mean}}},
            "intervals": {"fused": {"all": [mean, mean]}},
            "hits": {"fused": {"all": hits}},
        }
        numbers.append(str(store.add("<i>q.jsonl", "a", settings={}, report=report)))
    opened = page.open(who("admin"))
    assert opened[5].count("k-badge k-off") == 1
    assert "<i>q" not in opened[5] + opened[7]
    line, shown = page.compare(event(before=numbers[0], after=numbers[1]), who("agent"))
    assert (line, shown.count("k-badge k-off")) == ("", 1)
    assert "alert" in page.compare(event(before="x", after="99999"), who("agent"))[0]
