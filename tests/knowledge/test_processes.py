"""Whether a named process still runs, whatever the clock does."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from knowledge import processes
from knowledge.processes import is_alive, process_name


def test_only_the_very_process_is_alive() -> None:
    host, pid, started = process_name().split(":")
    assert is_alive(process_name())
    assert is_alive(f"{process_name()}:worker-1")
    assert not is_alive(f"{host}:{pid}:{started}1")
    assert not is_alive(f"{host}:{2**22 + 1}:{started}")
    assert is_alive(f"elsewhere:{pid}:{started}")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux counts ticks")
def test_a_changed_clock_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    name = process_name()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() + 3600)
    assert is_alive(name)
    assert process_name() == name


def test_a_killed_process_is_dead_before_it_is_waited_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    host = process_name().split(":")[0]
    name = f"{host}:{child.pid}:{processes._start(child.pid)}"
    assert is_alive(name)
    child.kill()
    deadline = time.monotonic() + 5
    while is_alive(name) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(name)
    child.wait()


def test_without_proc_the_start_time_decides(tmp_path: Path) -> None:
    pid = psutil.Process().pid
    assert (processes._start(pid, proc=tmp_path) or "").isdigit()
    assert processes._start(2**22 + 1, proc=tmp_path) is None
