"""Names this process so that another one can tell later whether it still runs."""

import os
import socket
from pathlib import Path

import psutil

#: In `/proc/PID/stat`, counted from the state that follows the command's name.
_START_TICKS_FIELD = 19
#: Ended, but its parent has not asked how.
_ENDED = ("Z", "X")


def process_name() -> str:
    """Returns `host:pid:start`, which no later process of the same pid shares."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start(os.getpid())}"


def is_alive(name: str) -> bool:
    """Returns False only when the named process surely runs no more.

    Processes of other hosts cannot be looked at; their leases have to run out.
    """
    host, _, rest = name.partition(":")
    pid, _, rest = rest.partition(":")
    started = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return True
    found = _start(int(pid))
    return found is not None and (found == started or not found or not started)


def _start(pid: int, *, proc: Path = Path("/proc")) -> str | None:
    """What tells a process from an earlier one of its pid; None without a process, "" unknown.

    Linux counts ticks since the boot, which no change of the clock moves; elsewhere only the time
    of the start is known.
    """
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return _start_time(pid)
    try:
        stat = (proc / str(pid) / "stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the command's name may hold blanks
    if fields[0] in _ENDED:
        return None
    return f"{boot[:8]}-{fields[_START_TICKS_FIELD]}"


def _start_time(pid: int) -> str | None:
    try:
        return str(int(psutil.Process(pid).create_time() * 1000))
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return ""
