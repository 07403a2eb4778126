"""Intents that say the same are pointed out with their clashing examples."""

from bot.classifiers.clashes import repeated_examples, similar_intents
from bot.classifiers.intents import Example
from tests.fakes import FakeEmbedder

EMBED = FakeEmbedder(dim=512).embed_queries
DEFAULT = [
    *(Example(f"where is my parcel number {n}", "delivery") for n in (1, 2, 3)),
    *(Example(f"please give me the money back for {what}", "refund") for what in ("tea", "oil")),
    *(Example(f"good {what}", "greeting") for what in ("morning", "evening")),
]
WRAPPING = [Example("wrap this as a present", "gift"), Example("a present box with ribbon", "gift")]


def test_unlike_intents_do_not_clash() -> None:
    assert similar_intents(WRAPPING, DEFAULT, EMBED) == []
    assert repeated_examples(WRAPPING, DEFAULT) == []


def test_same_text_is_pointed_out() -> None:
    own = [Example("Where is my parcel, number 1?", "tracking"), Example("track it", "tracking")]
    [clash] = repeated_examples(own, DEFAULT)
    assert (clash.label, clash.other, clash.kind) == ("tracking", "delivery", "same")
    assert clash.pairs[0].other_text == "where is my parcel number 1"
    assert clash.n_examples == 1


def test_near_text_is_pointed_out() -> None:
    own = [*WRAPPING, Example("where is my parcel number 4", "gift")]
    [clash] = [c for c in similar_intents(own, DEFAULT, EMBED) if c.kind == "near"]
    assert (clash.label, clash.other) == ("gift", "delivery")
    assert 0.7 <= clash.similarity < 1


def test_overlap_is_pointed_out_with_examples() -> None:
    own = [
        Example("the money back for my tea please", "money_back"),
        Example("give back the money", "money_back"),
    ]
    [clash] = [c for c in similar_intents(own, DEFAULT, EMBED) if c.kind == "overlap"]
    assert (clash.label, clash.other) == ("money_back", "refund")
    assert "money back" in clash.pairs[0].other_text


def test_own_intents_clash_once() -> None:
    own = [Example("wrap it", "gift"), Example("wrap it!", "wrapping")]
    assert len(repeated_examples(own, [])) == 1
    kinds = [clash.kind for clash in similar_intents(own, DEFAULT, EMBED)]
    assert kinds == ["overlap"]


def test_no_intents_need_no_embedding() -> None:
    assert similar_intents([], DEFAULT, lambda texts: 1 / 0) == []  # type: ignore[arg-type]
