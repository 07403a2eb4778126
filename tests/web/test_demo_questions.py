"""The demo's attached questions find their passages by quote."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.assembly import Services
from tests.fakes import FakeChatModel
from tests.web.kit import RETURNS, build_services, make_settings
from web.console import CommandError
from web.demo import attach_questions

ENTRY = {"document": "returns.md", "quote": "free for 30 days", "questions": ["A zephyr back?"]}


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = build_services(make_settings(tmp_path), FakeChatModel())
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.worker.run_until_idle()
    yield services
    services.close()


def attach(services: Services, folder: Path, **changes: object) -> int:
    path = folder / "attached.jsonl"
    path.write_text(json.dumps(ENTRY | changes) + "\n\n", encoding="utf-8")
    return attach_questions(services.documents, services.questions, path)


def test_questions_are_attached_by_quote_once(services: Services, tmp_path: Path) -> None:
    assert attach(services, tmp_path) == attach(services, tmp_path) == 1
    document = services.documents.list()[0]
    found = services.questions.of_document(document.id)
    assert [one.text for asked in found.values() for one in asked] == ["A zephyr back?"]


@pytest.mark.parametrize(
    "change", [{"document": "other.md"}, {"quote": "no such words"}, {"questions": [" "]}]
)
def test_a_wrong_entry_is_named(
    services: Services, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(CommandError, match="entry 1"):
        attach(services, tmp_path, **change)
