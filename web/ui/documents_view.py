"""What the documents table shows and offers to the person who looks after them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from knowledge.document_edits import DocumentChange
from knowledge.health import Health, health_of
from knowledge.types import Document, DocumentId, Likeness, Visibility
from web.ui.markup import Words, button, escape

#: What each of the buttons changes.
CHANGES: Mapping[str, DocumentChange] = {
    "make_staff": DocumentChange(visibility=Visibility.STAFF),
    "make_public": DocumentChange(visibility=Visibility.PUBLIC),
    "archive": DocumentChange(archived=True),
    "restore": DocumentChange(archived=False),
}


@dataclass(frozen=True, slots=True)
class Care:
    """What health, use and likeness are judged by, and how long the whole list is."""

    now: datetime
    stale_after_days: int
    uses: Mapping[str, int] = field(default_factory=dict)
    likes: Mapping[DocumentId, Likeness] = field(default_factory=dict)
    n_fitting: int | None = None  # documents on all pages of the list


def care(document: Document, facts: Care, words: Words) -> str:
    """Returns who may be answered from the document, how it is, and its tags."""
    health = health_of(document, now=facts.now, stale_after_days=facts.stale_after_days)
    tone = {Health.OK: "ok", Health.FAILED: "bad"}.get(health, "off")
    tags = "".join(f' <span class="k-badge k-off">{escape(tag)}</span>' for tag in document.tags)
    return (
        f'<span class="k-badge k-off">{words(f"visible_{document.visibility.value}")}</span> '
        f'<span class="k-badge k-{tone}">{words(f"health_{health.value}")}</span>{tags}'
    )


def care_actions(document: Document, words: Words) -> str:
    """Returns the buttons that change who sees a document and whether it is searched."""
    is_public = document.visibility is Visibility.PUBLIC
    names = ("make_staff" if is_public else "make_public",
             "archive" if document.archived_at is None else "restore")  # fmt: skip
    return "".join(button(name, words(name), id=document.id) for name in names)
