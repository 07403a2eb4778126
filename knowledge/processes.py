"""Names this process so that another one can tell later whether it still runs."""

import os
import socket

import psutil


def process_name() -> str:
    """Returns `host:pid:start`, which no later process of the same pid shares."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started_ms(os.getpid())}"


def is_alive(name: str) -> bool:
    """Returns False only when the named process surely runs no more.

    Processes of other hosts cannot be looked at; their leases have to run out.
    """
    host, _, rest = name.partition(":")
    pid, _, rest = rest.partition(":")
    started = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return True
    return _started_ms(int(pid)) == int(started or 0)


def _started_ms(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).create_time() * 1000)
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return 0
