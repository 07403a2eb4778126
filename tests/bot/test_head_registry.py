"""Retrained heads: kept whole, promoted only when better, rolled back, seen by a server."""

import time
from pathlib import Path

import pytest

from bot.adapter_pointer import POINTER
from bot.classifiers.registry import (
    RECORD,
    Comparison,
    HeadChange,
    HeadRecord,
    HeadRegistry,
)
from bot.classifiers.served_heads import ServedHeads
from bot.errors import HeadChangeRefused, HeadNotFound

FILE = "model.safetensors"


def load(folder: Path) -> str:
    """A stand-in for reading a head: refuses damaged bytes."""
    found = (folder / FILE).read_text()
    if found == "damaged":
        raise ValueError("not a head")
    return found


@pytest.fixture
def changes() -> list[HeadChange]:
    return []


@pytest.fixture
def registry(tmp_path: Path, changes: list[HeadChange]) -> HeadRegistry:
    return HeadRegistry(
        tmp_path / "nlu",
        packaged=tmp_path / "heads",
        tasks=("intent", "urgency"),
        check=load,
        on_change=changes.append,
    )


def save(
    registry: HeadRegistry,
    content: str = "new",
    *,
    against: str | None = None,
    fallen: tuple[str, ...] = (),
) -> str:
    comparison = Comparison(against, 10, 0.8, 0.9, {"refund": (0.8, 0.9)}, fallen)
    record = HeadRecord("lin", {"examples": 3}, comparison)
    return registry.save("intent", lambda f: _write(f, content), record=record)


def _write(folder: Path, content: str) -> None:
    (folder / FILE).write_text(content)


def test_shipped_head_serves_first(registry: HeadRegistry, tmp_path: Path) -> None:
    save(registry)
    assert registry.serving("intent") == tmp_path / "heads" / "intent"


def test_better_head_is_promoted(registry: HeadRegistry, changes: list[HeadChange]) -> None:
    name = save(registry)
    registry.promote("intent", name, by="lin")
    assert load(registry.serving("intent")) == "new"
    assert changes == [HeadChange("promote", "intent", name, "lin")]
    assert registry.serving_name("urgency") is None


def test_record_is_read_back(registry: HeadRegistry) -> None:
    name = save(registry, fallen=("refund",))
    [head] = registry.list("intent")
    assert head == registry.get("intent", name)
    assert head.record is not None
    assert head.record.comparison is not None
    assert head.record.comparison.labels == {"refund": (0.8, 0.9)}
    assert head.record.comparison.fallen == ("refund",)
    assert head.record.lineage == {"examples": 3}


def test_worse_head_needs_a_reason(registry: HeadRegistry, changes: list[HeadChange]) -> None:
    name = save(registry, fallen=("refund",))
    with pytest.raises(HeadChangeRefused, match="refund"):
        registry.promote("intent", name, by="lin")
    registry.promote("intent", name, by="lin", reason="the old labels were wrong")
    assert changes[-1].reason == "the old labels were wrong"


def test_outdated_comparison_needs_a_reason(registry: HeadRegistry) -> None:
    first, second = save(registry), save(registry)
    registry.promote("intent", first, by="lin")
    with pytest.raises(HeadChangeRefused, match="any more"):
        registry.promote("intent", second, by="lin")


def test_head_without_comparison_needs_a_reason(registry: HeadRegistry) -> None:
    name = registry.save("intent", lambda f: _write(f, "x"), record=HeadRecord("lin"))
    with pytest.raises(HeadChangeRefused, match="not compared"):
        registry.promote("intent", name, by="lin")


def test_damaged_head_is_refused(registry: HeadRegistry) -> None:
    name = save(registry, "damaged")
    with pytest.raises(HeadChangeRefused, match="damaged"):
        registry.promote("intent", name, by="lin")


def test_rollback_goes_back_step_by_step(registry: HeadRegistry) -> None:
    first = save(registry)
    registry.promote("intent", first, by="lin")
    second = save(registry, against=first)
    registry.promote("intent", second, by="lin")
    assert registry.rollback("intent", by="lin") == first
    assert registry.can_roll_back("intent")
    assert registry.rollback("intent", by="lin") is None
    with pytest.raises(HeadChangeRefused):
        registry.rollback("intent", by="lin")


def test_failed_save_leaves_nothing(registry: HeadRegistry, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        _write(folder, "half")
        raise OSError(28, "No space left on device")

    with pytest.raises(HeadChangeRefused, match="space"):
        registry.save("intent", fail, record=HeadRecord("lin"))
    assert registry.list("intent") == []
    save(registry)
    assert not list((tmp_path / "nlu" / "intent").glob(".work-*"))


@pytest.mark.parametrize("name", ["", "..", "../intent", "none", POINTER])
def test_unknown_heads_are_refused(registry: HeadRegistry, name: str) -> None:
    with pytest.raises(HeadNotFound):
        registry.promote("intent", name, by="lin")


def test_unknown_task_is_refused(registry: HeadRegistry) -> None:
    with pytest.raises(HeadNotFound, match="urgency"):
        registry.serving("../intent")


def test_damaged_pointer_serves_what_ships(registry: HeadRegistry, tmp_path: Path) -> None:
    name = save(registry)
    registry.promote("intent", name, by="lin")
    (tmp_path / "nlu" / "intent" / POINTER).write_text("{")
    assert registry.serving_name("intent") is None
    registry.promote("intent", name, by="lin")
    assert registry.serving_name("intent") == name


def test_unreadable_record_is_listed(registry: HeadRegistry, tmp_path: Path) -> None:
    name = save(registry)
    (tmp_path / "nlu" / "intent" / name / RECORD).write_text("[]")
    assert registry.list("intent")[0].record is None


def test_server_follows_another_process(registry: HeadRegistry, tmp_path: Path) -> None:
    loaded: list[Path] = []
    served = ServedHeads(registry, lambda: loaded.append(registry.serving("intent")))
    served.start()
    other = HeadRegistry(tmp_path / "nlu", packaged=tmp_path / "heads", tasks=registry.tasks)
    name = save(other)
    other.promote("intent", name, by="a command")
    deadline = time.monotonic() + 2
    while not loaded and time.monotonic() < deadline:
        time.sleep(0.02)
    served.stop()
    assert [folder.name for folder in loaded] == [name]


def test_server_keeps_trying_failed_heads(registry: HeadRegistry) -> None:
    n_tries = 0

    def reload() -> None:
        nonlocal n_tries
        n_tries += 1
        if n_tries == 1:
            raise ValueError("damaged")

    served = ServedHeads(registry, reload)
    registry.promote("intent", save(registry), by="lin")
    with pytest.raises(ValueError, match="damaged"):
        served.refresh()
    assert served.refresh()
    assert not served.refresh()
