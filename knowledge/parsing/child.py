"""Parses one file after another as a program of its own, which `ChildParsing` starts and kills.

A parser that hangs, crashes or eats memory then harms this process only. It ends when its parent
is gone, which it sees as the end of its standard input.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, BinaryIO

from knowledge.errors import KnowledgeError
from knowledge.parsing.frames import encode_parsed, read_frame, to_json, write_frame
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.registry import parse
from knowledge.types import ParsedDocument

OUT_OF_MEMORY = "OutOfMemory"
#: Past the parent's own limit, for the case that the parent was killed meanwhile.
_ALARM_AFTER_S = 10

Parse = Callable[[str, bytes, ParseLimits], ParsedDocument]


def serve(parser: Parse) -> None:
    """Answers requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the messages
    _limit_memory(int(sys.argv[1]))
    _go_last()
    # Ctrl+C and a service manager reach the whole group; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests: SimpleQueue[tuple[dict[str, Any], bytes]] = SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        request, content = requests.get()
        _set_alarm(int(request["limit_s"]) + _ALARM_AFTER_S)
        reply = _answer(parser, request, content)
        _set_alarm(0)
        write_frame(replies, to_json(reply))


def _receive(stream: BinaryIO, requests: "SimpleQueue[tuple[dict[str, Any], bytes]]") -> None:
    """Reads ahead in a thread of its own, so that the parent's end is seen while parsing."""
    try:
        while True:
            requests.put((json.loads(read_frame(stream)), read_frame(stream)))
    except (EOFError, MemoryError):
        os._exit(1)


def _answer(parser: Parse, request: dict[str, Any], content: bytes) -> dict[str, Any]:
    try:
        limits = ParseLimits(**request["limits"])
        return {"parsed": encode_parsed(parser(request["name"], content, limits))}
    except Exception as error:  # noqa: BLE001  # told to the parent
        if _is_out_of_memory(error):
            return {"error": OUT_OF_MEMORY, "message": ""}
        message = str(error) if isinstance(error, KnowledgeError) else ""
        return {"error": type(error).__name__, "message": message}


def _is_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _set_alarm(seconds: int) -> None:
    """Has the system end this process then, even while a C library holds the interpreter."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _go_last() -> None:
    """Leaves the processor to the server while it wants it; recognising text takes a lot."""
    if sys.platform != "win32":
        os.nice(10)


def _limit_memory(n_bytes: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        n_bytes = min(n_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the document


if __name__ == "__main__":
    serve(parse)
