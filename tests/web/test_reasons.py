"""Errors of uploads in the page's language."""

import ast
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

import knowledge
from bot.catalogue import load_catalogue
from knowledge.bundles import unpack
from knowledge.errors import KnowledgeError
from knowledge.ingestion import _SUPERSEDED
from knowledge.jobs import _CANCELLED, _GAVE_UP
from knowledge.parsing.builder import no_text, too_long
from knowledge.parsing.registry import check_upload
from knowledge.sync_job import _TAKEN_AWAY, _VANISHED
from tests.knowledge_kit import LIMITS
from web.errors import describe
from web.reasons import reason

CATALOGUE = load_catalogue()
ENGLISH = re.compile(r"[A-Za-z]{4,}")
ERRORS = frozenset(
    {
        "AddressRefused",
        "DuplicateDocument",
        "DuplicateText",
        "FetchFailed",
        "FileTooLarge",
        "PageGone",
        "ParseFailed",
        "RobotsDenied",
        "UnsupportedFormat",
    }
)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("photo.heic", b"x"),
        ("a.pdf", b"PK\x03\x04 not a pdf"),
        ("a.txt", b""),
        ("a.txt", b"x" * (LIMITS.max_bytes + 1)),
    ],
)
def test_a_refused_upload_reads_chinese(name: str, data: bytes) -> None:
    with pytest.raises(KnowledgeError) as caught:
        check_upload(name, data, LIMITS)
    assert describe(caught.value, CATALOGUE, "en")[1] == str(caught.value)
    assert not ENGLISH.search(describe(caught.value, CATALOGUE, "zh")[1].replace(".heic", ""))


@pytest.mark.parametrize(
    "message",
    [
        str(no_text("a.txt")),
        str(too_long("a.txt", LIMITS)),
        "'a.pdf' has 2,001 pages, more than the limit of 2,000; split it",
        "'a.pdf' is protected by a password; save a copy without one and upload that.",
        "'a.docx' would unpack to more than the limit of 5 bytes or 100 times its size; remove",
        "'a.pdf' is damaged and cannot be opened as PDF; export it again",
    ],
)
def test_a_stored_reason_reads_chinese(message: str) -> None:
    assert not ENGLISH.search(reason(message, CATALOGUE, "zh-CN"))
    assert reason(message, CATALOGUE, "en") == message


@pytest.mark.parametrize("path", ["../a.txt", "/a.txt", "a" * 300, "in.zip", "big.txt"])
def test_a_refused_member_reads_chinese(path: str) -> None:
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path, bytes(5 << 20) if path == "big.txt" else b"x")
    (member,) = unpack("all.zip", data.getvalue(), LIMITS)
    assert member.error is not None
    said = describe(member.error, CATALOGUE, "zh")[1].replace(".txt", "").replace("zip", "")
    assert not ENGLISH.search(said.replace("deflate", ""))


def messages() -> Iterator[str]:
    """What every error about a file or an address would say, with 7 for each of its values."""
    for path in sorted(Path(knowledge.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(ast.Name(kind), [ast.Constant() | ast.JoinedStr() as message]):
                    if kind in ERRORS:
                        yield spoken(message)


def spoken(message: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(message, ast.Constant):
        return str(message.value)
    return "".join(
        str(part.value)
        if isinstance(part, ast.Constant)
        else "'7'"
        if isinstance(part, ast.FormattedValue) and part.conversion == ord("r")
        else "7"
        for part in message.values
    )


def test_every_reason_reads_chinese() -> None:
    found = set(messages())
    assert len(found) > 50
    strange = {text for text in found if reason(text, CATALOGUE, "zh") == text}
    assert strange == set()


@pytest.mark.parametrize("message", [_CANCELLED, _GAVE_UP, _VANISHED, _TAKEN_AWAY, _SUPERSEDED])
def test_an_ended_job_reads_chinese(message: str) -> None:
    assert not ENGLISH.search(reason(message, CATALOGUE, "zh"))


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    assert reason("Something {new}.", CATALOGUE, "zh") == "Something {new}."
