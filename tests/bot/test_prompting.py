"""Prompts keep to their budget and say what they are made of."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.dialogue.state import Exchange
from bot.errors import PromptTooLong
from bot.prompting import Prompt, PromptBuilder, PromptRequest
from bot.types import Action
from tests.bot.chat_kit import SHOP, hits_of
from tests.fakes import FakeChatModel

COUNT = FakeChatModel().count_tokens
FIXED = 700  # what the longest fixed text takes with this count
HISTORY = (
    Exchange("怎么退货？", "怎么退货？", "签收后 7 天内可以退货。", Action.ANSWER),
    Exchange("包邮吗", "包邮吗", "满 99 元包邮。", Action.ANSWER),
)


def build(budget_tokens: int, **changes: object) -> Prompt:
    request = PromptRequest("zh", "那运费呢？", hits_of(SHOP), HISTORY)
    builder = PromptBuilder(count_tokens=COUNT, budget_tokens=budget_tokens, neighbor_tokens=0)
    return builder.build(replace(request, **changes))  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    question=st.text(min_size=1, max_size=3000),
    texts=st.lists(st.text(min_size=1, max_size=1500), max_size=4),
    budget_tokens=st.integers(FIXED, 2000),
    language=st.sampled_from(["zh", "en"]),
)
def test_prompt_never_exceeds_its_budget(
    question: str, texts: list[str], budget_tokens: int, language: str
) -> None:
    hits = hits_of({f"{n}.txt": f"T\n{text}" for n, text in enumerate(texts)})
    history = [Exchange(question, question, question, Action.ANSWER)] * 2
    request = PromptRequest(language, question, hits, history)
    builder = PromptBuilder(count_tokens=COUNT, budget_tokens=budget_tokens, neighbor_tokens=0)
    prompt = builder.build(request)
    assert sum(COUNT(message.content) for message in prompt.messages) <= budget_tokens
    assert prompt.n_tokens <= budget_tokens


def test_prompt_numbers_passages_under_their_titles() -> None:
    prompt = build(3000)
    last = prompt.messages[-1].content
    assert [message.role for message in prompt.messages] == [
        "system", "user", "assistant", "user", "assistant", "user",
    ]  # fmt: skip
    assert "[1] Returns\n" in last
    assert "[2] 退货说明\n" in last
    assert last.index("[3]") < last.index("那运费呢？")
    assert prompt.n_passages == 3


def test_short_budget_drops_history_then_passages() -> None:
    full = build(3000)
    without_history = build(full.n_tokens - 1)
    assert len(without_history.messages) == 4
    fewer = build(build(3000, history=()).n_tokens - 1)
    assert (len(fewer.messages), fewer.n_passages) == (2, 2)


def test_last_passage_is_shortened_not_dropped() -> None:
    prompt = build(build(3000, history=(), passages=hits_of(SHOP)[:1]).n_tokens - 5)
    assert prompt.n_passages == 1
    assert "You have 30 days" in prompt.messages[-1].content


def test_system_message_is_fixed_per_language() -> None:
    first = build(3000).messages[0]
    second = build(2000, question="别的问题", passages=(), history=()).messages[0]
    english = build(3000, language="en").messages[0]
    assert first == second
    assert first != english


def test_long_question_keeps_both_ends() -> None:
    prompt = build(1200, question="开头" + "很" * 4000 + "结尾？", history=())
    question = prompt.messages[-1].content
    assert "开头" in question
    assert "结尾？" in question


def test_impossible_budget_is_refused() -> None:
    with pytest.raises(PromptTooLong, match="budget is 50"):
        build(50)


def test_stored_text_is_the_messages() -> None:
    prompt = build(3000)
    stored = json.loads(prompt.text)
    assert [entry["content"] for entry in stored] == [m.content for m in prompt.messages]
    assert prompt.sha256 == build(3000).sha256
    assert prompt.sha256 != build(3000, question="别的").sha256
