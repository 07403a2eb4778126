"""Where files are parsed: in a process that can be killed, or right here.

`ChildParsing` is what a server uses; `DirectParsing` saves the start of a process where files are
trusted.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from threading import Lock, Thread
from time import monotonic
from typing import Any, Protocol

from knowledge import errors
from knowledge.errors import FileTooLarge, ParseFailed, UnsupportedFormat
from knowledge.parsing.child import OUT_OF_MEMORY
from knowledge.parsing.frames import decode_parsed, read_frame, to_json, write_frame
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.registry import PICTURE_SUFFIXES, parse
from knowledge.types import ParsedDocument

logger = logging.getLogger(__name__)

_POLL_S = 0.05
_ROOT = Path(errors.__file__).parent.parent
#: The child gets no secrets to see. Windows programs do not start without their environment.
_ENVIRONMENT = None if sys.platform == "win32" else {"PYTHONUTF8": "1"}
_ERRORS = {kind.__name__: kind for kind in (FileTooLarge, ParseFailed, UnsupportedFormat)}
_SCAN_SUFFIXES = frozenset({".pdf", *PICTURE_SUFFIXES})
#: A reply holds each block as a few numbers beside the text, whose characters JSON may escape.
_REPLY_BYTES_PER_CHAR = 100


class ParseRunner(Protocol):
    """Reads one file at a time."""

    def run(
        self, name: str, data: bytes, limits: ParseLimits, *, check: Callable[[], None]
    ) -> ParsedDocument:
        """Parses as `registry.parse` does; whatever `check` raises, now and then, ends it."""
        ...

    def close(self) -> None:
        """Lets go of what is held; a later `run` takes it up again."""
        ...


class DirectParsing:
    """Parses in the caller's thread, which nothing can stop."""

    def run(
        self, name: str, data: bytes, limits: ParseLimits, *, check: Callable[[], None]
    ) -> ParsedDocument:
        """Parses at once; `check` is asked before and after."""
        check()
        parsed = parse(name, data, limits)
        check()
        return parsed

    def close(self) -> None:
        """Holds nothing."""


class ChildParsing:
    """Parses in a process of its own, which is kept for the next file and replaced after a kill.

    Args:
        limit_s: How long one file may take.
        scan_limit_s: How long a file may take whose pages may be pictures, which take seconds each.
        memory_bytes: Address space of the process, where the system can limit it.
        module: The program, for tests.
    """

    def __init__(
        self,
        *,
        limit_s: float = 300.0,
        scan_limit_s: float = 1800.0,
        memory_bytes: int = 3 << 30,
        module: str = "knowledge.parsing.child",
    ) -> None:
        self._limit_s = limit_s
        self._scan_limit_s = max(limit_s, scan_limit_s)
        self._command = (sys.executable, "-m", module, str(memory_bytes))
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    @property
    def pid(self) -> int | None:
        """The process that waits for the next file, if there is one."""
        return self._child.pid if self._child else None

    def run(
        self, name: str, data: bytes, limits: ParseLimits, *, check: Callable[[], None]
    ) -> ParsedDocument:
        """Parses in the child; kills it when the time is over or `check` raises.

        Raises:
            KnowledgeError: as `registry.parse`, or the parser hung or crashed.
        """
        is_scan = PurePath(name).suffix.lower() in _SCAN_SUFFIXES
        limit_s = self._scan_limit_s if is_scan else self._limit_s
        while not self._lock.acquire(timeout=_POLL_S):
            check()
        try:
            frames = _request(name, data, limits, limit_s)
            max_bytes = limits.max_text_chars * _REPLY_BYTES_PER_CHAR + (1 << 20)
            reply = self._ask(frames, check, limit_s=limit_s, max_bytes=max_bytes)
        finally:
            self._lock.release()
        if "parsed" in reply:
            return decode_parsed(reply["parsed"])
        if reply["error"] == OUT_OF_MEMORY:
            raise ParseFailed(
                f"Reading {name!r} needs more memory than allowed; split it into smaller files."
            )
        kind = _ERRORS.get(reply["error"], ParseFailed)
        raise kind(reply["message"] or f"{name!r} cannot be read ({reply['error']}).")

    def close(self) -> None:
        """Ends the child."""
        with self._lock:
            self._kill()

    def _ask(
        self,
        frames: Sequence[bytes],
        check: Callable[[], None],
        *,
        limit_s: float,
        max_bytes: int,
    ) -> dict[str, Any]:
        child = self._living()
        replies: list[bytes] = []
        thread = Thread(target=_talk, args=(child, frames, replies, max_bytes), daemon=True)
        deadline = monotonic() + limit_s
        finished = False
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                check()
                if monotonic() > deadline:
                    raise ParseFailed(f"Reading the file took more than {limit_s:.0f} s.")
            if not replies:
                raise ParseFailed(
                    "The program that reads files crashed on this one; open the file in the "
                    "program that made it, save it again and upload the new file."
                )
            reply: dict[str, Any] = json.loads(replies[0])
            finished = reply.get("error") != OUT_OF_MEMORY
        finally:
            if not finished:
                self._kill()
                thread.join()
        return reply

    def _living(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._kill()
            self._child = subprocess.Popen(  # noqa: S603  # our own interpreter and code, no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libraries quote the document there
                env=_ENVIRONMENT,
                cwd=_ROOT,  # where `-m` finds this package, wherever the server was started
            )
        return self._child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        logger.debug("parsing process %d ended with %d", child.pid, child.returncode)


def _request(name: str, data: bytes, limits: ParseLimits, limit_s: float) -> tuple[bytes, bytes]:
    return to_json({"name": name, "limits": asdict(limits), "limit_s": limit_s}), data


def _talk(
    child: "subprocess.Popen[bytes]",
    frames: Sequence[bytes],
    replies: list[bytes],
    max_bytes: int,
) -> None:
    """Sends a file and waits for the answer; no answer means that the child is gone."""
    if child.stdin is None or child.stdout is None:
        raise ValueError("the child needs pipes for its input and output")
    try:
        for frame in frames:
            write_frame(child.stdin, frame)
        replies.append(read_frame(child.stdout, max_bytes=max_bytes))
    except (EOFError, OSError, ValueError) as error:
        logger.info("the parsing process gave no answer (%s)", type(error).__name__)
