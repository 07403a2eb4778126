"""Proposed questions: both languages, nothing twice, nothing that the passage says anyway."""

import pytest

from bot.catalogue import load_catalogue
from bot.question_screening import screen
from bot.question_writing import ModelQuestionWriter
from knowledge.types import Chunk, ChunkId, ChunkOrigin, DocumentId
from tests.fakes import FakeChatModel

WRAPPING = "Gift wrapping costs 4 euros for each item in the order."
CARTON = "The carton of the kettle is made of recycled paper."
PASSAGE = f"{WRAPPING} {CARTON}"


def chunk(text: str = PASSAGE) -> Chunk:
    return Chunk(
        id=ChunkId(1), document_id=DocumentId("d"), version=1, text=text, start=0, end=len(text),
        page=None, headings=("Wrapping",), enabled=True, origin=ChunkOrigin.PARSED, pinned=False,
    )  # fmt: skip


def write(
    *script: str, text: str = PASSAGE, known: tuple[str, ...] = (), limit: int = 2
) -> list[str]:
    writer = ModelQuestionWriter(FakeChatModel(*script, answer=lambda _: ""), load_catalogue())
    return list(writer.write(chunk(text), limit=limit, known=known))


def test_each_sentence_is_asked_about_in_each_language() -> None:
    script = ("Can you make it pretty?", "Is it green?", "能包成礼物吗？", "环保吗，箱子？")
    model = FakeChatModel(*script)
    found = ModelQuestionWriter(model, load_catalogue()).write(chunk(), limit=2)
    assert tuple(found) == script
    assert [prompt[-1].content for prompt in model.prompts] == [WRAPPING, CARTON] * 2
    english, chinese = model.prompts[0], model.prompts[2]
    assert ("English" in english[0].content, "中文" in chinese[0].content) == (True, True)
    assert [message.role for message in english] == [
        "system", *["user", "assistant"] * 3, "user",
    ]  # fmt: skip


def test_the_passages_own_language_comes_first() -> None:
    chinese = "礼品包装每件加收四元。"
    assert write("贵不贵？", "Is it dear?", text=chinese) == ["贵不贵？", "Is it dear?"]


def test_headings_and_rules_are_not_asked_about() -> None:
    text = f"## Wrapping\n\n|---------------|---------------|\n{WRAPPING}"
    assert write("Is it dear?", "贵不贵？", text=text) == ["Is it dear?", "贵不贵？"]


def test_the_wrong_language_is_left_out() -> None:
    assert write("能包成礼物吗？", "Is the 箱子 green?", "Is it dear?") == []


def test_a_known_question_gives_way_to_the_next_sentence() -> None:
    found = write("Is it dear?", "Is it green?", known=("Is it DEAR",), limit=1)
    assert found == ["Is it green?"]


def test_examples_are_not_copied() -> None:
    assert write("Which day are you closed?", "Which day are you closed ?") == []


def test_only_the_first_question_of_an_answer_counts() -> None:
    assert write("1. Is it dear?\n2. Is it free?", limit=1) == ["Is it dear?"]


def test_known_and_doubled_questions_are_screened_out() -> None:
    said = ["Is it dear?", "Is it dear ?", "Dear, is it?", "What about ribbons?"]
    assert screen(said, passage=PASSAGE, known=["What about RIBBONS"]) == ["Is it dear?"]


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("Gift wrapping costs 4 euros for each item?", PASSAGE),
        (
            "Is the carton of the kettle made of recycled paper?",
            "carton of the kettle made of recycled paper",
        ),
        ("签收后七天内可以退货吗？", "签收后七天内可以退货。"),
        ("Wrapping?", PASSAGE),
    ],
)
def test_repeating_the_passage_is_no_question(question: str, passage: str) -> None:
    assert screen([question], passage=passage, known=()) == []


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("How much do you charge for wrapping?", PASSAGE),
        ("买回来不喜欢怎么办？", "签收后七天内可以退货。"),
        ("Can it go in the kettle's carton?", PASSAGE),
    ],
)
def test_own_words_about_the_passage_are_kept(question: str, passage: str) -> None:
    assert screen([question], passage=passage, known=()) == [question]
