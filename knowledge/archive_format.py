"""What one file with a whole knowledge base looks like, and how rows become JSON and back.

```
manifest.json            format, embedders, and of every other entry its size and SHA-256
tables/<table>.jsonl     one row a line, in the order of the primary key
uploads/<sha256>         the original bytes
```
Every table of this package is carried, whoever added it, but for what only this database needs.
"""

import base64
import json
import re
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, Date, DateTime, LargeBinary, Table, TypeDecorator

from knowledge.tables import Base, ChunkChangeRow, NextEmbeddingRow

FORMAT = 1
MANIFEST = "manifest.json"
#: The outbox speaks to the processes of one database; unfinished vectors are made again.
_LOCAL = frozenset({ChunkChangeRow.__tablename__, NextEmbeddingRow.__tablename__})
_TABLE_ENTRY = re.compile(r"tables/([a-z][a-z0-9_]*)\.jsonl")
_UPLOAD_ENTRY = re.compile(r"uploads/([0-9a-f]{64})")


class Entry(BaseModel):
    """One entry of the archive, as it has to be."""

    model_config = ConfigDict(frozen=True)

    n_bytes: int
    sha256: str
    n_rows: int = 0
    columns: tuple[str, ...] = ()


class ArchiveManifest(BaseModel):
    """What an archive holds; nothing that it does not name is read."""

    model_config = ConfigDict(frozen=True)

    format: int
    created: datetime
    embedders: dict[str, int]  # live passages by who made their vectors
    n_documents: int
    entries: dict[str, Entry]


def carried_tables() -> list[Table]:
    """Returns the tables of the knowledge base, those that others refer to first."""
    own = {
        mapper.class_.__tablename__
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.split(".")[0] == "knowledge"
    }
    return [
        table
        for table in Base.metadata.sorted_tables
        if table.name in own and table.name not in _LOCAL
    ]


def table_entry(name: str) -> str:
    """Returns the name of a table's entry."""
    return f"tables/{name}.jsonl"


def table_of(entry: str) -> str | None:
    """Returns the table that an entry holds, None for any other entry."""
    found = _TABLE_ENTRY.fullmatch(entry)
    return found[1] if found else None


def upload_of(entry: str) -> str | None:
    """Returns the hash of the upload that an entry holds, None for any other entry."""
    found = _UPLOAD_ENTRY.fullmatch(entry)
    return found[1] if found else None


def encode_row(row: dict[str, Any]) -> bytes:
    """Returns a row as one line."""
    return json.dumps(row, ensure_ascii=False, default=_plain).encode() + b"\n"


def decode_row(line: bytes, table: Table) -> dict[str, Any]:
    """Returns what `encode_row` was given; columns that the line lacks get their defaults.

    Raises:
        ValueError: the line is no row of this table.
    """
    stored = json.loads(line)
    if not isinstance(stored, dict):
        raise ValueError(f"Expected a row of {table.name}, got {type(stored).__name__}.")
    return {
        column.name: _value(stored[column.name], column)
        for column in table.columns
        if column.name in stored
    }


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    raise TypeError(f"Expected a value that JSON can hold, got {type(value).__name__}.")


def _value(value: Any, column: Column[Any]) -> Any:
    if not isinstance(value, str):
        return value
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, LargeBinary):
        return base64.b64decode(value, validate=True)
    if isinstance(kind, DateTime):
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if isinstance(kind, Date) else value
