"""pptx → blocks: each slide's title, text, tables and notes, with the slide number as page."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import PurePath
from typing import Any

from pptx import Presentation

from knowledge.parsing.archive import check_parts
from knowledge.parsing.builder import DocumentBuilder
from knowledge.parsing.limits import ParseLimits
from knowledge.types import BlockKind, ParsedDocument


def parse_pptx(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a pptx file; hidden slides are left out, as the audience never sees them.

    Raises:
        ParseFailed: broken, a decompression bomb, without text, or with too much of it.
    """
    check_parts(name, data, limits)
    presentation = Presentation(BytesIO(data))
    builder = DocumentBuilder(name, limits)
    for number, slide in enumerate(presentation.slides, start=1):
        if slide.element.get("show") != "0":
            _add_slide(builder, slide, number)
    title = (presentation.core_properties.title or "").strip()
    # The title that python-pptx's own empty file carries says nothing.
    known = title and title != "PowerPoint Presentation"
    return builder.build(
        title=title if known else PurePath(name).stem, n_pages=len(presentation.slides)
    )


def _add_slide(builder: DocumentBuilder, slide: Any, number: int) -> None:
    title = slide.shapes.title
    if title is not None and title.has_text_frame:
        text = " ".join(title.text_frame.text.split())
        builder.add(BlockKind.HEADING, text, level=1, page=number)
    for shape in _shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if getattr(shape, "has_table", False) and shape.has_table:
            for row in shape.table.rows:
                cells = [" ".join(cell.text.split()) for cell in row.cells]
                if any(cells):
                    builder.add(BlockKind.TABLE_ROW, " | ".join(cells), page=number)
        elif shape.has_text_frame:
            _add_lines(builder, shape.text_frame.text, number)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        _add_lines(builder, slide.notes_slide.notes_text_frame.text, number)


def _add_lines(builder: DocumentBuilder, text: str, number: int) -> None:
    for line in text.replace("\v", "\n").split("\n"):
        builder.add(BlockKind.PARAGRAPH, line, page=number)


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    """Gives the shapes in drawing order, groups opened, without recursion."""
    pending = list(reversed(list(shapes)))
    while pending:
        shape = pending.pop()
        if hasattr(shape, "shapes"):
            pending.extend(reversed(list(shape.shapes)))
        else:
            yield shape
