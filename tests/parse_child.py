"""The parsing process with parsers that misbehave as the file's name tells."""

import os
import signal
import time

from knowledge.parsing.child import serve
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.registry import parse
from knowledge.types import ParsedDocument


def misbehave(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    if name == "hang.txt":
        time.sleep(60)
    if name == "crash.txt":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "memory.txt":
        bytearray(4 << 30)
    return parse(name, data, limits)


if __name__ == "__main__":
    serve(misbehave)
