import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from bot.errors import AdapterRejected, ModelUnavailable, PromptTooLong, QueueFull
from bot.llm import adapters
from bot.llm.base import ChatMessage, Delta, Finished, GenerationParams
from bot.llm.engine import Engine
from bot.llm.line import Line, Request
from bot.llm.local import LocalChatModel, LocalModelOptions
from tests.contracts import LONG, ask, collect
from tests.tiny_model import save_adapter, save_tiny_model

OPTIONS = LocalModelOptions(
    device="cpu",
    threads=0,
    max_active=1,
    max_waiting=8,
    prompt_lookup_tokens=4,
    int8_decoding=True,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("weights") / "Tiny-Base", ends=False)


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("adapters") / "returns-v1")


@pytest.fixture
def make(base: Path) -> Iterator[Callable[..., LocalChatModel]]:
    made: list[LocalChatModel] = []

    def make_model(adapter: Path | None = None, **options: object) -> LocalChatModel:
        made.append(LocalChatModel(base, adapter=adapter, options=replace(OPTIONS, **options)))  # type: ignore[arg-type]
        return made[-1]

    yield make_model
    for model in made:
        model.close()


def _answer(model: LocalChatModel, text: str = "hello") -> str:
    return "".join(e.text for e in collect(model, text, n=20) if isinstance(e, Delta))


def _request(text: str = "hello", n: int = 5) -> Request:
    return Request(ask(text), GenerationParams(max_new_tokens=n), stop=threading.Event())


def test_adapter_changes_answers_and_can_be_taken_out(
    make: Callable[..., LocalChatModel], lora: Path
) -> None:
    model = make()
    plain = _answer(model)
    model.swap_adapter(lora)
    adapted = _answer(model)
    assert model.adapter is not None
    assert model.adapter.startswith("returns-v1@")
    assert adapted != plain
    model.swap_adapter(None)
    assert model.adapter is None
    assert _answer(model) == plain
    assert _answer(make(lora)) == adapted


def test_merged_weights_equal_peft(
    make: Callable[..., LocalChatModel], base: Path, lora: Path
) -> None:
    model = make(lora)
    peer = AutoModelForCausalLM.from_pretrained(base, dtype=model._model.dtype)
    expected = PeftModel.from_pretrained(peer, str(lora)).merge_and_unload().state_dict()
    ours = model._model.state_dict()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in ours)


def test_swapping_never_writes_to_the_weights_file(
    make: Callable[..., LocalChatModel], base: Path, lora: Path
) -> None:
    before = (base / "model.safetensors").read_bytes()
    model = make()
    model.swap_adapter(lora)
    assert _answer(model)
    assert (base / "model.safetensors").read_bytes() == before


def test_swap_forgets_kept_prefixes_and_waits_for_running_answers(
    make: Callable[..., LocalChatModel], lora: Path
) -> None:
    model = make()
    plain = _answer(model)
    stream = model.generate(
        ask("hello"), GenerationParams(max_new_tokens=20), stop=threading.Event()
    )
    first = next(stream)  # it is being written
    model.swap_adapter(lora)
    events = [first, *stream]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == plain
    fresh = _answer(make(lora))
    assert _answer(model) == fresh


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "Expected a LORA adapter"),
        ({"r": 0}, "rank"),
        ({"r": "four"}, "rank"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B"}, "was trained on 'Qwen/Qwen2.5-7B'"),
    ],
)
def test_adapter_with_wrong_config_is_rejected(
    make: Callable[..., LocalChatModel],
    lora: Path,
    tmp_path: Path,
    change: dict[str, object],
    message: str,
) -> None:
    bad = Path(shutil.copytree(lora, tmp_path / "bad"))
    config = json.loads((bad / "adapter_config.json").read_text())
    (bad / "adapter_config.json").write_text(json.dumps({**config, **change}))
    model = make()
    with pytest.raises(AdapterRejected, match=message):
        model.swap_adapter(bad)
    assert model.adapter is None


