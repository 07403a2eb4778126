"""A build of the indexes that is interrupted goes on where it was."""

from pathlib import Path

import pytest

from knowledge.index_files import read_manifest
from knowledge.search_indexes import SearchIndexes
from knowledge.words import WordSplitter
from tests.knowledge_kit import KnowledgeBase, long_text


class PowerCut(Exception):
    pass


class Fragile(WordSplitter):
    """Counts the texts that it splits, and fails once after some."""

    def __init__(self, words: WordSplitter, *, fails_after: int) -> None:
        super().__init__(words.cache_folder, dictionary=words._dictionary)
        self.n_split = 0
        self._fails_after = fails_after

    def split(self, text: str) -> list[str]:
        if self.n_split == self._fails_after:
            raise PowerCut
        self.n_split += 1
        return super().split(text)


def indexes(kb: KnowledgeBase, words: WordSplitter, folder: Path) -> SearchIndexes:
    return SearchIndexes(kb.engine, kb.embedder, directory=folder, words=words, build_group=3)


@pytest.fixture
def cut(kb: KnowledgeBase, words: WordSplitter, tmp_path: Path) -> Path:
    """The folder of an index of ten passages whose build ended after seven."""
    kb.add("kettle.txt", long_text(10))
    folder = tmp_path / "second"
    with pytest.raises(PowerCut):
        indexes(kb, Fragile(words, fails_after=7), folder).open()
    return folder


def test_a_build_goes_on(kb: KnowledgeBase, words: WordSplitter, cut: Path) -> None:
    splitter = Fragile(words, fails_after=100)
    again = indexes(kb, splitter, cut)
    again.open()
    assert splitter.n_split == 4  # six of ten were saved
    assert len(again) == 10
    assert again.search_lexical("kettle part number", 10)
    again.close()
    manifest = read_manifest(cut)
    assert manifest is not None
    assert (manifest.count, manifest.built_to) == (10, None)


def test_what_changed_meanwhile_is_found(kb: KnowledgeBase, words: WordSplitter, cut: Path) -> None:
    kb.documents.remove(kb.documents.list()[0].id, actor="tests")
    kb.add("lamp.txt", long_text(2, topic="lamp"))
    again = indexes(kb, words, cut)
    again.open()
    assert len(again) == 2
    again.close()


def test_a_cut_build_leaves_no_copy(cut: Path) -> None:
    assert not list(cut.glob(".work-*"))
