"""A document's passages as HTML: what each says, who changed it, and the forms to change it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowledge.chunk_edits import MAX_CHUNK_CHARS
from knowledge.chunk_questions import MAX_QUESTION_CHARS
from knowledge.types import (
    Chunk,
    ChunkId,
    ChunkOrigin,
    ChunkQuestion,
    Document,
    QuestionState,
)
from web.ui.markup import Words, button, escape, moment

_OWN = (ChunkOrigin.ADDED, ChunkOrigin.ORPHANED)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the panel shows.

    Args:
        document: Whose passages.
        chunks: The live version's, in order.
        questions: Attached to them.
        may_write: Whether the reader may change them.
        changed: The passage that was just changed, which takes the focus.
    """

    document: Document
    chunks: Sequence[Chunk]
    questions: Mapping[ChunkId, Sequence[ChunkQuestion]] = field(default_factory=dict)
    may_write: bool = False
    changed: ChunkId | None = None


def panel(shown: Shown, words: Words) -> str:
    """Returns the panel at the side with all passages of a document."""
    items = "".join(_chunk(chunk, shown, words) for chunk in shown.chunks)
    body = f'<ol class="k-chunks">{items}</ol>' if items else f"<p>{words('no_passages')}</p>"
    add = _add_form(shown.document, words) if shown.may_write and shown.document.version else ""
    return (
        f'<aside class="k-panel" role="dialog" aria-labelledby="k-source">'
        f'<div class="k-panel-head"><div><p class="k-label">'
        f"{words('passages_caption', n=len(shown.chunks))}</p>"
        f'<h2 id="k-source" tabindex="-1">{escape(shown.document.name)}</h2></div>'
        f"{button('close', words('close'), kind='k-quiet')}</div>{add}{body}</aside>"
    )


def place(chunk: Chunk, words: Words) -> str:
    """Returns where a passage stands: page, headings, offsets."""
    parts = [" › ".join(chunk.headings), f"{chunk.start}–{chunk.end}"]
    if chunk.page is not None:
        parts.insert(0, words.plain("page", page=chunk.page))
    return " · ".join(escape(part) for part in parts if part)


def _chunk(chunk: Chunk, shown: Shown, words: Words) -> str:
    asked = shown.questions.get(chunk.id, ())
    focus = ' tabindex="-1" data-focus' if chunk.id == shown.changed else ""
    off = "" if chunk.enabled else ' class="k-disabled"'
    edit = ""
    if shown.may_write:
        edit = _acts(chunk, words) + _edit_form(chunk, words)
    return (
        f'<li{off}{focus}><p class="k-where">{place(chunk, words)}</p>{_badges(chunk, words)}'
        f'<div class="k-passage">{escape(chunk.text)}</div>{_original(chunk, words)}{edit}'
        f"{_questions(chunk, asked, words, may_write=shown.may_write)}</li>"
    )


def _badges(chunk: Chunk, words: Words) -> str:
    badges = []
    if chunk.pinned:
        badges.append(f'<span class="k-badge k-ok">{words("chunk_pinned")}</span>')
    if not chunk.enabled:
        badges.append(f'<span class="k-badge k-off">{words("chunk_disabled")}</span>')
    if chunk.edited:
        kind = "k-bad" if chunk.origin is ChunkOrigin.ORPHANED else "k-off"
        badges.append(
            f'<span class="k-badge {kind}">{words("origin_" + chunk.origin.value)}</span>'
        )
    who = ""
    if chunk.edited_by and chunk.edited_at:
        who = f"{escape(chunk.edited_by)}, {moment(chunk.edited_at)}"
    line = " ".join([*badges, who]).strip()
    hint = f"<p>{words('orphan_hint')}</p>" if chunk.origin is ChunkOrigin.ORPHANED else ""
    return f'<div class="k-marks">{line}</div>{hint}' if line else ""


