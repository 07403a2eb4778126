import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from sqlalchemy import delete
from sqlalchemy.orm import Session

from knowledge.errors import IndexLocked, IndexMismatch
from knowledge.jobs import JobStore
from knowledge.rebuild_job import request_rebuild
from knowledge.tables import ChunkChangeRow
from knowledge.types import JobState
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase, long_text

TEXTS = {
    "kettle.txt": "The kettle must be descaled every month.",
    "returns.txt": "Goods can be returned within thirty days.",
    "配送.txt": "包邮门槛是九十九元，偏远地区除外。",
}


@pytest.fixture
def filled(kb: KnowledgeBase) -> KnowledgeBase:
    for name, text in TEXTS.items():
        kb.submit(name, text)
    kb.worker.run_until_idle()
    kb.indexes.save()
    return kb


def reopen(kb: KnowledgeBase, words: WordSplitter) -> KnowledgeBase:
    """Another process's view: everything anew over the same files."""
    other = KnowledgeBase(kb.folder, kb.engine, kb.embedder, words)
    other.indexes.open()
    return other


def state_dir(kb: KnowledgeBase) -> Path:
    return kb.index_dir / json.loads((kb.index_dir / "manifest.json").read_text())["state"]


def finds_all(kb: KnowledgeBase) -> bool:
    return (
        kb.found("kettle descaled")[0] == "kettle.txt"
        and kb.found("goods returned")[0] == "returns.txt"
        and kb.found("包邮门槛")[0] == "配送.txt"
    )


def test_saved_state_is_loaded_not_built(
    filled: KnowledgeBase, words: WordSplitter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    caplog.set_level("INFO")
    other = reopen(filled, words)
    assert finds_all(other)
    assert "built from the database" not in caplog.text
    assert other.indexes.applied_change == filled.indexes.applied_change
    other.indexes.close()


def test_manifest_names_what_is_saved(filled: KnowledgeBase) -> None:
    manifest = json.loads((filled.index_dir / "manifest.json").read_text())
    assert (manifest["embedder"], manifest["dim"], manifest["count"]) == ("fake-64", 64, 3)
    assert manifest["applied_change"] == filled.indexes.applied_change
    assert set(manifest) >= {"format", "sha256", "created", "state"}
    (described,) = manifest["vectors"]
    assert (described["kind"], described["recall"]) == ("exact", 1.0)
    names = {path.name for path in state_dir(filled).iterdir()}
    assert names == {"vectors", "lexical"}


def _truncate_vectors(kb: KnowledgeBase) -> None:
    path = state_dir(kb) / "vectors" / "tail_rows.npy"
    path.write_bytes(path.read_bytes()[:100])


def _flip_a_byte(kb: KnowledgeBase) -> None:
    path = max(state_dir(kb).glob("lexical/*.idx"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(content))


def _remove_lexical(kb: KnowledgeBase) -> None:
    shutil.rmtree(state_dir(kb) / "lexical")


def _remove_state(kb: KnowledgeBase) -> None:
    shutil.rmtree(state_dir(kb))


def _remove_manifest(kb: KnowledgeBase) -> None:
    (kb.index_dir / "manifest.json").unlink()


def _garble_manifest(kb: KnowledgeBase) -> None:
    (kb.index_dir / "manifest.json").write_text('{"format": 1')


def _age_format(kb: KnowledgeBase) -> None:
    path = kb.index_dir / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))


def _leave_half_written_state(kb: KnowledgeBase) -> None:
    part = kb.index_dir / ".part-0123"
    part.mkdir()
    (part / "vectors.json").write_bytes(b"half")


def _manifest_from_the_future(kb: KnowledgeBase) -> None:
    path = kb.index_dir / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"applied_change": 10_000}))


def _manifest_hides_changes(kb: KnowledgeBase) -> None:
    kb.add("late.txt", "A late text about invoices.")
    path = kb.index_dir / "manifest.json"
    newest = kb.indexes.applied_change
    path.write_text(json.dumps(json.loads(path.read_text()) | {"applied_change": newest}))


