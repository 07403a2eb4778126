import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from bot.errors import ModelUnavailable
from bot.llm.base import Delta, Finished, GenerationParams
from bot.llm.remote import RemoteChatModel, RemoteModelOptions
from tests import contracts
from tests.chat_server import KEY
from tests.contracts import ask, collect
from tests.processes import free_port, wait_for_port


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "journal.jsonl"


@pytest.fixture(scope="module")
def server(journal: Path) -> Iterator[str]:
    port = free_port()
    script = Path(contracts.__file__).with_name("chat_server.py")
    with Popen([sys.executable, str(script), str(port), str(journal)]) as process:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}/v1"
        process.kill()  # a silent answer would hold up an orderly end


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., RemoteChatModel]]:
    made: list[RemoteChatModel] = []

    def make_model(
        model: str, *, url: str | None = None, key: str = KEY, timeout_s: float = 5
    ) -> RemoteChatModel:
        where = url or request.getfixturevalue("server")
        options = RemoteModelOptions(where, model, key, timeout_s, max_active=4, max_waiting=4)
        made.append(RemoteChatModel(options))
        return made[-1]

    yield make_model
    for model in made:
        model.close()


def _entries(journal: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def test_answer_is_streamed_with_usage(make: Callable[..., RemoteChatModel]) -> None:
    events = collect(make("echo"), "退货 takes thirty days", n=50)
    deltas = [event.text for event in events if isinstance(event, Delta)]
    assert deltas == ["退货", " takes", " thirty", " days"]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.n_prompt_tokens, last.n_new_tokens) == ("eos", 11, 4)


def test_length_limit_is_reported(make: Callable[..., RemoteChatModel]) -> None:
    last = collect(make("echo"), "one two three", n=2)[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.n_new_tokens) == ("length", 2)


def test_parameters_reach_the_server(make: Callable[..., RemoteChatModel], journal: Path) -> None:
    params = GenerationParams(max_new_tokens=7, temperature=0.5, top_p=0.8, seed=3)
    list(make("echo").generate(ask("hi"), params, stop=threading.Event()))
    body = _entries(journal)[-1]["body"]
    assert isinstance(body, dict)
    sent = {name: body[name] for name in ("model", "max_tokens", "temperature", "top_p", "seed")}
    expected = {"model": "echo", "max_tokens": 7, "temperature": 0.5, "top_p": 0.8, "seed": 3}
    assert sent == expected
    assert body["messages"][0] == {"role": "system", "content": "Answer briefly."}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("error", "answered 500"),
        ("error-midway", "reported an error while answering"),
        ("broken-off", "broke"),
        ("garbage", "Expected a stream of chat completion chunks"),
        ("odd", "Expected a stream of chat completion chunks"),
    ],
)
def test_failing_server_is_explained(
    make: Callable[..., RemoteChatModel], model: str, message: str
) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        collect(make(model), "one two three four")


def test_wrong_key_is_named_but_never_shown(
    make: Callable[..., RemoteChatModel], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelUnavailable, match="KEFU_LLM__REMOTE_KEY") as caught:
        collect(make("echo", key="secret-wrong-key"), "hi")
    assert "secret-wrong-key" not in caplog.text + str(caught.value)
    assert "secret-wrong-key" not in repr(RemoteModelOptions("u", "m", "secret-wrong-key", 1, 1, 1))


def test_unreachable_server_is_explained(make: Callable[..., RemoteChatModel]) -> None:
    model = make("echo", url=f"http://127.0.0.1:{free_port()}/v1")
    with pytest.raises(ModelUnavailable, match=r"Cannot reach .* KEFU_LLM__REMOTE_URL"):
        collect(model, "hi")
    with pytest.raises(ModelUnavailable, match=r"404.*KEFU_LLM__REMOTE_URL"):
        collect(make("echo", url=_without_version(make("echo"))), "hi")


def _without_version(model: RemoteChatModel) -> str:
    return model._url.removesuffix("/v1")


def test_silence_is_given_up_after_the_timeout(make: Callable[..., RemoteChatModel]) -> None:
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"for 0\.5 s"):
        collect(make("silent", timeout_s=0.5), "hi")
    assert time.monotonic() - started < 4


def test_stop_works_while_the_server_is_silent(make: Callable[..., RemoteChatModel]) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    started = time.monotonic()
    last = collect(make("silent"), "hi", stop=stop)[-1]
    assert isinstance(last, Finished)
    assert last.reason == "stopped"
    assert time.monotonic() - started < 2


def test_stop_ends_the_work_on_the_server(
    make: Callable[..., RemoteChatModel], journal: Path
) -> None:
    n_before = len(_entries(journal))
    stop = threading.Event()
    text = "word " * 100
    params = GenerationParams(max_new_tokens=100)
    for event in make("slow").generate(ask(text), params, stop=stop):
        if isinstance(event, Delta):
            stop.set()
    deadline = time.monotonic() + 3
    while {"cancelled": True} not in _entries(journal)[n_before:]:
        assert time.monotonic() < deadline, "the server went on writing"
        time.sleep(0.05)


def test_closed_model_refuses(make: Callable[..., RemoteChatModel]) -> None:
    model = make("echo")
    model.close()
    with pytest.raises(ModelUnavailable, match="shutting down"):
        collect(model, "hi")


def test_token_estimate_errs_on_the_high_side(make: Callable[..., RemoteChatModel]) -> None:
    model = make("echo", url="http://127.0.0.1:1/v1")
    assert model.count_tokens("退货要几天") == 5
    assert model.count_tokens("thirty days") == 4
    assert model.adapter is None


def test_unnamed_model_is_the_servers_first(make: Callable[..., RemoteChatModel]) -> None:
    model = make("")
    deltas = [event.text for event in collect(model, "one two", n=9) if isinstance(event, Delta)]
    assert deltas == ["one", " two"]
    assert model.name == "echo"
