"""What people did to a document's passages, carried over to its next file.

After splitting and before embedding: edits are written into the new text itself, so that the rest
of ingestion sees one text with its passages and `quote == text[start:end]` needs no special case.

- An edit goes where the new file has the passage that was edited, word for word; if the file has
  it no more, the edited words are appended as a passage of their own, marked as orphaned.
- An added passage is appended again.
- Disabled stays what reads as before; what was reworded is a new passage, which the one who
  disabled it has not seen.
- Pins and questions are about what a passage says, so they also follow one that was reworded.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import exists, or_, select, update
from sqlalchemy.orm import Session

from knowledge.tables import ChunkQuestionRow, ChunkRow, DocumentRow
from knowledge.types import ChunkOrigin, ChunkSpan, DocumentId

logger = logging.getLogger(__name__)

_GAP = "\n\n"
#: Share of common character triples above which a passage is the same one, reworded.
_SAME = 0.5
_OWN = (ChunkOrigin.ADDED, ChunkOrigin.ORPHANED)


@dataclass(frozen=True, slots=True)
class Marks:
    """What people decided about a passage."""

    enabled: bool = True
    origin: ChunkOrigin = ChunkOrigin.PARSED
    pinned: bool = False
    original: str | None = None
    edited_by: str | None = None
    edited_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A passage of the live version that people did something to."""

    id: int
    text: str
    headings: tuple[str, ...]
    marks: Marks
    has_questions: bool

    @property
    def original(self) -> str:
        """What parsing had found."""
        return self.marks.original or self.text


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of the new version."""

    span: ChunkSpan
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, slots=True)
class Revision:
    """The new version: its text, its passages, and which of them a marked one became."""

    text: str
    passages: tuple[Passage, ...]
    moved: Mapping[int, int]  # old chunk id → position in `passages`


def load_marked(session: Session, document_id: DocumentId) -> list[Marked]:
    """Returns the live version's passages that people did something to, in order."""
    asked = exists().where(ChunkQuestionRow.chunk_id == ChunkRow.id)
    query = (
        select(ChunkRow, asked)
        .join(DocumentRow, DocumentRow.id == ChunkRow.document_id)
        .where(ChunkRow.document_id == document_id, ChunkRow.version == DocumentRow.version)
        .where(
            or_(ChunkRow.origin != ChunkOrigin.PARSED, ~ChunkRow.enabled, ChunkRow.pinned, asked)
        )
        .order_by(ChunkRow.ordinal, ChunkRow.id)
    )
    return [
        Marked(
            id=row.id,
            text=row.text,
            headings=tuple(row.headings),
            marks=Marks(
                enabled=row.enabled,
                origin=ChunkOrigin(row.origin),
                pinned=row.pinned,
                original=row.original,
                edited_by=row.edited_by,
                edited_at=row.edited_at,
            ),
            has_questions=has_questions,
        )
        for row, has_questions in session.execute(query)
    ]


def carry_over(text: str, spans: Sequence[ChunkSpan], marked: Sequence[Marked]) -> Revision:
    """Returns the new file's text and passages with people's changes in them.

    Args:
        text: The parsed text.
        spans: Its passages, ordered, without overlap.
        marked: From `load_marked`.
    """
    places = _Places(spans)
    marks: dict[int, Marks] = {}
    words: dict[int, str] = {}
    appended: list[Marked] = []
    moved: dict[int, int] = {}
    for one in marked:
        if one.marks.origin in _OWN:
            appended.append(one)
            continue
        place = places.take(one.original)
        if place is not None:
            marks[place] = one.marks
            if one.marks.origin is ChunkOrigin.EDITED:
                words[place] = one.text
        elif one.marks.origin is ChunkOrigin.EDITED:
            appended.append(replace(one, marks=replace(one.marks, origin=ChunkOrigin.ORPHANED)))
            continue
        elif (place := places.take_like(one.original)) is not None:
            marks[place] = Marks(pinned=one.marks.pinned)
        else:
            logger.info("the passage of chunk %d is gone, with what was said about it", one.id)
            continue
        moved[one.id] = place
    new_text, passages = _write(text, spans, words)
    kept = [Passage(span, marks.get(i, Marks())) for i, span in enumerate(passages)]
    for one in appended:
        start = len(new_text) + len(_GAP)
        new_text += _GAP + one.text
        span = ChunkSpan(one.text, start, len(new_text), None, one.headings)
        moved[one.id] = len(kept)
        kept.append(Passage(span, one.marks))
    return Revision(new_text, tuple(kept), moved)


def move_questions(session: Session, moved: Mapping[int, int]) -> None:
    """Attaches questions to the passages that theirs became; `moved` maps chunk ids."""
    for was, now in moved.items():
        session.execute(
            update(ChunkQuestionRow).where(ChunkQuestionRow.chunk_id == was).values(chunk_id=now)
        )


def _write(
    text: str, spans: Sequence[ChunkSpan], words: Mapping[int, str]
) -> tuple[str, list[ChunkSpan]]:
    """Returns the text with some passages reworded, and all passages where they stand then."""
    pieces: list[str] = []
    written: list[ChunkSpan] = []
    done = length = 0
    for i, span in enumerate(spans):
        between, passage = text[done : span.start], words.get(i, span.text)
        start = length + len(between)
        written.append(replace(span, text=passage, start=start, end=start + len(passage)))
        pieces += [between, passage]
        done, length = span.end, start + len(passage)
    return "".join([*pieces, text[done:]]), written


class _Places:
    """The new passages that no marked one has been matched with yet."""

    def __init__(self, spans: Sequence[ChunkSpan]) -> None:
        self._texts = dict(enumerate(span.text for span in spans))
        self._by_text: dict[str, list[int]] = defaultdict(list)
        for place, text in self._texts.items():
            self._by_text[_key(text)].append(place)
        self._taken: set[int] = set()

    def take(self, text: str) -> int | None:
        """Takes the first free passage that reads like this but for white space."""
        free = [place for place in self._by_text.get(_key(text), ()) if place not in self._taken]
        if not free:
            return None
        self._taken.add(free[0])
        return free[0]

    def take_like(self, text: str) -> int | None:
        """Takes the free passage that has most in common with this, if that is enough."""
        wanted = _triples(text)
        best, best_share = None, _SAME
        for place, other in self._texts.items():
            found = _triples(other)
            share = 2 * len(wanted & found) / ((len(wanted) + len(found)) or 1)
            if share >= best_share and place not in self._taken:
                best, best_share = place, share
        if best is not None:
            self._taken.add(best)
        return best


def _key(text: str) -> str:
    return " ".join(text.split())


def _triples(text: str) -> frozenset[str]:
    key = _key(text).lower()
    return frozenset(key[i : i + 3] for i in range(max(1, len(key) - 2)))
