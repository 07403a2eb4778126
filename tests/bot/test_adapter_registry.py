import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bot.adapter_pointer import POINTER, is_adapter_name
from bot.adapter_registry import AdapterRegistry, BaseModel
from bot.errors import AdapterChangeRefused, AdapterNotFound, AdapterRejected, PointerDamaged
from tests.tiny_model import save_adapter, save_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def loras(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trained")
    return {n: save_adapter(base, folder / n, seed=i) for i, n in enumerate(("first", "second"))}


@pytest.fixture
def registry(base: Path, tmp_path: Path) -> AdapterRegistry:
    return AdapterRegistry(tmp_path / "adapters", base=BaseModel("Tiny-Base", base))


def put(registry: AdapterRegistry, folder: Path) -> str:
    name = registry.add(folder)
    registry.promote(name, by="lin")
    return name


def names(registry: AdapterRegistry) -> list[tuple[str, bool]]:
    return [(item.id, item.promoted) for item in registry.list()]


def changed(folder: Path, target: Path, **config: object) -> Path:
    """A copy of an adapter with another configuration."""
    shutil.copytree(folder, target)
    file = target / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return target


def test_nothing_promoted_is_no_problem(registry: AdapterRegistry) -> None:
    assert registry.list() == []
    assert registry.problem() is None
    assert registry.pointer().current.name is None
    with pytest.raises(AdapterChangeRefused, match="Nothing to go back to"):
        registry.rollback(by="lin")


def test_promoted_folder_is_copied_and_listed(
    registry: AdapterRegistry, loras: dict[str, Path], tmp_path: Path
) -> None:
    put(registry, loras["first"])
    (item,) = registry.list()
    assert (item.id, item.promoted, item.rank) == ("first", True, 4)
    assert item.adapter
    assert item.adapter.startswith("first@")
    copied = tmp_path / "adapters" / "first" / "adapter_model.safetensors"
    assert copied.read_bytes() == (loras["first"] / "adapter_model.safetensors").read_bytes()


def test_rollback_walks_back_to_the_settings(
    registry: AdapterRegistry, loras: dict[str, Path]
) -> None:
    put(registry, loras["first"])
    put(registry, loras["second"])
    assert registry.rollback(by="lin").name == "first"
    assert names(registry) == [("first", True), ("second", False)]
    assert registry.rollback(by="lin").name is None
    with pytest.raises(AdapterChangeRefused):
        registry.rollback(by="lin")


def test_promoting_twice_is_one_change(registry: AdapterRegistry, loras: dict[str, Path]) -> None:
    put(registry, loras["first"])
    before = registry.pointer()
    put(registry, loras["first"])
    assert registry.pointer() == before


def test_rollback_skips_folders_that_are_gone(
    registry: AdapterRegistry, loras: dict[str, Path], tmp_path: Path
) -> None:
    put(registry, loras["first"])
    put(registry, loras["second"])
    shutil.rmtree(tmp_path / "adapters" / "first")
    assert registry.rollback(by="lin").name is None


def test_gone_promoted_adapter_is_told(
    registry: AdapterRegistry, loras: dict[str, Path], tmp_path: Path
) -> None:
    put(registry, loras["first"])
    shutil.rmtree(tmp_path / "adapters" / "first")
    assert "'first' is not in" in str(registry.problem())
    with pytest.raises(AdapterNotFound):
        registry.folder("first")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "../a", ".hidden", "a\0", POINTER, "x" * 65]
)
def test_name_cannot_leave_the_folder(
    registry: AdapterRegistry, loras: dict[str, Path], name: str
) -> None:
    assert not is_adapter_name(name)
    with pytest.raises(AdapterNotFound):
        registry.promote(name, by="lin")
    with pytest.raises(AdapterRejected, match="Expected a name"):
        registry.add(loras["first"], name=name)


def test_chinese_name_is_a_name() -> None:
    assert is_adapter_name("退货-v1.2")


