import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.confirmed import ConfirmedAnswer, confirmed_answers
from bot.database import open_database
from knowledge.eval_runs import EvalRunStore
from knowledge.evaluation import evaluate
from tests.fakes import FakeChatModel
from tests.shared import migrated_database
from tests.web.kit import build_services, make_settings
from web import retrieval_eval
from web.cli import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path))
    shutil.copyfile(migrated_database(), tmp_path / "kefu.db")
    return tmp_path


def kept(folder: Path, hits: list[float]) -> int:
    engine = open_database(f"sqlite:///{folder / 'kefu.db'}")
    means = {"n": len(hits), "hit_at_k": sum(hits) / len(hits)}
    report = {"stages": {"fused": {"all": means}}, "hits": {"fused": {"all": hits}}}
    number = EvalRunStore(engine).add("q.jsonl", "a", settings={}, report=report)
    engine.dispose()
    return number


def test_comparison_names_a_regression(folder: Path) -> None:
    numbers = [str(kept(folder, [1.0] * 30)), str(kept(folder, [0.0] * 30))]
    result = CliRunner().invoke(app, ["kb", "eval", "--compare", *numbers])
    assert result.exit_code == 0
    assert "REGRESSION" in result.output
    result = CliRunner().invoke(app, ["kb", "eval", "--compare", *numbers, "--json"])
    assert json.loads(result.output)[0]["regression"] is True


def test_unknown_run_is_explained(folder: Path) -> None:
    kept(folder, [1.0])
    result = CliRunner().invoke(app, ["kb", "eval", "--compare", "1", "9"])
    assert result.exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["q.jsonl", "--confirmed"]])
def test_exactly_one_source_is_asked_for(folder: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["kb", "eval", *arguments]).exit_code == 2


def test_liked_answers_become_questions(tmp_path: Path) -> None:
    services = build_services(make_settings(tmp_path), FakeChatModel())
    services.ingestor.submit("a.md", b"# Parking\n\nParking is free at night.\n", author="t")
    services.worker.run_until_idle()
    document = services.documents.list()[0]
    answers = [
        ConfirmedAnswer("parking?", document.id, "Parking is free", "en"),
        ConfirmedAnswer("parking?", document.id, "not there", "en"),
        ConfirmedAnswer("parking?", "gone", "Parking is free", "en"),
    ]
    questions = list(retrieval_eval.confirmed_questions(answers, services.documents))
    assert [(q.query, q.document) for q in questions] == [("parking?", "a.md")]
    report = evaluate(
        questions,
        services.retriever,
        services.documents,
        measure=retrieval_eval.measure(services.retriever, services.settings),
    )
    assert report["hits"]["fused"] == {"all": [1.0], "en": [1.0]}
    assert report["fused_minus_better"]["all"] == (0.0, 0.0)
    assert list(confirmed_answers(services.engine)) == []
    services.close()
