"""Proposed questions: both languages, nothing twice, nothing that the passage says anyway."""

import pytest

from bot.catalogue import load_catalogue
from bot.question_screening import screen
from bot.question_writing import ModelQuestionWriter
from knowledge.types import Chunk, ChunkId, ChunkOrigin, DocumentId
from tests.fakes import FakeChatModel

PASSAGE = "Gift wrapping costs 4 euros. The carton of the kettle is made of recycled paper."


def chunk(text: str = PASSAGE) -> Chunk:
    return Chunk(
        id=ChunkId(1), document_id=DocumentId("d"), version=1, text=text, start=0, end=len(text),
        page=None, headings=("Wrapping",), enabled=True, origin=ChunkOrigin.PARSED, pinned=False,
    )  # fmt: skip


def write(*script: str, text: str = PASSAGE, known: tuple[str, ...] = ()) -> list[str]:
    writer = ModelQuestionWriter(FakeChatModel(*script), load_catalogue())
    return list(writer.write(chunk(text), limit=2, known=known))


def test_each_language_is_asked_for_alone() -> None:
    model = FakeChatModel("Can you make it pretty?", "能包成礼物吗？")
    found = ModelQuestionWriter(model, load_catalogue()).write(chunk(), limit=2)
    assert found == ["Can you make it pretty?", "能包成礼物吗？"]
    english, chinese = (prompt[0].content for prompt in model.prompts)
    assert ("in English" in english, "用中文提问" in chinese) == (True, True)
    assert PASSAGE in english
    assert PASSAGE in chinese


def test_the_passages_own_language_comes_first() -> None:
    assert write("贵不贵？", "Is it dear?", text="礼品包装每件四元。") == [
        "贵不贵？",
        "Is it dear?",
    ]


def test_the_wrong_language_is_left_out() -> None:
    assert write("能包成礼物吗？", "Is it dear?") == []


def test_each_language_has_its_limit() -> None:
    many = "Is it dear?\nFor birthdays too?\nWhich ribbon do I get?"
    assert write(many, "贵不贵？") == ["Is it dear?", "For birthdays too?", "贵不贵？"]


def test_known_and_doubled_questions_are_left_out() -> None:
    said = "Is it dear?\nIs it dear ?\nDear, is it?\nWhat about ribbons?"
    assert write(said, "", known=("What about RIBBONS",)) == ["Is it dear?"]


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("Gift wrapping costs 4 euros?", PASSAGE),
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
