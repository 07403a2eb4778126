"""The mark of a document that says nearly the same as another one, with what can be done."""

from collections.abc import Sequence

from knowledge.types import Document, Likeness, OnDuplicate
from web.ui.markup import Words, button


def choices(words: Words) -> Sequence[tuple[str, str]]:
    """Returns label and value of what may become of duplicates, for a widget of the upload."""
    return [(words.plain(f"duplicate_{one.value}"), one.value) for one in OnDuplicate]


def mark(document: Document, like: Likeness | None, words: Words, *, may_write: bool) -> str:
    """Returns which document this one is like, and the buttons that settle it."""
    if like is None:
        return ""
    said = words("duplicate_same" if like.percent == 100 else "duplicate_like",
                 share=like.percent, document=like.name)  # fmt: skip
    note = f'<p class="k-like">{said}</p>'
    if not may_write:
        return note
    names = {"document": document.name, "other": like.name}
    replacing = words.plain("duplicate_replace_confirm", **names)
    removing = words.plain("delete_confirm", document=document.name)
    acts = (
        button("like_keep", words("duplicate_keep_both"), id=document.id)
        + button("like_replace", words("duplicate_replace_other"), id=document.id,
                 confirm=replacing)
        + button("delete", words("duplicate_remove"), kind="k-danger", id=document.id,
                 confirm=removing)
    )  # fmt: skip
    return f'{note}<div class="k-acts" role="group" aria-label="{said}">{acts}</div>'
