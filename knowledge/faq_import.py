"""Checked FAQ rows → documents, one for each language, audience and set of tags.

Documents carry these three, passages do not, so rows that share them go into one generated
`.faq.jsonl` document, split row by row. The same template again makes new versions of the same
documents; one whose rows are all gone is archived, from where people can bring it back.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from knowledge.document_edits import DocumentChange
from knowledge.faq_template import FaqEntry, question_key
from knowledge.ingestion import Ingestor
from knowledge.store import DocumentStore
from knowledge.types import Document, DocumentId, SplitKind, SplitRule, Visibility

_RULE = SplitRule(SplitKind.ROWS)
_ENDING = ".faq.jsonl"
_UNSAFE = re.compile(r"[/\\·]")
_MAX_LABEL_CHARS = 60
_MAX_STEM_CHARS = 120
#: Field names of a record: the splitter knows a question by its field's name.
_FIELDS = {"zh": ("问题", "其他问法", "答案"), "en": ("question", "also asked", "answer")}
_RECORD = re.compile(
    r"^(?:问题|question): (.+?)(?:; (?:其他问法|also asked): (.+?))?; (?:答案|answer): ",
    re.MULTILINE,
)

Group = tuple[str | None, Visibility, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    taken: tuple[DocumentId, ...]
    archived: tuple[str, ...]  # names of documents whose rows are no longer in the template


@dataclass(frozen=True, slots=True)
class FaqImporter:
    """Turns rows into documents.

    Args:
        documents: Knows what an earlier import made.
        ingestor: Takes the generated files in.
        change: Changes a document, so that searches know of it.
    """

    documents: DocumentStore
    ingestor: Ingestor
    change: Callable[[DocumentId, DocumentChange], Document]

    def take_in(self, name: str, entries: Sequence[FaqEntry], *, author: str) -> Imported:
        """Stores the rows of a template of that file name.

        Raises:
            KnowledgeError: a generated file is over a limit.
        """
        stem = _stem(name)
        taken = {
            _document_name(stem, group): self._submit(stem, group, rows, author)
            for group, rows in grouped(entries).items()
        }
        ours = _names_of(stem)
        gone = [
            one
            for one in self.documents.list()
            if ours.fullmatch(one.name) and one.name not in taken and one.archived_at is None
        ]
        for one in gone:
            self.change(one.id, DocumentChange(archived=True))
        return Imported(tuple(taken.values()), tuple(one.name for one in gone))

    def known(self, name: str) -> Mapping[str, str]:
        """Returns by `question_key` which document of another template answers a question."""
        ours = _names_of(_stem(name))
        others = [
            one
            for one in self.documents.list()
            if one.name.endswith(_ENDING)
            and not ours.fullmatch(one.name)
            and one.archived_at is None
            and one.version > 0
        ]
        return {
            question_key(question): one.name
            for one in others
            for question in _asked(self.documents.version(one.id).text)
        }

    def _submit(self, stem: str, group: Group, rows: Sequence[FaqEntry], author: str) -> DocumentId:
        language, visibility, tags = group
        name = _document_name(stem, group)
        change = DocumentChange(visibility, tags, language, archived=False)
        known = self.documents.find_by_name(name)
        if known is not None:  # before its new words can be found
            self.change(known.id, change)
        document_id, _ = self.ingestor.submit(  # staff-only from its first moment, if it is that
            name, records(rows), author=author, rule=_RULE, visibility=visibility
        )
        if known is None:
            self.change(document_id, change)
        return document_id


def grouped(entries: Sequence[FaqEntry]) -> dict[Group, list[FaqEntry]]:
    """Returns the rows by what a document has only one of; tags count in any order."""
    groups: dict[Group, list[FaqEntry]] = {}
    for entry in entries:
        group = (entry.language, entry.visibility, tuple(sorted(entry.tags)))
        groups.setdefault(group, []).append(entry)
    return groups


def records(rows: Sequence[FaqEntry]) -> bytes:
    """Returns the rows as jsonl, one record a row; other phrasings are words of the record."""
    lines = []
    for entry in rows:
        question, phrasings, answer = _FIELDS[entry.language or "en"]
        record: dict[str, object] = {question: entry.question}
        if entry.phrasings:
            record[phrasings] = " | ".join(entry.phrasings)
        record[answer] = entry.answer
        lines.append(json.dumps(record, ensure_ascii=False))
    return "\n".join(lines).encode()


def _asked(text: str) -> Iterator[str]:
    """Gives the questions of a document made by `records`, as they read once it is taken in."""
    for question, phrasings in _RECORD.findall(text):
        yield question
        yield from phrasings.split(" | ") if phrasings else ()


def _stem(name: str) -> str:
    return _shortened(_UNSAFE.sub("-", PurePath(name).stem), _MAX_STEM_CHARS)


def _document_name(stem: str, group: Group) -> str:
    language, visibility, tags = group
    joined = ", ".join(tags)
    label = _shortened(_UNSAFE.sub("-", joined), _MAX_LABEL_CHARS, unlike=joined)
    parts = [stem, language or "any", visibility.value, *([label] if label else [])]
    return " · ".join(parts) + _ENDING


def _names_of(stem: str) -> re.Pattern[str]:
    kinds = "|".join(Visibility)
    return re.compile(
        rf"{re.escape(stem)} · (?:zh|en|any) · (?:{kinds})(?: · [^·]+)?{re.escape(_ENDING)}"
    )


def _shortened(text: str, limit: int, *, unlike: str | None = None) -> str:
    """Returns a short text; one that had to change carries a mark of what it was."""
    whole = text if unlike is None else unlike
    if len(text) <= limit and text == whole:
        return text
    return f"{text[:limit]} {hashlib.sha256(whole.encode()).hexdigest()[:8]}"
