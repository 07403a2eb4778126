"""Reads what people corrected, as training data."""

from collections.abc import Sequence

from sqlalchemy import Engine, select

from bot.classifiers.intents import Example
from bot.tables import LabelCorrectionRow, MessageRow


def corrected_examples(engine: Engine, task: str) -> Sequence[tuple[int, Example]]:
    """Returns the messages whose label of a task a person gave, with the newest correction's id."""
    query = (
        select(
            LabelCorrectionRow.id,
            LabelCorrectionRow.message_id,
            LabelCorrectionRow.new_label,
            MessageRow.text,
        )
        .join(MessageRow, MessageRow.id == LabelCorrectionRow.message_id)
        .where(LabelCorrectionRow.task == task)
        .order_by(LabelCorrectionRow.id)
    )
    newest: dict[str, tuple[int, Example]] = {}
    with engine.connect() as connection:
        for number, message_id, label, text in connection.execute(query):
            newest[message_id] = (number, Example(text, label))
    return list(newest.values())