def test_adapter_folder_with_wrong_files_is_rejected(
    make: Callable[..., LocalChatModel], lora: Path, tmp_path: Path
) -> None:
    model = make()
    with pytest.raises(AdapterRejected, match=r"adapter_config\.json"):
        model.swap_adapter(tmp_path)
    pickled = Path(shutil.copytree(lora, tmp_path / "pickled"))
    (pickled / "adapter_model.bin").write_bytes(b"x")
    with pytest.raises(AdapterRejected, match="no pickled weights"):
        model.swap_adapter(pickled)
    cut = Path(shutil.copytree(lora, tmp_path / "cut"))
    (cut / "adapter_model.safetensors").write_bytes(b"\x10\0\0\0")
    with pytest.raises(AdapterRejected, match="Cannot read"):
        model.swap_adapter(cut)
    (cut / "adapter_config.json").write_text("[1]")
    with pytest.raises(AdapterRejected, match="JSON object"):
        model.swap_adapter(cut)


def test_adapter_for_another_shape_is_rejected(
    make: Callable[..., LocalChatModel], tmp_path: Path
) -> None:
    other = save_tiny_model(tmp_path / "Tiny-Base", hidden=64)
    wide = save_adapter(other, tmp_path / "wide")
    with pytest.raises(AdapterRejected, match="features"):
        make().swap_adapter(wide)
    names = {"base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": torch.zeros(4, 32)}
    save_file(names, wide / "adapter_model.safetensors")
    with pytest.raises(AdapterRejected, match="fits no layer"):
        make().swap_adapter(wide)


@pytest.mark.parametrize("targets", [["nothing_such"], ["q_proj"]])
def test_failing_merge_keeps_the_old_adapter(
    make: Callable[..., LocalChatModel], lora: Path, tmp_path: Path, targets: list[str]
) -> None:
    model = make(lora)
    before, name = _answer(model), model.adapter
    broken = Path(shutil.copytree(lora, tmp_path / "broken"))
    config = json.loads((broken / "adapter_config.json").read_text())
    (broken / "adapter_config.json").write_text(json.dumps({**config, "target_modules": targets}))
    with pytest.raises(AdapterRejected, match=r"Cannot apply|leave out its own tensor"):
        model.swap_adapter(broken)
    assert model.adapter == name
    assert _answer(model) == before
    model.swap_adapter(lora)
    assert _answer(model) == before


def test_adapter_with_broken_numbers_is_rejected(
    make: Callable[..., LocalChatModel], lora: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(lora, tmp_path / "broken"))
    file = broken / "adapter_model.safetensors"
    save_file({name: t * float("nan") for name, t in load_file(file).items()}, file)
    with pytest.raises(AdapterRejected, match="not finite"):
        make().swap_adapter(broken)


