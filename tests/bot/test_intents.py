"""The company's own intents are kept whole, and refused where they cannot work."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from bot.classifiers.intents import (
    MAX_EXAMPLE_CHARS,
    MAX_EXAMPLES,
    MAX_NAME_CHARS,
    IntentDraft,
    IntentStore,
    same_text,
)
from bot.errors import IntentNotFound, IntentRejected

DRAFT = IntentDraft(
    key="gift_wrapping",
    name_zh="礼品包装",
    name_en="Gift wrapping",
    description_en="Asks whether an order can be wrapped as a gift.",
    examples_zh=("可以包成礼物吗", "能包装一下吗？送人的"),
    examples_en=("Can you gift wrap it?",),
)


@pytest.fixture
def store(engine: Engine) -> IntentStore:
    return IntentStore(engine, default_labels={"refund", "oos"})


def test_intent_is_kept_whole(store: IntentStore) -> None:
    made = store.create(DRAFT, author="lin")
    assert made.draft == DRAFT
    assert made.author == "lin"
    assert store.get("gift_wrapping") == made
    assert store.list() == [made]


def test_update_replaces_all_but_the_key(store: IntentStore) -> None:
    made = store.create(DRAFT, author="lin")
    changed = store.update(
        "gift_wrapping", IntentDraft(key="x", name_en="Wrap", examples_en=("wrap it",)), author="ma"
    )
    assert changed.key == "gift_wrapping"
    assert changed.draft.examples == ("wrap it",)
    assert (changed.author, changed.created_at) == ("ma", made.created_at)


def test_deleted_intent_is_gone(store: IntentStore) -> None:
    store.create(DRAFT, author="lin")
    store.delete("gift_wrapping")
    assert store.list() == []
    with pytest.raises(IntentNotFound):
        store.delete("gift_wrapping")
    with pytest.raises(IntentNotFound):
        store.update("gift_wrapping", DRAFT, author="lin")


def test_repeated_examples_are_kept_once(store: IntentStore) -> None:
    wordy = replace(DRAFT, examples_en=("Wrap  it!", "wrap it", "", " \n"), examples_zh=())
    assert store.create(wordy, author="lin").draft.examples_en == ("Wrap it!",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key": "refund"}, "default intent"),
        ({"key": "Gift"}, "lower-case"),
        ({"key": "a__b"}, "lower-case"),
        ({"key": "a" * 49}, "lower-case"),
        ({"key": "礼品"}, "lower-case"),
        ({"name_zh": "", "name_en": ""}, "a name"),
        ({"name_en": "n" * (MAX_NAME_CHARS + 1)}, "at most"),
        ({"examples_en": ("x" * (MAX_EXAMPLE_CHARS + 1),)}, "at most"),
        ({"examples_en": tuple(f"w {i}" for i in range(MAX_EXAMPLES + 1))}, "at most"),
        ({"examples_en": (), "examples_zh": (), "description_en": " "}, "neither"),
    ],
)
def test_unusable_intent_is_refused(
    store: IntentStore, change: dict[str, object], says: str
) -> None:
    with pytest.raises(IntentRejected, match=says):
        store.create(replace(DRAFT, **change), author="lin")  # type: ignore[arg-type]
    assert store.list() == []


def test_taken_key_is_refused(store: IntentStore) -> None:
    store.create(DRAFT, author="lin")
    with pytest.raises(IntentRejected, match="already"):
        store.create(DRAFT, author="ma")


def test_few_examples_are_a_warning(store: IntentStore) -> None:
    made = store.create(replace(DRAFT, examples_zh=tuple("一二三四五")), author="lin")
    assert made.warnings() == ("few_en",)
    described = replace(DRAFT, key="other", examples_zh=(), examples_en=())
    assert store.create(described, author="lin").warnings() == ("only_described",)


def test_name_falls_back_to_the_other_language() -> None:
    assert replace(DRAFT, name_zh="").name("zh") == "Gift wrapping"
    assert DRAFT.name("zh") == "礼品包装"


@pytest.mark.parametrize(
    ("a", "b"), [("Wrap it!", "wrap  IT"), ("ＯＫ吗？", "ok吗"), ("é", "e\u0301")]
)
def test_texts_are_the_same_but_for_form(a: str, b: str) -> None:
    assert same_text(a) == same_text(b)


def test_signs_alone_stay_different() -> None:
    assert same_text("???") != same_text("!!!")
