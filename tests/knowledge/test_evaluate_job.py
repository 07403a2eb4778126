"""Evaluations in the background: kept once, cancelled at once, bad questions explained."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.assembly import Services
from knowledge.cost import SHOWN
from knowledge.errors import QuestionsRejected
from knowledge.eval_runs import EvalRunStore
from knowledge.evaluate_job import queue_evaluation
from knowledge.evaluation import MAX_FILE_BYTES, Question, read_questions
from knowledge.types import JobState
from tests.fakes import FakeChatModel
from tests.web.kit import RETURNS, build_services, make_settings

ASKED = [
    Question("gift wrapping costs", "returns.md", "3.20 euros", "en"),
    Question("something else", None, None, "en"),
]


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = build_services(make_settings(tmp_path), FakeChatModel())
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.worker.run_until_idle()
    yield services
    services.close()


def test_job_keeps_one_run(services: Services) -> None:
    job_id = queue_evaluation(services.jobs, ASKED, services.documents, source="q.jsonl")
    services.worker.run_until_idle()
    assert services.jobs.get(job_id).state is JobState.SUCCEEDED
    [kept] = EvalRunStore(services.engine).list()
    assert kept.source == "q.jsonl"
    assert kept.report["stages"]["fused"]["all"]["n"] == 1
    assert kept.report["n_unanswerable"] == 1
    assert len(kept.report["relevance"]["dial"]) == len(SHOWN)
    assert kept.settings["top_k"] == services.retriever.settings.current().top_k


def test_cancelled_job_keeps_nothing(services: Services) -> None:
    job_id = queue_evaluation(services.jobs, ASKED, services.documents, source="q.jsonl")
    services.jobs.cancel(job_id)
    services.worker.run_until_idle()
    assert services.jobs.get(job_id).state is JobState.CANCELLED
    assert EvalRunStore(services.engine).list() == []


def test_removed_document_fails_the_job(services: Services) -> None:
    job_id = queue_evaluation(services.jobs, ASKED, services.documents, source="q.jsonl")
    services.documents.remove(services.documents.list()[0].id, actor="test")
    services.worker.run_until_idle()
    job = services.jobs.get(job_id)
    assert job.state is JobState.FAILED
    assert "returns.md" in (job.error or "")


def test_unknown_document_is_refused_at_once(services: Services) -> None:
    asked = [Question("q", "none.md", None, "en")]
    with pytest.raises(QuestionsRejected, match=r"none\.md"):
        queue_evaluation(services.jobs, asked, services.documents, source="q")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[1]", b'{"query": ""}', b'{"query": "q", "quote": 1}', b'"query"'],
)
def test_bad_questions_are_refused(content: bytes) -> None:
    with pytest.raises(QuestionsRejected):
        read_questions(content, "q.jsonl")


def test_huge_file_is_refused() -> None:
    with pytest.raises(QuestionsRejected, match="limit"):
        read_questions(b" " * (MAX_FILE_BYTES + 1), "q.jsonl")


def test_lines_become_questions() -> None:
    line = json.dumps({"query": "问", "document": "a.md", "quote": "答", "language": "zh"})
    assert read_questions(f"\n{line}\n".encode(), "q") == [Question("问", "a.md", "答", "zh")]
