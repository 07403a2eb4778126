"""Which questions count as the same one, and how the store keeps them."""

import pytest
from sqlalchemy import Engine

from bot.curated import CuratedDraft, CuratedStore
from bot.curated_matching import CuratedMatcher, asks_alike
from bot.errors import CuratedAnswerNotFound, CuratedAnswerRejected
from knowledge.embedding import load_embedder
from tests.fakes import FakeEmbedder

EN = CuratedDraft("en", "Returns are free.\nAlways.", ("Who pays for returns?",))
ZH = CuratedDraft("zh", "退货免运费。", ("退货运费谁承担？", "退货邮费谁出？"))


@pytest.fixture
def store(engine: Engine) -> CuratedStore:
    return CuratedStore(engine, embedder=FakeEmbedder())


@pytest.fixture
def matcher(engine: Engine) -> CuratedMatcher:
    return CuratedMatcher(engine, embedder=FakeEmbedder(), threshold=0.9)


def test_each_variant_leads_to_the_answer(store: CuratedStore, matcher: CuratedMatcher) -> None:
    assert matcher.match("退货运费谁承担？", "zh") is None
    made = store.create(ZH, author="lin")
    for question in ZH.questions:
        found = matcher.match(question, "zh")
        assert found is not None
        assert (found.answer_id, found.text, found.question) == (made.id, ZH.text, question)


def test_an_answer_speaks_its_own_language_only(
    store: CuratedStore, matcher: CuratedMatcher
) -> None:
    store.create(EN, author="lin")
    assert matcher.match(EN.questions[0], "zh") is None
    assert matcher.match(EN.questions[0], "en") is not None


def test_changes_show_in_every_matcher(store: CuratedStore, matcher: CuratedMatcher) -> None:
    made = store.create(EN, author="lin")
    assert matcher.match(EN.questions[0], "en") is not None
    off = CuratedDraft("en", EN.text, EN.questions, enabled=False)
    assert store.update(made.id, off, author="wang").author == "wang"
    assert matcher.match(EN.questions[0], "en") is None
    store.update(made.id, EN, author="wang")
    assert matcher.match(EN.questions[0], "en") is not None
    store.delete(made.id)
    assert matcher.match(EN.questions[0], "en") is None


def test_another_embedders_vectors_are_made_anew(store: CuratedStore, engine: Engine) -> None:
    store.create(EN, author="lin")
    other = CuratedMatcher(engine, embedder=FakeEmbedder(id="other", dim=32), threshold=0.9)
    assert other.match(EN.questions[0], "en") is not None


@pytest.mark.parametrize(
    "draft",
    [
        CuratedDraft("fr", "Oui.", ("Oui?",)),
        CuratedDraft("en", " \0 ", ("Who?",)),
        CuratedDraft("en", "x" * 4001, ("Who?",)),
        CuratedDraft("en", "Yes.", (" ",)),
        CuratedDraft("en", "Yes.", ("x" * 301,)),
        CuratedDraft("en", "Yes.", tuple(f"Question {i}?" for i in range(51))),
    ],
)
def test_bad_answers_are_refused(store: CuratedStore, draft: CuratedDraft) -> None:
    with pytest.raises(CuratedAnswerRejected):
        store.create(draft, author="lin")


def test_unknown_answers_are_not_found(store: CuratedStore) -> None:
    with pytest.raises(CuratedAnswerNotFound):
        store.get("nothing")
    with pytest.raises(CuratedAnswerNotFound):
        store.history("nothing", limit=5)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("保修2年吗？", "保修3年吗？", False),
        ("What does the A3600 cost?", "what does the a3600 cost", True),
        ("What does the A3600 cost?", "What does the C2020 cost?", False),
        ("可以货到付款吗？", "不可以货到付款吗？", False),
        ("可以货到付款吗？", "能不能货到付款", True),
        ("Do they expire?", "Don't they expire?", False),
    ],
)
def test_figures_and_denials_tell_questions_apart(one: str, other: str, alike: bool) -> None:
    assert asks_alike(one, other) is alike


@pytest.mark.slow
def test_the_packaged_embedder_tells_near_questions_apart(engine: Engine) -> None:
    embedder = load_embedder("packaged", device="cpu")
    store = CuratedStore(engine, embedder=embedder)
    store.create(CuratedDraft("zh", "由我们承担。", ("退货运费谁承担？",)), author="lin")
    store.create(CuratedDraft("en", "In the app.", ("How do I cancel my order?",)), author="lin")
    matcher = CuratedMatcher(engine, embedder=embedder, threshold=0.88)
    assert matcher.match("请问退货运费是谁承担呢", "zh") is not None
    assert matcher.match("How can I cancel my order?", "en") is not None
    for near in ("退货运费多少钱？", "换货运费谁承担？", "发货运费谁承担？"):
        assert matcher.match(near, "zh") is None
    for near in ("How do I change my order?", "How do I cancel my membership?"):
        assert matcher.match(near, "en") is None