def test_another_adapter_of_the_name_is_refused(
    registry: AdapterRegistry, loras: dict[str, Path]
) -> None:
    put(registry, loras["first"])
    with pytest.raises(AdapterChangeRefused, match="--name"):
        registry.add(loras["second"], name="first")
    assert names(registry) == [("first", True)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "LORA"),
        ({"base_model_name_or_path": "Qwen/Qwen2.5-7B"}, "was trained on"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_unfit_folder_leaves_nothing(
    registry: AdapterRegistry,
    loras: dict[str, Path],
    tmp_path: Path,
    config: dict[str, object],
    message: str,
) -> None:
    bad = changed(loras["first"], tmp_path / "bad", **config)
    with pytest.raises(AdapterRejected, match=message):
        registry.add(bad)
    assert names(registry) == []
    assert sorted(p.name for p in (tmp_path / "adapters").iterdir()) == [".lock"]


def test_cut_pickled_or_empty_weights_are_rejected(
    registry: AdapterRegistry, loras: dict[str, Path], tmp_path: Path
) -> None:
    bad = changed(loras["first"], tmp_path / "bad")
    tensors = bad / "adapter_model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.raises(AdapterRejected, match="Copy the adapter again"):
        registry.add(bad)
    (bad / "optimizer.pt").write_bytes(b"x")
    with pytest.raises(AdapterRejected, match=r"optimizer\.pt"):
        registry.add(bad)
    with pytest.raises(AdapterRejected, match=r"adapter_config\.json"):
        registry.add(tmp_path)


def test_adapter_of_another_size_is_rejected_without_the_model(
    registry: AdapterRegistry, tmp_path: Path
) -> None:
    other = save_tiny_model(tmp_path / "Tiny-Base", hidden=64)
    with pytest.raises(AdapterRejected, match="features"):
        registry.add(save_adapter(other, tmp_path / "wide"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 1, "current": {"name": "../x", "adapter": null, "at": "", "by": ""}, '
        '"history": [], "refused": {}}',
    ],
)
def test_damaged_pointer_is_told_and_replaced(
    registry: AdapterRegistry, loras: dict[str, Path], tmp_path: Path, content: str
) -> None:
    put(registry, loras["first"])
    (tmp_path / "adapters" / POINTER).write_text(content)
    assert "does not say which adapter" in str(registry.problem())
    assert names(registry) == [("first", False)]
    with pytest.raises(PointerDamaged):
        registry.rollback(by="lin")
    registry.promote("first", by="lin")
    assert registry.problem() is None
    assert (tmp_path / "adapters" / f"damaged-{POINTER}").read_text() == content


def test_refused_adapter_is_withdrawn_and_noted(
    registry: AdapterRegistry, loras: dict[str, Path]
) -> None:
    put(registry, loras["first"])
    serving = registry.pointer()
    put(registry, loras["second"])
    registry.refuse(registry.pointer().current, "too warm", instead=serving.current)
    after = registry.pointer()
    assert (after.current, after.history) == (serving.current, serving.history)
    assert [item.refused for item in registry.list()] == [None, "too warm"]
    registry.promote("second", by="lin")
    assert registry.pointer().refused == {}
    assert registry.rollback(by="lin") == serving.current


def test_refusal_spares_a_newer_promotion(
    registry: AdapterRegistry, loras: dict[str, Path]
) -> None:
    first = registry.promote(registry.add(loras["first"]), by="lin")
    put(registry, loras["second"])
    registry.refuse(first, "too warm", instead=registry.pointer().history[0])
    assert registry.pointer().current.name == "second"
    assert registry.rollback(by="lin").name is None


def test_concurrent_writers_lose_nothing(registry: AdapterRegistry, loras: dict[str, Path]) -> None:
    for folder in loras.values():
        registry.add(folder)

    def promote(name: str) -> None:
        for _ in range(10):
            registry.promote(name, by=name)

    threads = [threading.Thread(target=promote, args=(name,)) for name in loras]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pointer = registry.pointer()
    walked = [entry.name for entry in (*pointer.history, pointer.current)]
    assert walked[0] is None
    assert all(a != b for a, b in itertools.pairwise(walked))


_KILLED = """
import os, signal, sys
from pathlib import Path
from bot.adapter_registry import AdapterRegistry
def die(*args, **keywords): os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[1], die)
setattr(Path, sys.argv[1], die)
registry = AdapterRegistry(Path(sys.argv[2]), base=None)
registry.promote(registry.add(Path(sys.argv[3])), by="lin")
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize(("step", "left"), [("rename", 1), ("replace", 2)])
def test_killed_promotion_keeps_the_old_one(
    registry: AdapterRegistry, loras: dict[str, Path], tmp_path: Path, step: str, left: int
) -> None:
    put(registry, loras["first"])
    before = registry.pointer()
    command = [sys.executable, "-c", _KILLED, step, str(tmp_path / "adapters")]
    done = subprocess.run([*command, str(loras["second"])], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert list((tmp_path / "adapters").glob(".work-*"))
    assert registry.pointer() == before
    assert len(registry.list()) == left
    put(registry, loras["second"])
    assert names(registry) == [("first", False), ("second", True)]
    assert not list((tmp_path / "adapters").glob(".work-*"))


def test_full_or_forbidden_disk_is_one_clear_line(
    base: Path, loras: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "adapters").write_text("a file where the folder should be")
    registry = AdapterRegistry(tmp_path / "adapters", base=BaseModel("Tiny-Base", base))
    with pytest.raises(AdapterChangeRefused, match="nothing has changed"):
        registry.add(loras["first"])
