"""Files are parsed in a process that may hang, crash or run out of memory."""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from knowledge.errors import ParseFailed, UnsupportedFormat
from knowledge.parsing.registry import parse
from knowledge.parsing.running import ChildParsing
from tests.knowledge_kit import LIMITS

TEXT = "# Opening hours\n\nWe open at nine. 九点开门。\n".encode()


@pytest.fixture(scope="module")
def child() -> Iterator[ChildParsing]:
    parsing = ChildParsing(module="tests.parse_child", limit_s=10)
    yield parsing
    parsing.close()


def go_on() -> None:
    pass


def test_child_parses_like_the_function(child: ChildParsing) -> None:
    assert child.run("a.md", TEXT, LIMITS, check=go_on) == parse("a.md", TEXT, LIMITS)


def test_child_serves_many_files(child: ChildParsing) -> None:
    child.run("a.md", TEXT, LIMITS, check=go_on)
    pid = child.pid
    child.run("b.md", TEXT, LIMITS, check=go_on)
    assert child.pid == pid


def test_refusal_keeps_type_and_words(child: ChildParsing) -> None:
    with pytest.raises(UnsupportedFormat, match=r"'a\.xyz' has the suffix"):
        child.run("a.xyz", TEXT, LIMITS, check=go_on)


@pytest.mark.parametrize(("name", "reason"), [("crash.txt", "crashed"), ("memory.txt", "memory")])
def test_crash_fails_one_file_only(child: ChildParsing, name: str, reason: str) -> None:
    with pytest.raises(ParseFailed, match=reason):
        child.run(name, TEXT, LIMITS, check=go_on)
    assert child.run("a.md", TEXT, LIMITS, check=go_on).text


def test_hang_ends_at_the_limit() -> None:
    parsing = ChildParsing(module="tests.parse_child", limit_s=0.5)
    with pytest.raises(ParseFailed, match="took more than"):
        parsing.run("hang.txt", TEXT, LIMITS, check=go_on)
    assert parsing.pid is None


def test_cancel_kills_within_two_seconds(child: ChildParsing) -> None:
    child.run("a.md", TEXT, LIMITS, check=go_on)
    process, began = psutil.Process(child.pid), time.monotonic()

    def cancel() -> None:
        if time.monotonic() - began > 0.2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        child.run("hang.txt", TEXT, LIMITS, check=cancel)
    assert time.monotonic() - began < 2
    assert not process.is_running()


def test_child_ends_when_input_ends() -> None:
    command = [sys.executable, "-m", "knowledge.parsing.child", str(2 << 30)]
    assert subprocess.run(command, input=b"", timeout=20, check=False).returncode == 1


def test_child_program_loads_no_torch() -> None:
    code = "import sys, knowledge.parsing.child; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