def test_adapter_id_follows_its_content(base: Path, lora: Path, tmp_path: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(base)
    again = save_adapter(base, tmp_path / "returns-v1", seed=9)
    ids = [adapters.check_adapter(f, plain, base_name="Tiny-Base").id for f in (lora, again, lora)]
    assert ids[0] == ids[2] != ids[1]


def test_interleaved_answers_equal_single_ones(make: Callable[..., LocalChatModel]) -> None:
    texts = ["hello", "x " * 300, "你好"]
    single = [_answer(make(), text) for text in texts]
    model = make(max_active=3)
    params = GenerationParams(max_new_tokens=20)
    streams = [model.generate(ask(text), params, stop=threading.Event()) for text in texts]
    together = ["".join(e.text for e in s if isinstance(e, Delta)) for s in streams]
    assert together == single


def test_short_answer_overtakes_when_interleaved(make: Callable[..., LocalChatModel]) -> None:
    model = make(max_active=2, prompt_lookup_tokens=0)
    order: list[str] = []

    def read(name: str, n: int) -> None:
        params = GenerationParams(max_new_tokens=n)
        list(model.generate(ask(LONG), params, stop=threading.Event()))
        order.append(name)

    long = threading.Thread(target=read, args=("long", 200))
    long.start()
    read("short", 3)
    long.join()
    assert order == ["short", "long"]


def test_prompt_longer_than_the_model_is_refused(make: Callable[..., LocalChatModel]) -> None:
    model = make()
    with pytest.raises(PromptTooLong, match="4096"):
        collect(model, "x " * 3000)
    assert isinstance(collect(model, "hello")[-1], Finished)


def test_closed_model_refuses(make: Callable[..., LocalChatModel]) -> None:
    model = make()
    model.close()
    with pytest.raises(ModelUnavailable, match="shutting down"):
        collect(model, "hello")
    with pytest.raises(ModelUnavailable, match="shutting down"):
        model.swap_adapter(None)


def test_closing_fails_running_and_waiting_answers(make: Callable[..., LocalChatModel]) -> None:
    model = make(prompt_lookup_tokens=0)
    params = GenerationParams(max_new_tokens=2000)
    streams = [model.generate(ask(LONG), params, stop=threading.Event()) for _ in range(2)]
    next(streams[0])
    model.close()
    for stream in streams:
        with pytest.raises(ModelUnavailable, match="shutting down"):
            list(stream)


def test_folder_that_is_no_model_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="Cannot load"):
        LocalChatModel(tmp_path, adapter=None, options=OPTIONS)


def test_missing_cuda_is_named(base: Path) -> None:
    if torch.cuda.is_available():
        pytest.fail("this test is for machines without CUDA")
    with pytest.raises(ModelUnavailable, match="KEFU_LLM__DEVICE"):
        LocalChatModel(base, adapter=None, options=replace(OPTIONS, device="cuda"))


def test_error_in_one_answer_leaves_the_engine_running() -> None:
    def answer(request: Request) -> Iterator[None]:
        yield
        if request.messages[-1].content == "bad":
            raise torch.OutOfMemoryError("out of memory")
        request.emit(Finished("eos", 1, 1, 0.0, 0.0, 0.0))

    line = Line(lambda request: engine.submit(request), max_active=1, max_waiting=4)
    engine = Engine(answer, finished=line.leave)
    streams = [line.join(_request(text)) for text in ("bad", "good")]
    with pytest.raises(ModelUnavailable, match="OutOfMemoryError"):
        list(streams[0])
    assert isinstance(list(streams[1])[-1], Finished)
    engine.close()


def test_retry_after_grows_with_the_line() -> None:
    waits = []
    for max_waiting in (0, 10):
        line = Line(lambda request: None, max_active=1, max_waiting=max_waiting)
        streams = [line.join(_request()) for _ in range(1 + max_waiting)]
        with pytest.raises(QueueFull) as caught:
            line.join(_request())
        waits.append(caught.value.retry_after_s)
        del streams
    assert waits[0] < waits[1]


def test_unread_stream_does_not_hold_up_the_next(make: Callable[..., LocalChatModel]) -> None:
    model = make()
    params = GenerationParams(max_new_tokens=5)
    unread = model.generate(ask(LONG), params, stop=threading.Event())
    assert isinstance(collect(model, "hello")[-1], Finished)
    assert isinstance(list(unread)[-1], Finished)


def test_messages_must_not_be_lost_between_threads(make: Callable[..., LocalChatModel]) -> None:
    model = make(max_active=2, max_waiting=20)
    results: list[str] = []

    def run() -> None:
        results.append(_answer(model))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 8
    assert len(set(results)) == 1
    assert not model.is_full


def test_system_message_alone_is_answered(make: Callable[..., LocalChatModel]) -> None:
    events = list(
        make().generate(
            [ChatMessage("system", "Say hello.")],
            GenerationParams(max_new_tokens=3),
            stop=threading.Event(),
        )
    )
    assert isinstance(events[-1], Finished)
