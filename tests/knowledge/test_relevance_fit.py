from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from knowledge.errors import QuestionsRejected
from knowledge.evaluation import Question
from knowledge.relevance import FEATURES, RelevanceModel
from knowledge.relevance_file import RelevanceFile
from knowledge.relevance_fit import (
    Row,
    by_model,
    calibrated,
    dump_rows,
    gather,
    held_out,
    quality,
    read_rows,
)
from tests.knowledge_kit import KnowledgeBase

SHIPPED = RelevanceModel.load()
SURE = replace(SHIPPED, weights=tuple(3 * weight for weight in SHIPPED.weights))
EMBEDDER = SHIPPED.embedder


def made(n: int, *, base: str = "a", shift: float = 0.0) -> list[Row]:
    """Searches for which `SURE` is far too sure of itself."""
    rng = np.random.default_rng(len(base) + n)
    rows = []
    for number in range(n):
        values = np.array(SHIPPED.mean) + SHIPPED.scale * rng.standard_normal(len(FEATURES))
        odds = SURE.log_odds(tuple(values))
        found = bool(rng.random() < 1 / (1 + np.exp(1.5 - shift - odds / 3)))
        row = Row(tuple(map(float, values)), found, found, base, f"d{number % 20}", EMBEDDER)
        rows.append(row)
    return rows


def test_calibrated_is_a_probability_on_rows_held_out() -> None:
    rows = made(800) + made(800, base="bb")
    before = quality(rows, by_model(rows, SURE))
    for by_base in (False, True):
        after = quality(rows, held_out(SURE, rows, by_base=by_base))
        assert (after.ece or 1) < 0.05 < 0.2 < (before.ece or 0)
        assert (after.brier or 1) < (before.brier or 0)


def test_order_stays_and_calibrating_again_changes_nothing() -> None:
    rows = made(400)
    once = calibrated(SHIPPED, rows, note="own")
    assert quality(rows, by_model(rows, once)).auc == quality(rows, by_model(rows, SHIPPED)).auc
    assert calibrated(once, rows, note="").weights == pytest.approx(once.weights, rel=1e-2)
    assert once.note == "own"


def test_small_bases_weigh_as_much_as_large_ones() -> None:
    rows = made(600, shift=3.0) + made(60, base="small", shift=-1.0)
    large = calibrated(SHIPPED, made(600, shift=3.0), note="")
    assert calibrated(SHIPPED, rows, note="").predict(SHIPPED.mean) < large.predict(SHIPPED.mean)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row for row in made(200) if row.found], "at least 20"),
        ([replace(row, embedder="other") for row in made(200)], "found"),
        ([replace(row, found=not row.found) for row in made(400)], "labels"),
    ],
)
def test_bad_rows_are_refused(rows: list[Row], reason: str) -> None:
    with pytest.raises(QuestionsRejected, match=reason):
        calibrated(SHIPPED, rows, note="")


def test_kept_rows_are_read_again() -> None:
    rows = made(3)
    assert read_rows(dump_rows(rows), "rows") == rows
    for bad in ("{}", "[]", dump_rows(rows).replace("top_cosine", "other")):
        with pytest.raises(QuestionsRejected, match="line 1"):
            read_rows(bad, "rows")


def test_searches_are_gathered(kb: KnowledgeBase) -> None:
    kb.add("wrapping.md", "# Wrapping\n\nGift wrapping costs three euros.")
    asked = [
        Question("gift wrapping", "wrapping.md", "three euros", "en"),
        Question("parking", None, None, "en"),
    ]
    told: list[None] = []
    rows = gather(
        asked,
        kb.retriever,
        kb.documents,
        base="own",
        n_shown=3,
        on_question=lambda: told.append(None),
    )
    assert [(row.found, row.answerable) for row in rows] == [(True, True), (False, False)]
    assert (rows[0].document, len(told)) == ("wrapping.md", 2)
    relevance = kb.retriever.search("gift wrapping").relevance
    assert by_model(rows, SHIPPED)[0] == pytest.approx(relevance)


def test_file_is_used_while_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("knowledge.relevance_file._FRESH_S", -1.0)
    path = tmp_path / "relevance.json"
    used = RelevanceFile(path, embedder=EMBEDDER)
    assert used.current() == SHIPPED
    own = calibrated(SHIPPED, made(400), note="own")
    own.save(path)
    assert used.current() == own
    assert (used.embedder, used.predict(own.mean)) == (EMBEDDER, own.predict(own.mean))
    path.unlink()
    assert used.current() == SHIPPED


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_file_of_no_use_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "relevance.json"
    path.write_text(content)
    assert RelevanceFile(path, embedder="fake").current() == SHIPPED
    assert "kefu kb calibrate" in caplog.text


def test_file_of_another_embedder_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "relevance.json"
    replace(SHIPPED, embedder="other").save(path)
    assert RelevanceFile(path, embedder="fake").current() == SHIPPED
