"""Contradictions are found among real passages, and judgements last until one changes."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from knowledge.conflict_model import ConflictModel
from knowledge.conflict_store import ConflictStore, Verdict
from knowledge.conflicts import Conflict, ConflictFinder
from knowledge.embedding import load_embedder
from knowledge.errors import ConflictNotFound
from knowledge.words import WordSplitter
from tests.knowledge.conflict_sets import score
from tests.knowledge_kit import KnowledgeBase

SETS = Path(__file__).parents[1] / "dev_sets"
#: Anything but another thing is a contradiction: the fake embedder knows no meaning.
CONTRASTS = ConflictModel(
    names=("contrast", "special"),
    mean=np.zeros(2),
    scale=np.ones(2),
    weights=np.array([-9.0, -9.0]),
    intercept=2.0,
    threshold=0.5,
)


def found_in(base: KnowledgeBase) -> list[Conflict]:
    near = base.indexes.search_dense
    return ConflictFinder(base.engine, embedder=base.embedder, near=near, model=CONTRASTS).find()


def two_pages(base: KnowledgeBase, one: str, other: str) -> list[Conflict]:
    base.add("one.md", f"# Kettles\n\n{one}")
    base.add("other.md", f"# Kettles\n\n{other}")
    return found_in(base)


def test_different_figures_are_reported(kb: KnowledgeBase) -> None:
    (one,) = two_pages(
        kb, "You can return a kettle within 7 days.", "You can return a kettle within 30 days."
    )
    ((a, b),) = one.figures
    assert {one.a.text[a.start : a.end], one.b.text[b.start : b.end]} == {"7 days", "30 days"}


@pytest.mark.parametrize(
    "other",
    [
        "You can return a kettle within one week.",
        "You can exchange a kettle within 30 days.",
        "Gold members can return a kettle within 30 days.",
    ],
)
def test_other_facts_are_not_reported(kb: KnowledgeBase, other: str) -> None:
    assert two_pages(kb, "You can return a kettle within 7 days.", other) == []


def test_judgement_lasts_until_a_change(kb: KnowledgeBase) -> None:
    found = two_pages(
        kb, "You can return a kettle within 7 days.", "You can return a kettle within 30 days."
    )
    store = ConflictStore(kb.engine)
    store.save(found)
    (pair,) = store.list()
    store.judge(pair.id, Verdict.NOT_ONE, author="ann")
    store.save(found_in(kb))
    (kept,) = store.list()
    assert (kept.verdict, kept.judged_by) == (Verdict.NOT_ONE, "ann")
    kb.add("one.md", "# Kettles\n\nYou can return a kettle within 14 days.")
    store.save(found_in(kb))
    assert [one.verdict for one in store.list()] == [Verdict.OPEN]


def test_unknown_pair_cannot_be_judged(engine: Engine) -> None:
    with pytest.raises(ConflictNotFound):
        ConflictStore(engine).judge("0" * 32, Verdict.REAL, author="ann")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conflicts_coworking", "conflicts_dental"])
def test_development_sets_are_read_well(tmp_path: Path, engine: Engine, name: str) -> None:
    embedder = load_embedder("packaged", device="cpu")
    words = WordSplitter(tmp_path / "words")
    base = KnowledgeBase(tmp_path, engine, embedder, words, chunk_tokens=150)
    base.indexes.open(rebuilding=True)
    for path in sorted((SETS / name / "documents").iterdir()):
        base.submit(path.name, path.read_text("utf-8"))
    base.worker.run_until_idle()
    finder = ConflictFinder(engine, embedder=embedder, near=base.indexes.search_dense)
    result = score(SETS / name, finder.find())
    base.indexes.close()
    assert result.precision >= 0.7, result
    assert result.recall >= 0.5, result
