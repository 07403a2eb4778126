"""A real server process with real sockets: streams, disconnects, signals, a second server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from bot.types import ConversationId, Message
from tests.fakes import FakeChatModel
from tests.shared import dictionary_folder, word_splitter
from tests.web.kit import RETURNS, build_services, make_settings
from web.cli import app as kefu

ROOT = Path(__file__).parents[2]
HTTP = httpx.Client(verify=False)  # one for all: each would read the certificates again


@contextmanager
def running(folder: Path, *, token_delay_s: float = 0.0) -> Iterator[tuple[str, subprocess.Popen]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.web.kit", str(folder), str(port), str(token_delay_s)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _is_ready(url, process), 60)
        yield url, process
    finally:
        process.kill()
        process.wait(10)


def _is_ready(url: str, process: subprocess.Popen) -> bool:
    assert process.poll() is None
    try:
        return HTTP.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(url: str) -> tuple[str, dict[str, str]]:
    made = HTTP.post(f"{url}/api/v1/conversations", json={}).json()
    return f"{url}/api/v1/conversations/{made['id']}", {"Authorization": f"Bearer {made['token']}"}


def last_message(path: str, headers: dict[str, str]) -> dict[str, Any]:
    return HTTP.get(path, headers=headers).json()["messages"][-1]


@contextmanager
def streaming(path: str, headers: dict[str, str]) -> Iterator[Iterator[str]]:
    """Asks, and gives the lines once the answer has begun."""
    headers = headers | {"Accept": "text/event-stream"}
    body = {"text": "How much is gift wrapping?"}
    with HTTP.stream("POST", f"{path}/messages", json=body, headers=headers, timeout=30) as answer:
        lines = answer.iter_lines()
        assert any(line == "event: token" for line in lines)
        yield lines


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one document, to be copied."""
    folder = tmp_path_factory.mktemp("seed")
    settings = make_settings(folder)
    services = build_services(settings, FakeChatModel())
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.worker.run_until_idle()
    services.close()
    word_splitter().load()
    shutil.copytree(dictionary_folder(), settings.data_dir / "cache")
    return folder


@pytest.fixture(scope="module")
def folder(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(seed, tmp_path_factory.mktemp("served") / "kefu"))


@pytest.fixture(scope="module")
def slow_server(folder: Path) -> Iterator[str]:
    with running(folder, token_delay_s=0.05) as (url, _):
        yield url


def test_tokens_arrive_while_written(slow_server: str) -> None:
    path, headers = start(slow_server)
    with streaming(path, headers) as lines:
        before = time.perf_counter()
        assert sum(line == "event: token" for line in (next(lines) for _ in range(30))) >= 5
        assert time.perf_counter() - before < 5
        assert HTTP.post(f"{path}/stop", headers=headers).json() == {"stopped": True}
        last = [line for line in lines if line.startswith("data:")][-1]
    assert json.loads(last.removeprefix("data: "))["status"] == "interrupted"


def test_disconnect_interrupts_the_answer(slow_server: str) -> None:
    path, headers = start(slow_server)
    with streaming(path, headers):
        pass
    until(lambda: last_message(path, headers)["status"] == "interrupted", 3)
    assert last_message(path, headers)["text"].startswith("Gift")


def test_commands_reach_the_running_server(
    slow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_DATA_DIR", str(folder / "data"))
    page = folder / "parking.md"
    page.write_text("# Parking\n\nParking at Elm Street costs 2.40 euros.\n")
    command = CliRunner()
    added = command.invoke(kefu, ["kb", "add", str(page), "--wait"])
    assert added.exit_code == 0, added.output
    assert "parking.md: succeeded" in added.output
    command.invoke(kefu, ["user", "add", "lin", "--role", "knowledge"])
    token = command.invoke(kefu, ["user", "token", "lin"]).output.strip()

    def found() -> list[str]:
        answer = HTTP.get(
            f"{slow_server}/api/v1/search",
            params={"q": "Parking Elm Street", "top_k": 1},
            headers={"Authorization": f"Bearer {token}"},
        )
        return [hit["document"] for hit in answer.json()["hits"]]

    until(lambda: found() == ["parking.md"], 2)
    assert command.invoke(kefu, ["kb", "remove", "parking.md"]).exit_code == 0
    until(lambda: found() != ["parking.md"], 2)


def test_duplicates_are_skipped_from_the_command_line(
    slow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_DATA_DIR", str(folder / "data"))
    copy = folder / "copy.md"
    copy.write_text(RETURNS)
    add = ["kb", "add", str(copy), "--wait", "--on-duplicate"]
    skipped = CliRunner().invoke(kefu, [*add, "skip"])
    assert skipped.exit_code == 0, skipped.output
    assert "copy.md: skipped (Skipped: the text is 100 % like 'returns.md'" in skipped.output
    kept = CliRunner().invoke(kefu, [*add, "keep"])
    assert "copy.md: succeeded\n" in kept.output
    CliRunner().invoke(kefu, ["kb", "remove", "copy.md"])
    replaced = CliRunner().invoke(kefu, [*add, "replace"])
    assert "copy.md: succeeded\n" in replaced.output
    listed = json.loads(CliRunner().invoke(kefu, ["kb", "list", "--json"]).output)
    assert [(one["name"], one["version"]) for one in listed] == [("copy.md", 2)]


def test_second_server_is_refused_in_one_line(slow_server: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "web.cli", "serve", "--port", "1"],
        cwd=ROOT,
        env={**os.environ, "KEFU_DATA_DIR": str(folder / "data"), "KEFU_LOG__LEVEL": "ERROR"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: A Kefu server already runs")
    assert done.stderr.count("\n") == 1


def test_restore_is_refused_while_served(
    slow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_DATA_DIR", str(folder / "data"))
    command = CliRunner()
    archive = folder / "saved.tar"
    assert command.invoke(kefu, ["db", "backup", str(archive)]).exit_code == 0
    refused = command.invoke(kefu, ["db", "restore", str(archive), "--yes"])
    assert "already runs" in str(refused.exception)


def test_sigterm_marks_and_leaves_in_time(seed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(seed, tmp_path / "kefu"))
    with running(folder, token_delay_s=0.2) as (url, process):
        path, headers = start(url)
        with streaming(path, headers) as lines:
            process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            assert "interrupted" in [line for line in lines if line.startswith("data:")][-1]
        assert process.wait(10) == 0
        assert time.monotonic() - told < 6
    assert after_restart(folder, path)[-1].status == "interrupted"


def after_restart(folder: Path, path: str) -> list[Message]:
    """The messages of a conversation once a new server has started on the folder."""
    services = build_services(make_settings(folder), FakeChatModel())
    services.start()
    try:
        return services.conversations.messages(ConversationId(path.rsplit("/", 1)[1]))
    finally:
        services.close()


def test_kill_leaves_what_was_streamed(seed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(seed, tmp_path / "kefu"))
    with running(folder, token_delay_s=0.05) as (url, process):
        path, headers = start(url)
        with streaming(path, headers) as lines:
            until(lambda: next(lines) is not None and _saved(path, headers), 10)
            process.kill()
            process.wait(10)
    asked, answered = after_restart(folder, path)
    assert asked.text == "How much is gift wrapping?"
    assert answered.status == "interrupted"
    assert answered.text.startswith("Gift")


def _saved(path: str, headers: dict[str, str]) -> bool:
    return bool(last_message(path, headers)["text"])
