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
    dump_rows,
    fit_rows,
    gather,
    held_out,
    quality,
    read_rows,
)
from tests.knowledge_kit import KnowledgeBase

SHIPPED = RelevanceModel.load()


def made(n: int, *, base: str = "a", shift: float = 0.0) -> list[Row]:
    """Searches whose first feature says how likely it is that something was found."""
    rng = np.random.default_rng(len(base) + n)
    rows = []
    for number in range(n):
        values = tuple(map(float, rng.standard_normal(len(FEATURES))))
        found = bool(rng.random() < 1 / (1 + np.exp(-2 * values[0] - shift)))
        rows.append(Row(values, found, found, base, f"d{number % 20}", "fake"))
    return rows


def test_fit_is_a_probability_on_rows_held_out() -> None:
    rows = made(800) + made(800, base="bb")
    for by_base in (False, True):
        relevance = held_out(rows, by_base=by_base)
        judged = quality(rows, relevance)
        assert judged.n == 1600
        assert (judged.ece or 1) < 0.05
        assert (judged.brier or 1) < 0.2


def test_small_bases_weigh_as_much_as_large_ones() -> None:
    rows = made(600, shift=3.0) + made(60, base="small", shift=-3.0)
    model = fit_rows(rows, note="")
    middle = model.predict(model.mean)
    assert 0.3 < middle < 0.7


def test_one_kind_alone_is_refused() -> None:
    rows = [row for row in made(200) if row.found]
    with pytest.raises(QuestionsRejected, match="at least 20"):
        fit_rows(rows, note="")


def test_embedders_do_not_mix() -> None:
    rows = made(200)
    with pytest.raises(QuestionsRejected, match="one embedder"):
        fit_rows([*rows, replace(rows[0], embedder="other")], note="")


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
    used = RelevanceFile(path, embedder="fake")
    assert used.current() == SHIPPED
    own = fit_rows(made(200), note="own")
    own.save(path)
    assert used.current() == own
    assert (used.embedder, used.predict(own.mean)) == ("fake", own.predict(own.mean))
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
    rows = [replace(row, embedder="other") for row in made(200)]
    fit_rows(rows, note="").save(path)
    assert RelevanceFile(path, embedder="fake").current() == SHIPPED
