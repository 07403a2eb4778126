import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from bot.llm.base import ChatModel
from bot.llm.local import LocalChatModel, LocalModelOptions
from bot.llm.remote import RemoteChatModel, RemoteModelOptions
from tests import contracts
from tests.chat_server import KEY
from tests.fakes import FakeChatModel
from tests.processes import free_port, wait_for_port
from tests.tiny_model import save_tiny_model

Maker = Callable[..., ChatModel]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    script = Path(contracts.__file__).with_name("chat_server.py")
    journal = tmp_path_factory.mktemp("server") / "journal.jsonl"
    with Popen([sys.executable, str(script), str(port), str(journal)]) as process:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}/v1"
        process.kill()  # a silent answer would hold up an orderly end


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"), ends=False)


@pytest.fixture(params=["local", "remote", "fake"])
def make(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """Makes a model that takes milliseconds per token, or a few more where `slow` is asked for."""
    made: list[LocalChatModel | RemoteChatModel] = []

    def make_local(*, max_active: int = 1, max_waiting: int = 8, slow: bool = False) -> ChatModel:
        options = LocalModelOptions(
            device="cpu",
            threads=0,
            max_active=max_active,
            max_waiting=max_waiting,
            prompt_lookup_tokens=0 if slow else 4,
            int8_decoding=True,
        )
        folder = request.getfixturevalue("folder")
        made.append(LocalChatModel(folder, adapter=None, options=options))
        return made[-1]

    def make_remote(*, max_active: int = 1, max_waiting: int = 8, slow: bool = False) -> ChatModel:
        options = RemoteModelOptions(
            url=request.getfixturevalue("server"),
            model="slow" if slow else "echo",
            key=KEY,
            timeout_s=10,
            max_active=max_active,
            max_waiting=max_waiting,
        )
        made.append(RemoteChatModel(options))
        return made[-1]

    def make_fake(*, max_active: int = 1, max_waiting: int = 8, slow: bool = False) -> ChatModel:
        assert max_active == 1
        delay_s = 0.01 if slow else 0.0
        return FakeChatModel(token_delay_s=delay_s, max_waiting=max_waiting)

    yield {"local": make_local, "remote": make_remote, "fake": make_fake}[request.param]
    for model in made:
        model.close()


@pytest.mark.parametrize("check", contracts.CHAT_MODEL_CHECKS)
def test_chat_model(make: Maker, check: Callable[[ChatModel], None]) -> None:
    check(make())


@pytest.mark.parametrize("check", contracts.SLOW_CHAT_MODEL_CHECKS)
def test_slow_chat_model(make: Maker, check: Callable[[ChatModel], None]) -> None:
    check(make(slow=True))


@pytest.mark.parametrize("check", contracts.LINE_CHECKS)
def test_line_of_chat_model(make: Maker, check: Callable[[Maker], None]) -> None:
    check(lambda **limits: make(slow=True, **limits))