def _original(chunk: Chunk, words: Words) -> str:
    if chunk.original is None:
        return ""
    return (
        f"<details><summary>{words('chunk_original')}</summary>"
        f'<div class="k-passage">{escape(chunk.original)}</div></details>'
    )


def _acts(chunk: Chunk, words: Words) -> str:
    able, pin = ("disable", "enable")[not chunk.enabled], ("pin", "unpin")[chunk.pinned]
    acts = [
        button(f"chunk-{able}", words(f"chunk_{able}"), id=chunk.id),
        button(f"chunk-{pin}", words(f"chunk_{pin}"), id=chunk.id),
    ]
    if chunk.original is not None and chunk.origin is ChunkOrigin.EDITED:
        acts.append(button("chunk-revert", words("chunk_revert"), id=chunk.id))
    if chunk.origin in _OWN:
        confirm = words.plain("chunk_remove_confirm")
        acts.append(
            button("chunk-remove", words("delete"), kind="k-danger", id=chunk.id, confirm=confirm)
        )
    return f'<div class="k-acts">{"".join(acts)}</div>'


def _edit_form(chunk: Chunk, words: Words) -> str:
    n_rows = min(14, 3 + len(chunk.text) // 60)
    return (
        f'<details class="k-edit"><summary>{words("chunk_edit")}</summary>'
        f'<form data-form="chunk"><input type="hidden" name="id" value="{chunk.id}">'
        f"<label><span>{words('chunk_text')}</span>"
        f'<textarea name="text" rows="{n_rows}" required maxlength="{MAX_CHUNK_CHARS}">'
        f"{escape(chunk.text)}</textarea></label>"
        f'<button class="k-button k-primary">{words("save")}</button></form></details>'
    )


def _add_form(document: Document, words: Words) -> str:
    return (
        f'<details class="k-edit"><summary>{words("chunk_add")}</summary>'
        f'<form data-form="chunk-add"><input type="hidden" name="id" value="{document.id}">'
        f"<label><span>{words('chunk_text')}</span>"
        f'<textarea name="text" rows="5" required maxlength="{MAX_CHUNK_CHARS}"></textarea></label>'
        f'<p class="k-label">{words("chunk_add_help")}</p>'
        f'<button class="k-button k-primary">{words("save")}</button></form></details>'
    )


def _questions(
    chunk: Chunk, asked: Sequence[ChunkQuestion], words: Words, *, may_write: bool
) -> str:
    if not asked and not may_write:
        return ""
    items = "".join(_question(question, words, may_write=may_write) for question in asked)
    listed = f'<ul class="k-asked">{items}</ul>' if items else ""
    form = ""
    if may_write:
        form = (
            f'<form class="k-row" data-form="question">'
            f'<input type="hidden" name="id" value="{chunk.id}"><label class="k-grow">'
            f'<span class="k-hidden">{words("question_text")}</span><input name="text" required '
            f'maxlength="{MAX_QUESTION_CHARS}" placeholder="{words("question_text")}"></label>'
            f'<button class="k-button">{words("question_add")}</button>'
            f"{button('questions-propose', words('questions_propose'), id=chunk.id)}</form>"
        )
    n_asked = len(asked)
    is_open = " open" if any(one.state is QuestionState.PROPOSED for one in asked) else ""
    return (
        f"<details{is_open}><summary>{words('questions_attached', n=n_asked)}</summary>"
        f"{listed}{form}</details>"
    )


def _question(question: ChunkQuestion, words: Words, *, may_write: bool) -> str:
    proposed = question.state is QuestionState.PROPOSED
    badge = f' <span class="k-badge k-off">{words("question_proposed")}</span>' if proposed else ""
    acts = ""
    if may_write:
        id, chunk = question.id, question.chunk_id
        if proposed:
            acts += button("question-approve", words("question_approve"), id=id, chunk=chunk)
        acts += button("question-remove", words("question_remove"), id=id, chunk=chunk)
        acts = f'<span class="k-acts">{acts}</span>'
    return f"<li><span>{escape(question.text)}{badge}</span>{acts}</li>"
