"""Bodies about looking after documents: changes, health, versions, differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bot.assembly import Services
from knowledge.document_edits import DocumentChange
from knowledge.health import Health, health_of
from knowledge.types import Document, DocumentId, DocumentStatus, Likeness, Visibility
from web.schemas import DocumentOut

Tag = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\x00]*$")]


class DocumentPatch(BaseModel):
    """What is absent stays; null takes a date away, or guesses the language again."""

    model_config = ConfigDict(extra="forbid")

    visibility: Visibility = Visibility.PUBLIC
    tags: Annotated[list[Tag], Field(max_length=20)] = []
    language: Literal["zh", "en"] | None = None
    effective_from: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    archived: bool = False

    def change(self) -> DocumentChange:
        """Returns the fields that were sent."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        if "tags" in sent:
            sent["tags"] = tuple(sent["tags"])
        return DocumentChange(**sent)


class DocumentFilter(BaseModel):
    """Which documents a list shows, all conditions must hold, and in which order.

    Without `page_size` the list is whole; `total` counts all that fit either way.
    """

    format: Annotated[str, Field(max_length=10)] | None = None  # the name's ending: pdf, docx
    language: Literal["zh", "en"] | None = None
    health: Health | None = None
    archived: bool | None = None
    updated_from: AwareDatetime | None = None
    updated_to: AwareDatetime | None = None  # exclusive
    sort: Literal["updated", "name", "used"] = "updated"
    page: Annotated[int, Field(ge=1, le=100_000)] = 1
    page_size: Annotated[int, Field(ge=1, le=500)] | None = None
    tag: Annotated[str, Field(max_length=40)] | None = None
    status: DocumentStatus | Literal["archived"] | None = None
    visibility: Visibility | None = None
    q: Annotated[str, Field(max_length=200)] = ""  # part of the name or title

    def fits(self, document: Document) -> bool:
        """True when the document is wanted."""
        status = "archived" if document.archived_at is not None else document.status
        return (
            (self.tag is None or self.tag in document.tags)
            and (self.status is None or self.status == status)
            and (self.visibility is None or self.visibility == document.visibility)
            and self.q.casefold() in f"{document.name}\n{document.title}".casefold()
            and self._is_kind(document)
            and (self.archived is None or self.archived == (document.archived_at is not None))
            and (self.updated_from is None or document.updated_at >= self.updated_from)
            and (self.updated_to is None or document.updated_at < self.updated_to)
        )

    def _is_kind(self, document: Document) -> bool:
        ending = document.name.rpartition(".")[2].casefold()
        return (self.format is None or self.format.casefold() == ending) and (
            self.language is None or self.language == document.language
        )

    def choose(
        self, documents: Sequence[Document], services: Services
    ) -> tuple[list[Document], int]:
        """Returns the wanted page of the documents that fit, in order, and how many fit."""
        found = [d for d in documents if self.fits(d)]
        if self.health is not None:
            found = [d for d in found if _health(d, services) == self.health]
        if self.sort == "name":
            found.sort(key=lambda d: d.name.casefold())
        elif self.sort == "used":
            uses = services.document_uses.counts()
            found.sort(key=lambda d: -uses.get(d.id, 0))
        if self.page_size is None:
            return found, len(found)
        first = (self.page - 1) * self.page_size
        return found[first : first + self.page_size], len(found)

    def select(self, documents: Sequence[Document], services: Services) -> "ManagedDocumentList":
        """Returns the same with what a manager wants to know of each document."""
        chosen, total = self.choose(documents, services)
        uses, likes = services.document_uses.counts(), services.duplicates.all()
        items = [managed(document, services, uses, likes) for document in chosen]
        return ManagedDocumentList.model_validate({"items": items, "total": total})


class LikeOut(BaseModel):
    """The document that another one is like, and the share of the text that is in both."""

    document_id: str
    name: str
    share: float


class ManagedDocument(DocumentOut):
    """A document with all that its manager wants to know."""

    visibility: Visibility
    tags: list[str]
    language_is_set: bool
    effective_from: datetime | None
    expires_at: datetime | None
    archived_at: datetime | None
    n_words: int | None
    health: str
    n_conversations: int
    like: LikeOut | None


class ManagedDocumentText(ManagedDocument):
    """The same with the stored text that citations point into."""

    text: str


class ManagedDocumentList(BaseModel):
    """The documents that fit the filters."""

    items: list[ManagedDocument]
    total: int


class VersionOut(BaseModel):
    """One version: who, when, how long."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    name: str
    title: str
    author: str
    created_at: datetime
    n_chars: int
    is_live: bool


class VersionList(BaseModel):
    """All versions, newest first."""

    items: list[VersionOut]
    total: int


class DiffPartOut(BaseModel):
    """A sentence of the comparison."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    text: str


class DiffOut(BaseModel):
    """How two versions differ; empty `parts` means not at all."""

    old: int
    new: int
    parts: list[DiffPartOut]


def managed(
    document: Document,
    services: Services,
    uses: Mapping[str, int] | None = None,
    likes: Mapping[DocumentId, Likeness] | None = None,
) -> dict[str, object]:
    """Returns a document's fields with its health, use and likeness."""
    counts = services.document_uses.counts() if uses is None else uses
    like = (services.duplicates.all() if likes is None else likes).get(document.id)
    return asdict(document) | {
        "health": _health(document, services),
        "n_conversations": counts.get(document.id, 0),
        "like": asdict(like) if like else None,
    }


def _health(document: Document, services: Services) -> Health:
    days = services.settings.knowledge.stale_after_days
    return health_of(document, now=datetime.now(UTC), stale_after_days=days)
