"""The outbox of index changes stays short, and who lags behind what was dropped notices."""

import pytest

from knowledge.live_chunks import newest_change, oldest_change, prune_changes
from knowledge.words import WordSplitter
from tests.knowledge_kit import KnowledgeBase


def other_process(kb: KnowledgeBase, words: WordSplitter) -> KnowledgeBase:
    other = KnowledgeBase(kb.folder, kb.engine, kb.embedder, words)
    other.indexes.open()
    return other


def test_only_what_is_saved_and_beyond_the_margin_is_dropped(kb: KnowledgeBase) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        kb.add(name, f"The {name} kettle.")
    newest = newest_change(kb.engine)
    assert prune_changes(kb.engine, up_to=newest) == 0
    assert prune_changes(kb.engine, up_to=1, keep=1) == 1
    assert prune_changes(kb.engine, up_to=newest, keep=2) == newest - 3
    assert oldest_change(kb.engine) == newest - 1
    assert prune_changes(kb.engine, up_to=newest, keep=0) == 1
    assert newest_change(kb.engine) == newest


def test_an_index_that_lags_behind_is_built_again(kb: KnowledgeBase, words: WordSplitter) -> None:
    kb.add("gone.txt", "The toaster has a crumb tray.")
    late = other_process(kb, words)
    kb.documents.remove(kb.documents.list()[0].id, actor="test")
    for name in ("kettle.txt", "mug.txt", "pan.txt"):
        kb.add(name, f"The {name} must be descaled every month.")
    kb.indexes.refresh()
    prune_changes(kb.engine, up_to=kb.indexes.applied_change, keep=1)
    late.indexes.refresh()
    assert late.indexes.applied_change == newest_change(kb.engine)
    assert len(late.indexes) == 3
    late.indexes.close()


def test_a_saved_state_older_than_the_outbox_is_not_used(
    kb: KnowledgeBase, words: WordSplitter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    kb.add("kettle.txt", "The kettle must be descaled.")
    kb.indexes.save()
    for name in ("mug.txt", "pan.txt"):
        kb.add(name, f"The {name} must be washed.")
    prune_changes(kb.engine, up_to=newest_change(kb.engine), keep=1)
    caplog.clear()
    late = other_process(kb, words)
    assert "built from the database" in caplog.text
    assert len(late.indexes) == 3
    late.indexes.close()


def test_an_index_that_keeps_up_is_not_built_again(
    kb: KnowledgeBase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    kb.add("kettle.txt", "The kettle must be descaled.")
    prune_changes(kb.engine, up_to=newest_change(kb.engine), keep=1)
    caplog.clear()
    kb.add("mug.txt", "The mug must be washed.")
    kb.indexes.refresh()
    assert "built from the database" not in caplog.text
    assert len(kb.indexes) == 2