@pytest.mark.parametrize(
    "damage",
    [
        _truncate_vectors,
        _flip_a_byte,
        _remove_lexical,
        _remove_state,
        _remove_manifest,
        _garble_manifest,
        _age_format,
        _leave_half_written_state,
        _manifest_from_the_future,
        _manifest_hides_changes,
    ],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_damaged_files_are_made_again(
    filled: KnowledgeBase, words: WordSplitter, damage: Callable[[KnowledgeBase], None]
) -> None:
    damage(filled)
    other = reopen(filled, words)
    assert finds_all(other)
    assert len(other.indexes) == len(filled.indexes)
    other.add("extra.txt", "One more text about nothing much.")
    other.indexes.close()
    assert not list(filled.index_dir.glob(".part-*"))
    third = reopen(filled, words)
    assert finds_all(third)
    third.indexes.close()


def test_changes_after_the_save_are_replayed(filled: KnowledgeBase, words: WordSplitter) -> None:
    filled.add("late.txt", "A late text about invoices.")
    filled.documents.remove(filled.documents.list()[-1].id, actor="tests")
    other = reopen(filled, words)
    assert other.found("late invoices")[0] == "late.txt"
    assert len(other.indexes) == 3
    other.indexes.close()


def test_changes_show_in_another_open_process(filled: KnowledgeBase, words: WordSplitter) -> None:
    other = reopen(filled, words)
    document_id = filled.add("late.txt", "A late text about invoices.")
    assert other.found("late invoices")[0] == "late.txt"
    filled.documents.remove(document_id, actor="tests")
    assert "late.txt" not in other.found("late invoices")
    other.indexes.close()


def test_background_thread_follows_and_saves(filled: KnowledgeBase, words: WordSplitter) -> None:
    other = reopen(filled, words)
    other.indexes.start()
    filled.submit("big.txt", long_text(90))
    filled.worker.run_until_idle()
    expected = filled.indexes.applied_change
    other.indexes._stopping.wait(1.5)
    assert other.indexes.applied_change == expected
    other.indexes.close()
    manifest = json.loads((filled.index_dir / "manifest.json").read_text())
    assert manifest["applied_change"] == expected


def test_saving_while_another_saves_is_refused(filled: KnowledgeBase) -> None:
    filled.add("late.txt", "A late text about invoices.")
    with FileLock(filled.index_dir / ".lock"), pytest.raises(IndexLocked, match="Another process"):
        filled.indexes.save()
    filled.indexes.save()


def test_closing_leaves_one_state_and_no_work(filled: KnowledgeBase) -> None:
    filled.add("late.txt", "A late text about invoices.")
    filled.indexes.close()
    assert len(list(filled.index_dir.glob("state-*"))) == 1
    assert not list(filled.index_dir.glob(".work-*"))


def test_database_restored_from_backup_is_noticed(filled: KnowledgeBase) -> None:
    with Session(filled.engine) as session, session.begin():
        session.execute(delete(ChunkChangeRow))
    assert filled.indexes.refresh() == 3
    assert filled.indexes.applied_change == 0
    assert finds_all(filled)


def test_unopened_indexes_say_so(tmp_path: Path, kb: KnowledgeBase, words: WordSplitter) -> None:
    unopened = KnowledgeBase(tmp_path, kb.engine, kb.embedder, words)
    with pytest.raises(RuntimeError, match="open"):
        len(unopened.indexes)
    unopened.indexes.close()


def test_other_embedder_is_refused_by_name(filled: KnowledgeBase, words: WordSplitter) -> None:
    other = KnowledgeBase(filled.folder, filled.engine, FakeEmbedder(id="new", dim=32), words)
    with pytest.raises(IndexMismatch, match=r"'fake-64'.*'new'.*kefu kb rebuild"):
        other.indexes.open()


def test_other_embedder_starts_on_an_empty_base(kb: KnowledgeBase, words: WordSplitter) -> None:
    kb.indexes.save()
    other = KnowledgeBase(kb.folder, kb.engine, FakeEmbedder(id="new", dim=32), words)
    other.indexes.open()
    other.add("a.txt", "A text about kettles.")
    assert other.found("kettles") == ["a.txt"]
    other.indexes.close()


def test_rebuild_embeds_everything_anew(filled: KnowledgeBase, words: WordSplitter) -> None:
    embedder = FakeEmbedder(id="new", dim=32)
    other = KnowledgeBase(filled.folder, filled.engine, embedder, words)
    other.indexes.open(rebuilding=True)
    assert len(embedder.embedded) == 0
    job_id = request_rebuild(JobStore(filled.engine))
    assert other.worker.run_until_idle() == 1
    assert other.jobs.get(job_id).state is JobState.SUCCEEDED
    assert finds_all(filled), "the process with the old embedder goes on answering"
    assert finds_all(other)
    assert len(embedder.embedded) == 3
    other.indexes.close()
    again = KnowledgeBase(filled.folder, filled.engine, embedder, words)
    again.indexes.open()
    assert finds_all(again)
    again.indexes.close()


def test_rebuild_goes_on_where_it_stopped(filled: KnowledgeBase) -> None:
    assert isinstance(filled.embedder, FakeEmbedder)
    filled.submit("big.txt", long_text(40))
    filled.worker.run_until_idle()
    n_chunks = len(filled.indexes)
    filled.embedder.embedded.clear()
    filled.embedder._delay_s = 0.1
    job_id = request_rebuild(filled.jobs)
    filled.worker.start()
    while filled.jobs.get(job_id).progress < 0.3:
        time.sleep(0.01)
    assert filled.worker.stop(5)
    assert len(filled.embedder.embedded) < n_chunks
    filled.embedder._delay_s = 0.0
    filled.worker.run_until_idle()
    assert filled.jobs.get(job_id).state is JobState.SUCCEEDED
    assert len(filled.embedder.embedded) == n_chunks
    assert finds_all(filled)
