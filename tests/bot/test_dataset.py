"""Files of labelled messages: read, refused with their line, and freed of repetitions."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.classifiers.dataset import (
    DatasetRejected,
    Example,
    clean,
    fingerprint,
    near_duplicates,
    normal,
    read_examples,
)
from bot.classifiers.labels import Task


def _file(folder: Path, *rows: object) -> Path:
    path = folder / "given.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def test_own_examples_give_each_task_its_label(tmp_path: Path) -> None:
    row = {"text": "壶漏水", "language": "zh-Hans", "intent": "complaint", "complaint": True}
    path = _file(tmp_path, row | {"severity": 2, "urgent": False, "complaint_type": None})
    found = {task: [one.label for one in read_examples([path], task)] for task in Task}
    assert found[Task.COMPLAINT] == ["yes"]
    assert found[Task.URGENCY] == ["no"]
    assert found[Task.SEVERITY] == ["2"]
    assert found[Task.LANGUAGE] == ["zh-Hans"]
    assert found[Task.COMPLAINT_TYPE] == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"label": "refund"}, "expected a string under 'text'"),
        ({"text": "where is it"}, "expected 'label' beside 'text'"),
        ({"text": "where is it", "label": "two words"}, "expected a label in snake_case"),
        ({"text": "where is it", "label": None}, "expected 'label' beside 'text'"),
        (["a list"], "expected a JSON object"),
    ],
)
def test_bad_row_is_refused_with_line(tmp_path: Path, row: object, said: str) -> None:
    path = _file(tmp_path, {"text": "money back", "label": "refund"}, row)
    with pytest.raises(DatasetRejected, match=r"given\.jsonl:2") as refused:
        read_examples([path], Task.INTENT)
    assert said in str(refused.value)


def test_unknown_level_of_sentiment_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, {"text": "nice", "label": "happy"})
    with pytest.raises(DatasetRejected, match="very_negative"):
        read_examples([path], Task.SENTIMENT)


def test_contradictory_labels_name_both_lines() -> None:
    rows = [Example("Refund, please!", "refund", "a:1"), Example("refund please", "invoice", "a:7")]
    with pytest.raises(DatasetRejected, match="a:7: the text of a:1"):
        clean(rows)


def test_few_contradictions_of_a_large_file_are_left_out() -> None:
    rows = [Example(f"message about number {n * 7919}", "refund", f"a:{n}") for n in range(100)]
    rows += [Example("thank you", label, f"a:{label}") for label in ("refund", "invoice")]
    cleaned = clean(rows)
    assert len(cleaned.contradictions) == 1
    assert "thank you" not in {one.text for one in cleaned.examples}


def test_repetitions_and_leaks_are_left_out() -> None:
    texts = ["请问我的包裹到哪里了呀", "请问我的包裹到哪里了呀!", "can I pay by invoice next month"]
    rows = [Example(text, "delivery", f"a:{n}") for n, text in enumerate(texts)]
    cleaned = clean(rows, held_out=[Example("Can I pay by invoice, next month?", "invoice", "t:1")])
    assert [one.text for one in cleaned.examples] == texts[:1]
    assert (cleaned.n_duplicates, cleaned.n_held_out) == (1, 1)


def test_near_repetition_is_found() -> None:
    long = "the kettle that I ordered from you last Monday still has not arrived at my house"
    assert near_duplicates([long, "something else entirely", long + "!!", long + "s"]) == [
        (2, 0),
        (3, 0),
    ]


@given(st.text(max_size=60))
def test_normal_form_is_stable(text: str) -> None:
    assert normal(normal(text)) == normal(text)
    assert fingerprint(normal(text)) == fingerprint(text)
