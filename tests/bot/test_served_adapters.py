import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.adapter_pointer import AS_SET, POINTER
from bot.adapter_registry import AdapterRegistry, BaseModel
from bot.errors import AdapterChangeRefused, AdapterRejected, PointerDamaged
from bot.llm.local import LocalChatModel
from bot.served_adapters import OpenedModel, ServedAdapters, open_with_adapter
from tests.fakes import FakeChatModel
from tests.tiny_model import OPTIONS, save_adapter, save_forgetful_adapter


@pytest.fixture(scope="module")
def loras(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three that fit, and one that the model refuses."""
    folder = tmp_path_factory.mktemp("trained")
    made = {
        name: save_adapter(base, folder / name, seed=seed)
        for seed, name in enumerate(("first", "second", "of-settings"))
    }
    return made | {"forgetful": save_forgetful_adapter(base, folder / "forgetful")}


@pytest.fixture
def registry(base: Path, tmp_path: Path, loras: dict[str, Path]) -> AdapterRegistry:
    registry = AdapterRegistry(tmp_path / "adapters", base=BaseModel("Tiny-Base", base))
    for name in ("first", "second", "forgetful"):
        registry.add(loras[name])
    return registry


Open = Callable[..., tuple[LocalChatModel, ServedAdapters]]


@pytest.fixture
def open_served(base: Path, registry: AdapterRegistry) -> Iterator[Open]:
    """Opens as the product does, as often as a test restarts."""
    made: list[tuple[LocalChatModel, ServedAdapters]] = []

    def build(adapter: Path | None) -> LocalChatModel:
        return LocalChatModel(base, adapter=adapter, options=OPTIONS)

    def open_one(default: Path | None = None) -> tuple[LocalChatModel, ServedAdapters]:
        opened = open_with_adapter(registry, build, default=default)
        made.append((opened.model, ServedAdapters(registry, opened, default=default)))
        return made[-1]

    yield open_one
    for model, served in made:
        served.stop()
        model.close()


def name_of(model: LocalChatModel) -> str | None:
    return model.adapter and model.adapter.partition("@")[0]


def until(condition: Callable[[], bool], timeout_s: float = 2.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_promotion_and_rollback_are_in_use_at_once(open_served: Open) -> None:
    model, served = open_served()
    served.promote("first", by="lin")
    assert name_of(model) == "first"
    served.promote("second", by="lin")
    assert name_of(model) == "second"
    assert served.rollback(by="lin").name == "first"
    assert name_of(model) == "first"
    assert served.rollback(by="lin").name is None
    assert model.adapter is None


def test_rollback_returns_to_the_settings_adapter(
    open_served: Open, loras: dict[str, Path]
) -> None:
    model, served = open_served(loras["of-settings"])
    assert name_of(model) == "of-settings"
    served.promote("first", by="lin")
    served.rollback(by="lin")
    assert name_of(model) == "of-settings"


def test_server_follows_another_process(open_served: Open, registry: AdapterRegistry) -> None:
    model, served = open_served()
    served.start()
    registry.promote("first", by="command line")
    until(lambda: name_of(model) == "first")
    registry.rollback(by="command line")
    until(lambda: model.adapter is None)


def test_restart_attaches_the_promoted_adapter(
    open_served: Open, registry: AdapterRegistry, loras: dict[str, Path]
) -> None:
    registry.promote("first", by="lin")
    assert name_of(open_served(loras["of-settings"])[0]) == "first"


def test_adapter_that_the_model_refuses_is_withdrawn(
    open_served: Open, registry: AdapterRegistry
) -> None:
    model, served = open_served()
    served.promote("first", by="lin")
    with pytest.raises(AdapterRejected, match="leave out its own tensor"):
        served.promote("forgetful", by="lin")
    assert name_of(model) == "first"
    assert registry.pointer().current.name == "first"
    assert "leave out" in str({i.id: i.refused for i in registry.list()}["forgetful"])
    assert served.rollback(by="lin").name is None


def test_refusal_of_another_process_is_noted(open_served: Open, registry: AdapterRegistry) -> None:
    model, served = open_served()
    served.start()
    registry.promote("forgetful", by="command line")
    until(lambda: "forgetful" in registry.pointer().refused)
    assert model.adapter is None
    assert registry.pointer().current == AS_SET


def test_promoted_adapter_refused_at_start_is_noted(
    open_served: Open, registry: AdapterRegistry, loras: dict[str, Path]
) -> None:
    entry = registry.promote("forgetful", by="lin")
    model, served = open_served(loras["of-settings"])
    assert registry.pointer().refused == {}  # a command may open a model too
    served.start()
    assert name_of(model) == "of-settings"
    assert "leave out" in registry.pointer().refused["forgetful"]
    assert registry.pointer().current == entry  # other weights may be to blame


def test_start_that_attaches_takes_the_note_away(
    open_served: Open, registry: AdapterRegistry
) -> None:
    registry.refuse(registry.promote("first", by="lin"), "other weights", instead=None)
    _, served = open_served()
    served.start()
    assert registry.pointer().refused == {}


def test_damaged_pointer_changes_nothing(
    open_served: Open, registry: AdapterRegistry, tmp_path: Path, loras: dict[str, Path]
) -> None:
    model, served = open_served()
    served.promote("first", by="lin")
    (tmp_path / "adapters" / POINTER).write_text("{")
    with pytest.raises(PointerDamaged):
        served.refresh()
    assert name_of(model) == "first"
    assert "does not say" in str(served.overview().problem)
    restarted, _ = open_served(loras["of-settings"])
    assert name_of(restarted) == "of-settings"
    registry.promote("second", by="lin")
    served.refresh()
    assert name_of(model) == "second"


def test_model_elsewhere_refuses_changes(registry: AdapterRegistry) -> None:
    served = ServedAdapters(registry, OpenedModel(FakeChatModel(), AS_SET), default=None)
    served.start()
    for change in (lambda: served.promote("first", by="lin"), lambda: served.rollback(by="lin")):
        with pytest.raises(AdapterChangeRefused, match="KEFU_LLM__REMOTE_MODEL"):
            change()
    assert registry.pointer().current == AS_SET
    served.stop()
