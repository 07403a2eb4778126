"""json and jsonl → one block per record: `question: …; answer: …`, as a row of a sheet is.

Field names stay as written, so that a list of questions and answers is known as one.
"""

import json
from collections.abc import Iterator
from pathlib import PurePath

from knowledge.errors import ParseFailed
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.limits import ParseLimits
from knowledge.types import BlockKind, ParsedDocument

_MAX_DEPTH = 20  # of values inside one record


def parse_json(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a json file: a list of records, or an object that holds one.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: not JSON, nested too deeply, without text, or with too much of it.
    """
    value = _load(name, decode_text(name, data), line=None)
    parts = value.values() if isinstance(value, dict) else ()
    lists = [part for part in parts if _holds_records(part)]
    builder = DocumentBuilder(name, limits)
    for part in lists or [value]:
        for record in part if isinstance(part, list) else [part]:
            _add(builder, name, record)
    return builder.build(title=PurePath(name).stem)


def parse_jsonl(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a jsonl file: one record a line.

    Raises:
        UnsupportedFormat: the content is not text.
        ParseFailed: a line is not JSON, no text, or too much of it.
    """
    builder = DocumentBuilder(name, limits)
    for number, line in enumerate(decode_text(name, data).split("\n"), start=1):
        if line.strip():
            _add(builder, name, _load(name, line, line=number))
    return builder.build(title=PurePath(name).stem)


def _load(name: str, text: str, *, line: int | None) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParseFailed(
            f"{name!r} is not valid JSON at line {line or error.lineno} ({error.msg}); "
            "correct that line and upload it again."
        ) from error
    except RecursionError as error:
        raise _too_deep(name) from error
    return value


def _holds_records(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _add(builder: DocumentBuilder, name: str, record: object) -> None:
    fields = [
        f"{key}: {value}" if key else value for key, value in _fields(name, "", record, _MAX_DEPTH)
    ]
    builder.add(BlockKind.TABLE_ROW, "; ".join(fields))


def _fields(name: str, key: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    """Gives the filled fields of a record; inner ones are named by their path, as `size.cm`."""
    if depth == 0:
        raise _too_deep(name)
    if isinstance(value, dict):
        for inner, part in value.items():
            path = f"{key}.{inner}" if key else str(inner)
            yield from _fields(name, path, part, depth - 1)
    elif isinstance(value, list):
        parts = [text for part in value for _, text in _fields(name, "", part, depth - 1)]
        if parts:
            yield key, ", ".join(parts)
    elif value is not None:
        text = str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
        if text:
            yield key, text


def _too_deep(name: str) -> ParseFailed:
    return ParseFailed(
        f"{name!r} nests its values more than {_MAX_DEPTH} levels deep; "
        "upload a flat list of records."
    )
