"""Export and import of a whole base: identical, checked, all or nothing."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from bot.database import open_database
from knowledge.archive_export import export_archive
from knowledge.archive_format import MANIFEST, carried_tables
from knowledge.archive_import import import_archive
from knowledge.errors import ArchiveRejected
from knowledge.tables import ChunkRow
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase, long_text
from tests.shared import migrated_database


@pytest.fixture
def full(kb: KnowledgeBase) -> KnowledgeBase:
    """A base with versions, a removed document, a source and an edit."""
    kb.add("kettle.txt", long_text(6))
    kb.add("kettle.txt", long_text(8))
    kb.add("radio.txt", long_text(4, topic="radio"))
    gone = kb.add("gone.txt", "A text about lamps.")
    kb.documents.remove(gone, actor="tests")
    kb.sources.add("http://127.0.0.1:1/", author="tests")
    with kb.engine.begin() as connection:
        first = select(ChunkRow.id).order_by(ChunkRow.id).limit(1).scalar_subquery()
        connection.execute(update(ChunkRow).where(ChunkRow.id == first).values(enabled=False))
    return kb


@pytest.fixture
def archive(full: KnowledgeBase, tmp_path: Path) -> Path:
    path = tmp_path / "out" / "base.zip"
    export_archive(full.engine, path, uploads_dir=full.uploads_dir)
    return path


@pytest.fixture
def empty(tmp_path: Path, words: WordSplitter) -> Iterator[KnowledgeBase]:
    """Another Kefu."""
    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copyfile(migrated_database(), folder / "test.db")
    engine = open_database(f"sqlite:///{folder / 'test.db'}")
    base = KnowledgeBase(folder, engine, FakeEmbedder(), words)
    base.indexes.open()
    yield base
    base.indexes.close()
    engine.dispose()


def rows(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in carried_tables()
        }


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def found(kb: KnowledgeBase) -> list[tuple[object, ...]]:
    kb.indexes.refresh()
    return [
        (hit.chunk, hit.document, hit.rank, round(hit.dense_score or 0.0, 5), hit.lexical_rank)
        for query in ("kettle part number", "radio guide", "lamps")
        for hit in kb.retriever.search(query).hits
    ]


def restore(kb: KnowledgeBase, archive: Path, *, replace: bool = False) -> None:
    import_archive(kb.engine, archive, uploads_dir=kb.uploads_dir, replace=replace)


def test_a_base_is_restored_identically(
    full: KnowledgeBase, archive: Path, empty: KnowledgeBase
) -> None:
    full.indexes.refresh()
    restore(empty, archive)
    assert rows(empty.engine) == rows(full.engine)
    assert files(empty.uploads_dir) == files(full.uploads_dir)
    assert found(empty) == found(full)
    empty.add("new.txt", "Something new about teapots.")
    assert empty.found("new teapots")[0] == "new.txt"


def test_every_table_of_the_package_is_carried(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        names = {name for name in opened.namelist() if name.startswith("tables/")}
    assert names >= {
        f"tables/{name}.jsonl"
        for name in ("documents", "document_versions", "chunks", "jobs", "sources", "source_pages")
    }
    assert "tables/chunk_changes.jsonl" not in names
    assert "tables/users.jsonl" not in names


def test_a_full_base_needs_replace(archive: Path, empty: KnowledgeBase) -> None:
    empty.add("mine.txt", "A text about teapots.")
    before = rows(empty.engine), files(empty.uploads_dir)
    with pytest.raises(ArchiveRejected, match="--replace"):
        restore(empty, archive)
    assert (rows(empty.engine), files(empty.uploads_dir)) == before
    restore(empty, archive, replace=True)
    empty.indexes.refresh()
    assert "mine.txt" not in empty.found("teapots")
    assert {d.name for d in empty.documents.list()} == {"kettle.txt", "radio.txt"}


def test_an_open_server_sees_the_import(
    full: KnowledgeBase, archive: Path, empty: KnowledgeBase
) -> None:
    empty.add("mine.txt", "A text about teapots.")
    assert empty.found("teapots") == ["mine.txt"]
    restore(empty, archive, replace=True)
    assert "kettle.txt" in empty.found("kettle part number")


def test_an_existing_file_is_not_overwritten(full: KnowledgeBase, archive: Path) -> None:
    with pytest.raises(FileExistsError):
        export_archive(full.engine, archive, uploads_dir=full.uploads_dir)


Change = Callable[[dict[str, bytes]], None]


def _manifest(parts: dict[str, bytes], change: Callable[[dict[str, object]], None]) -> None:
    manifest = json.loads(parts[MANIFEST])
    change(manifest)
    parts[MANIFEST] = json.dumps(manifest).encode()


def _newer(parts: dict[str, bytes]) -> None:
    _manifest(parts, lambda manifest: manifest.update(format=99))


def _tampered(parts: dict[str, bytes]) -> None:
    parts["tables/chunks.jsonl"] = parts["tables/chunks.jsonl"].replace(b"kettle", b"nettle", 1)


def _traversal(parts: dict[str, bytes]) -> None:
    _named(parts, "uploads/../../evil", b"x")


def _absolute(parts: dict[str, bytes]) -> None:
    _named(parts, "/etc/evil", b"x")


def _wrong_upload(parts: dict[str, bytes]) -> None:
    _named(parts, "uploads/" + "0" * 64, b"x")


def _unknown_table(parts: dict[str, bytes]) -> None:
    _named(parts, "tables/users.jsonl", b"{}\n")


def _unnamed(parts: dict[str, bytes]) -> None:
    parts["stowaway"] = b"x"


def _missing(parts: dict[str, bytes]) -> None:
    del parts["tables/chunks.jsonl"]


def _no_manifest(parts: dict[str, bytes]) -> None:
    del parts[MANIFEST]


def _bad_rows(parts: dict[str, bytes]) -> None:
    _named(parts, "tables/source_pages.jsonl", b'{"source_id": "nobody", "url": "x"}\n')


def _named(parts: dict[str, bytes], name: str, content: bytes) -> None:
    """Adds an entry that the manifest knows well."""
    parts[name] = content
    entry = {"n_bytes": len(content), "sha256": sha256(content).hexdigest()}
    _manifest(parts, lambda manifest: manifest["entries"].update({name: entry}))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "change",
    [_newer, _tampered, _traversal, _absolute, _wrong_upload, _unknown_table, _unnamed, _missing,
     _no_manifest, _bad_rows],
)  # fmt: skip
def test_a_wrong_archive_changes_nothing(
    archive: Path, empty: KnowledgeBase, tmp_path: Path, change: Change
) -> None:
    empty.add("mine.txt", "A text about teapots.")
    before = rows(empty.engine), files(empty.uploads_dir), found(empty)
    with zipfile.ZipFile(archive) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    change(parts)
    with zipfile.ZipFile(tmp_path / "changed.zip", "w") as written:
        for name, content in parts.items():
            written.writestr(name, content)
    with pytest.raises(ArchiveRejected):
        restore(empty, tmp_path / "changed.zip", replace=True)
    assert (rows(empty.engine), files(empty.uploads_dir), found(empty)) == before
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_what_is_no_archive_is_refused(
    empty: KnowledgeBase, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ArchiveRejected):
        restore(empty, tmp_path / "x.zip")
    with pytest.raises(ArchiveRejected, match="no file"):
        restore(empty, tmp_path / "nowhere.zip")
