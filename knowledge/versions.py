"""The versions of a document: who made them when, how two differ, and going back to one.

Going back makes a new version from the old one's uploaded bytes, so no history is lost. Versions
from before bytes were kept are made anew from their stored text.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from knowledge.errors import DocumentNotFound
from knowledge.ingestion import Ingestor
from knowledge.preview import check_rule, rule_from
from knowledge.store import DocumentStore, live_row
from knowledge.tables import DocumentVersionRow
from knowledge.types import DocumentId, DocumentVersion, JobId, SplitRule
from knowledge.uploads import UploadFolder

_SENTENCE_END = re.compile(r"(?<=[。！？；])|(?<=[.!?;])\s+|\n")
#: difflib takes quadratic time; beyond this many sentences a document is compared up to there.
MAX_PARTS = 5000
_CONTEXT = 2


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version without its text."""

    version: int
    name: str
    title: str
    author: str
    created_at: datetime
    n_chars: int
    is_live: bool


@dataclass(frozen=True, slots=True)
class DiffPart:
    """A sentence that is in both texts, or only in one; `gap` stands for equal ones left out."""

    kind: Literal["same", "removed", "added", "gap"]
    text: str


class VersionHistory:
    """Lists, compares and restores versions.

    Args:
        documents: Reads versions.
        ingestor: Takes a restored version in.
        uploads_dir: Where uploaded bytes are kept.
    """

    def __init__(
        self, engine: Engine, documents: DocumentStore, ingestor: Ingestor, *, uploads_dir: Path
    ) -> None:
        self._engine = engine
        self._documents = documents
        self._ingestor = ingestor
        self._uploads = UploadFolder(uploads_dir)

    def list(self, document_id: DocumentId) -> Sequence[VersionInfo]:
        """Returns the versions, newest first; raises `DocumentNotFound`."""
        with Session(self._engine) as session:
            live = live_row(session, document_id).version
            rows = session.scalars(
                select(DocumentVersionRow)
                .where(
                    DocumentVersionRow.document_id == document_id,
                    DocumentVersionRow.version <= live,
                )
                .order_by(DocumentVersionRow.version.desc())
            )
            return [
                VersionInfo(
                    version=row.version,
                    name=row.name,
                    title=row.title,
                    author=row.author,
                    created_at=row.created_at,
                    n_chars=len(row.text),
                    is_live=row.version == live,
                )
                for row in rows
            ]

    def diff(self, document_id: DocumentId, old: int, new: int) -> Sequence[DiffPart]:
        """Returns how the text of `new` differs from that of `old`, sentence by sentence.

        Raises:
            DocumentNotFound: there is no such document or version.
        """
        before = self._documents.version(document_id, old).text
        after = self._documents.version(document_id, new).text
        return list(compare(before, after))

    def rollback(
        self, document_id: DocumentId, version: int, *, author: str
    ) -> tuple[DocumentId, JobId]:
        """Queues an older version as the newest one.

        Raises:
            DocumentNotFound: there is no such document or version.
            KnowledgeError: whatever an upload of that file may be refused for.
        """
        old = self._documents.version(document_id, version)
        if version == self._documents.get(document_id).version:
            raise DocumentNotFound(f"Version {version} is the live one; choose an older one.")
        name, content = self._content(old)
        return self._ingestor.submit(
            name, content, author=author, replace=document_id, keep_folders=True
        )

    def file(self, document_id: DocumentId) -> tuple[str, bytes]:
        """Returns the name and bytes of the live version; raises `DocumentNotFound`."""
        return self._content(self._documents.version(document_id))

    def split_rule(self, document_id: DocumentId) -> SplitRule:
        """Returns the rule that the document keeps; raises `DocumentNotFound`."""
        with Session(self._engine) as session:
            return rule_from(live_row(session, document_id).split_rule)

    def resplit(
        self, document_id: DocumentId, rule: SplitRule, *, author: str
    ) -> tuple[DocumentId, JobId]:
        """Queues the live version again under another rule, which the document then keeps.

        Raises:
            EditRejected: the rule's limit is out of range.
            KnowledgeError: whatever an upload of that file may be refused for.
        """
        name, content = self.file(document_id)
        return self._ingestor.submit(
            name, content, author=author, replace=document_id, rule=check_rule(rule)
        )

    def _content(self, old: DocumentVersion) -> tuple[str, bytes]:
        try:
            return old.name, self._uploads.read(old.sha256)
        except FileNotFoundError:
            path = PurePosixPath(old.name)
            is_plain = path.suffix.lower() in (".md", ".txt")
            return (old.name if is_plain else str(path.with_suffix(".txt"))), old.text.encode()


def compare(before: str, after: str) -> Iterator[DiffPart]:
    """Yields the parts of two texts in order, with a little of what is equal around changes."""
    old, new = _parts(before), _parts(after)
    matcher = difflib.SequenceMatcher(None, old, new)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        if group[0][1] > 0:
            yield DiffPart("gap", "")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (DiffPart("same", text) for text in old[i1:i2])
                continue
            yield from (DiffPart("removed", text) for text in old[i1:i2])
            yield from (DiffPart("added", text) for text in new[j1:j2])


def _parts(text: str) -> list[str]:
    parts = (part.strip() for part in _SENTENCE_END.split(text))
    return [part for part in parts if part][:MAX_PARTS]
