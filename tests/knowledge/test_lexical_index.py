import logging
from pathlib import Path
from threading import Thread

import pytest

from knowledge.lexical_index import LexicalIndex, restore_snapshot
from knowledge.words import WordSplitter

TEXTS = {
    1: "七天无理由退货：签收后七天内可以退货。",
    2: "The HG-K1702 kettle has a two year warranty.",
    3: "Shipping to Germany takes 3-5 days and costs €1,299.50.",
}


@pytest.fixture
def index(tmp_path: Path, words: WordSplitter) -> LexicalIndex:
    (tmp_path / "lexical").mkdir()
    index = LexicalIndex(tmp_path / "lexical", words=words)
    index.add(list(TEXTS), list(TEXTS.values()))
    index.commit()
    return index


def ids(index: LexicalIndex, query: str) -> list[int]:
    return [id for id, _ in index.search(query, 10)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("退货", [1]),
        ("请问我可以退货吗", [1]),
        ("hg-k1702", [2]),
        ("HGK1702", [2]),
        ("K1702 warranty", [2]),
        ("ＨＧ-Ｋ１７０２", [2]),
        ("SHIPPING", [3]),
        ("1299.50", [3]),
        ("how do you do", []),
        ("", []),
        ("？！…", []),
    ],
)
def test_search_finds_words_of_both_languages(
    index: LexicalIndex, query: str, expected: list[int]
) -> None:
    assert ids(index, query) == expected


def test_words_of_passages_are_told(index: LexicalIndex, words: WordSplitter) -> None:
    wanted = [*words.split(" ".join(TEXTS.values())), "teapot", "门店"]  # more than one group
    found = index.words_in([3, 1, 99, 2], wanted)
    assert found == {
        id: frozenset(wanted) & frozenset(words.split(text)) for id, text in TEXTS.items()
    }
    assert index.words_in([], wanted) == {}
    assert index.words_in([2], []) == {2: frozenset()}


def test_removed_passages_have_no_words(index: LexicalIndex) -> None:
    index.remove([2])
    index.commit()
    assert index.words_in([1, 2], ["kettle"]) == {1: frozenset()}


def test_removed_and_replaced_passages_are_gone(index: LexicalIndex) -> None:
    index.remove([1, 99])
    index.add([2], ["Gift cards never expire."])
    assert ids(index, "warranty") == [2]
    index.commit()
    assert len(index) == 2
    assert ids(index, "退货") == ids(index, "warranty") == []
    assert ids(index, "gift cards") == [2]


def test_scores_are_positive_and_fall(index: LexicalIndex) -> None:
    index.add([4, 5], ["kettle", "kettle kettle descaler and a lot of other words"])
    index.commit()
    scores = [score for _, score in index.search("kettle", 10)]
    assert len(scores) == 3
    assert min(scores) > 0
    assert scores == sorted(scores, reverse=True)


def test_document_frequencies_count_passages(index: LexicalIndex) -> None:
    assert index.document_frequencies(["退货", "warranty", "nowhere"]) == [1, 1, 0]


def test_snapshot_is_a_copy_of_its_own(
    tmp_path: Path, index: LexicalIndex, words: WordSplitter
) -> None:
    index.snapshot(tmp_path / "saved")
    index.remove([1])
    index.commit()
    restore_snapshot(tmp_path / "saved", tmp_path / "opened")
    opened = LexicalIndex(tmp_path / "opened", words=words)
    assert ids(opened, "退货") == [1]
    opened.remove([2])
    opened.commit()
    assert ids(index, "kettle") == [2]


def test_snapshot_holds_still_during_merges(
    tmp_path: Path, index: LexicalIndex, words: WordSplitter
) -> None:
    def edit() -> None:
        for id in range(10, 70):
            index.add([id], [f"kettle number {id}"])
            index.commit()

    thread = Thread(target=edit)
    thread.start()
    sizes = []
    for number in range(8):
        index.snapshot(tmp_path / f"saved{number}")
        sizes.append(len(LexicalIndex(tmp_path / f"saved{number}", words=words)))
    thread.join()
    assert sizes == sorted(sizes)
    assert len(index) == 63


def test_broken_folder_is_refused(tmp_path: Path, words: WordSplitter) -> None:
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(OSError, match="not a whole lexical index"):
        LexicalIndex(tmp_path, words=words)


def test_words_keep_codes_whole_and_in_parts(words: WordSplitter) -> None:
    assert words.split("HG-K1702") == ["hg-k1702", "hg", "k1702", "hgk1702"]
    assert words.content_words("Do you have the kettle? kettle!") == ["kettle"]
    assert "退货" in words.content_words("请问怎么退货")


def test_chinese_dictionary_stays_private_and_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert WordSplitter(tmp_path / "words").split("电热水壶")[-1] == "电热水壶"
    assert [path.name for path in (tmp_path / "words").iterdir()] == ["jieba.cache"]
    assert capfd.readouterr().err == ""
