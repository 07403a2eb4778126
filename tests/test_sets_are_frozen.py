"""The sets that the product is measured on are frozen: written first, and never changed to fit."""

import hashlib
import json
from pathlib import Path

import pytest

SETS = Path(__file__).parent / "sets"
QUESTIONS = sorted(SETS.glob("demo_*.jsonl"))
DEVELOPMENT = sorted((SETS.parent / "dev_sets").glob("*.jsonl"))
DEMO = SETS.parents[1] / "knowledge" / "demo"


def test_every_set_has_its_recorded_hash() -> None:
    recorded = dict(
        reversed(line.split(maxsplit=1)) for line in (SETS / "SHA256SUMS").read_text().splitlines()
    )
    found = {
        f"./{path.relative_to(SETS).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in SETS.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == recorded


@pytest.mark.parametrize("path", DEVELOPMENT, ids=lambda path: path.stem)
def test_no_development_question_is_attached(path: Path) -> None:
    tried = {json.loads(line)["query"] for line in path.read_text("utf-8").splitlines()}
    assert not {_plain(one) for one in tried} & {_plain(one) for one in _attached()}


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_no_measured_question_is_trained_on(path: Path) -> None:
    questions = (DEMO / "questions.jsonl").read_text("utf-8").splitlines()
    trained = _attached() | {json.loads(line)["query"] for line in questions}
    measured = {json.loads(line)["query"] for line in path.read_text("utf-8").splitlines()}
    assert not {_plain(one) for one in measured} & {_plain(one) for one in trained}


def _attached() -> set[str]:
    lines = (DEMO / "attached.jsonl").read_text("utf-8").splitlines()
    return {question for line in lines for question in json.loads(line)["questions"]}


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
