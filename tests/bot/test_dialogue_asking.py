"""What asks something, and what only has the form of a question."""

import pytest

from bot.dialogue.asking import Asking, asking


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("客服电话多少", "words"),
        ("Where do I find a direct line to the warehouse?", "words"),
        ("請問幾點有人值班", "words"),
        ("能不能让店长来接", "form"),
        ("May I speak with the manager?", "form"),
        ("谢谢，也可以在店里退吗", "form"),
        ("谢谢你，解决了", "no"),
        ("Get me a colleague.", "no"),
        ("", "no"),
    ],
)
def test_question_words_are_told_from_the_form(text: str, how: Asking) -> None:
    assert asking(text) == how
