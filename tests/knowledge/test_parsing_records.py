"""Presentations, and records in json and jsonl."""

from io import BytesIO

import pytest
from pptx import Presentation
from pptx.util import Inches

from knowledge.errors import ParseFailed, UnsupportedFormat
from knowledge.parsing.registry import check_upload, parse
from knowledge.types import BlockKind
from tests.document_files import LIMITS, make_docx, replace_part


def _slides() -> bytes:
    presentation = Presentation()
    for title in ("保修政策", "Hidden"):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = title
        slide.shapes.add_group_shape().shapes.add_textbox(0, 0, Inches(3), Inches(1)).text = "Inner"
    slide.element.set("show", "0")
    table = presentation.slides[0].shapes.add_table(1, 2, 0, 0, Inches(3), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "K1", "two years"
    presentation.slides[0].notes_slide.notes_text_frame.text = "Say it twice."
    out = BytesIO()
    presentation.save(out)
    return out.getvalue()


def test_slides_keep_titles_tables_and_numbers() -> None:
    document = parse("a.pptx", _slides(), LIMITS)
    assert document.text.split("\n\n") == ["保修政策", "Inner", "K1 | two years", "Say it twice."]
    assert (document.title, document.n_pages) == ("保修政策", 2)
    assert {block.page for block in document.blocks} == {1}
    assert document.blocks[0].kind is BlockKind.HEADING


def test_slides_that_are_a_bomb_are_refused() -> None:
    bomb = replace_part(_slides(), "ppt/media/x.bin", bytes(5 << 20))
    with pytest.raises(ParseFailed, match="150 times"):
        check_upload("a.pptx", bomb, LIMITS)
    with pytest.raises(UnsupportedFormat, match="another kind"):
        check_upload("a.pptx", make_docx(lambda d: d.add_paragraph("x")), LIMITS)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '[{"question": "Q?", "answer": "A."}]', "question: Q?; answer: A."),
        ("a.json", '{"n": 1, "faq": [{"问题": "几年", "答案": "两年"}]}', "问题: 几年; 答案: 两年"),
        ("a.json", '{"size": {"cm": 5}, "tags": ["a", "b"], "x": null}', "size.cm: 5; tags: a, b"),
        ("a.jsonl", '{"q": "1", "ok": true}\r\n\n{"q": "2"}\n', "q: 1; ok: true\nq: 2"),
    ],
)
def test_records_show_their_field_names(name: str, content: str, expected: str) -> None:
    assert parse(name, content.encode(), LIMITS).text == expected


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", '[{"q": 1},\n{', "not valid JSON at line 2"),
        ("a.jsonl", '{"q": 1}\n{"q"', "not valid JSON at line 2"),
        ("a.json", "[" * 90_000, "levels deep"),
        ("a.json", '{"a":' * 30 + "1" + "}" * 30, "levels deep"),
        ("a.json", "[{}]", "no text"),
    ],
)
def test_bad_records_say_why(name: str, content: str, reason: str) -> None:
    with pytest.raises(ParseFailed, match=reason):
        parse(name, content.encode(), LIMITS)
