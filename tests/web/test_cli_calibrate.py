"""`kefu kb calibrate` on rows that were kept."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from knowledge.relevance import RelevanceModel
from knowledge.relevance_fit import dump_rows
from tests.knowledge.test_relevance_fit import made
from web.cli import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path))
    for base in ("a", "bb"):
        rows = made(300, base=base)
        (tmp_path / f"{base}.jsonl").write_text(dump_rows(rows), "utf-8")
    return tmp_path


def run(folder: Path, *more: str) -> tuple[int, str]:
    names = ["--rows", str(folder / "a.jsonl"), "--rows", str(folder / "bb.jsonl")]
    result = CliRunner().invoke(app, ["kb", "calibrate", *names, *more])
    return result.exit_code, result.output


def test_fit_goes_into_the_data_folder(folder: Path) -> None:
    code, said = run(folder, "--note", "made up")
    assert code == 0
    assert "each knowledge base held out" in said or "每次留出一个知识库" in said
    assert RelevanceModel.load(folder / "relevance.json").note == "made up"


def test_measuring_writes_nothing(folder: Path) -> None:
    code, said = run(folder, "--dry-run", "--json")
    found = json.loads(said)
    assert code == 0
    assert found["calibrate_bases"]["n"] == 600
    assert found["calibrate_bases"]["ece"] < found["calibrate_now"]["ece"]
    assert not (folder / "relevance.json").exists()


@pytest.mark.parametrize("arguments", [[], ["--keep", "rows.jsonl"]])
def test_questions_are_asked_for(folder: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["kb", "calibrate", *arguments]).exit_code == 2


def test_missing_rows_are_explained(folder: Path) -> None:
    result = CliRunner().invoke(app, ["kb", "calibrate", "--rows", str(folder / "none")])
    assert result.exit_code == 1
    assert "none cannot be read" in str(result.exception)
