"""Messages between the server and the process that parses: a length, then JSON or bytes.

No pickle: what a hostile file makes of the parsing process must not run code in the server.
"""

import json
import struct
from typing import IO, Any

from knowledge.types import Block, BlockKind, ParsedDocument

_LENGTH = struct.Struct(">Q")


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Sends one message whole."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes], *, max_bytes: int | None = None) -> bytes:
    """Receives one message.

    Raises:
        EOFError: the other side is gone.
        ValueError: the message is longer than `max_bytes`.
    """
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    if max_bytes is not None and length > max_bytes:
        raise ValueError(f"a message may have {max_bytes:,} bytes; got one of {length:,}")
    return _read(stream, length)


def _read(stream: IO[bytes], n_bytes: int) -> bytes:
    content = stream.read(n_bytes)
    if len(content) < n_bytes:
        raise EOFError
    return content


def encode_parsed(parsed: ParsedDocument) -> dict[str, Any]:
    """Returns a parsed file as values that JSON knows."""
    blocks = [[one.kind.value, one.start, one.end, one.level, one.page] for one in parsed.blocks]
    return {
        "text": parsed.text,
        "title": parsed.title,
        "n_pages": parsed.n_pages,
        "blocks": blocks,
    }


def decode_parsed(values: dict[str, Any]) -> ParsedDocument:
    """Undoes `encode_parsed`."""
    blocks = tuple(
        Block(BlockKind(kind), start, end, level, page)
        for kind, start, end, level, page in values["blocks"]
    )
    return ParsedDocument(values["text"], values["title"], blocks, values["n_pages"])


def to_json(values: dict[str, Any]) -> bytes:
    """Returns a message's bytes; lone surrogates survive, as they do in a `str`."""
    return json.dumps(values).encode("ascii")
