"""The company's own intents: what they are called, what they mean, and how customers say them.

Rows ↔ values. An intent is recognised from the next training on, see `bot.classifiers.renewal`.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bot.catalogue import LANGUAGES
from bot.errors import IntentNotFound, IntentRejected
from bot.tables import IntentExampleRow, IntentRow
from bot.text import normalize

MAX_INTENTS = 100
MAX_EXAMPLES = 500  # of an intent and language
MAX_EXAMPLE_CHARS = 1000
MAX_NAME_CHARS = 80
MAX_DESCRIPTION_CHARS = 500
#: Examples an intent should have in a language; fewer are a warning.
WANTED_EXAMPLES = 5
_KEY = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_KEY = 48


@dataclass(frozen=True, slots=True)
class Example:
    """A text that has a label: one of a customer's, or one that `describes` what is meant."""

    text: str
    label: str
    describes: bool = False


@dataclass(frozen=True, slots=True)
class IntentDraft:
    """What a person writes; `key` is the label in snake_case, examples are customers' messages."""

    key: str
    name_zh: str = ""
    name_en: str = ""
    description_zh: str = ""
    description_en: str = ""
    examples_zh: tuple[str, ...] = ()
    examples_en: tuple[str, ...] = ()
    enabled: bool = True

    @property
    def examples(self) -> tuple[str, ...]:
        """The examples of both languages."""
        return self.examples_zh + self.examples_en

    def name(self, language: str) -> str:
        """Returns the name in a language, else in the other, else the key."""
        names = (self.name_zh, self.name_en)
        first, second = names if language.startswith("zh") else names[::-1]
        return first or second or self.key

    def descriptions(self) -> tuple[str, ...]:
        """Returns names and descriptions, from which an intent without examples is trained."""
        texts = (self.name_zh, self.name_en, self.description_zh, self.description_en)
        return tuple(dict.fromkeys(text for text in texts if text))


@dataclass(frozen=True, slots=True)
class CompanyIntent:
    """An intent as it is kept."""

    draft: IntentDraft
    author: str
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> str:
        """The label."""
        return self.draft.key

    def warnings(self) -> tuple[str, ...]:
        """Returns what should be better: `few_zh` and `few_en`, or `only_described`."""
        if not self.draft.examples:
            return ("only_described",)
        few = {
            language
            for language in LANGUAGES
            if len(getattr(self.draft, f"examples_{language}")) < WANTED_EXAMPLES
        }
        return tuple(f"few_{language}" for language in LANGUAGES if language in few)


class IntentStore:
    """Keeps the company's intents.

    Args:
        engine: The database.
        default_labels: Labels that no intent of the company may have.
    """

    def __init__(self, engine: Engine, *, default_labels: Collection[str]) -> None:
        self._engine = engine
        self._default = frozenset(default_labels)

    def list(self) -> Sequence[CompanyIntent]:
        """Returns all intents by key."""
        with Session(self._engine) as session:
            rows = session.scalars(select(IntentRow).order_by(IntentRow.key))
            return [_intent(session, row) for row in rows]

    def get(self, key: str) -> CompanyIntent:
        """Returns one intent; raises `IntentNotFound`."""
        with Session(self._engine) as session:
            return _intent(session, _row(session, key))

    def create(self, draft: IntentDraft, *, author: str) -> CompanyIntent:
        """Adds an intent.

        Raises:
            IntentRejected: a part is missing or too long, or the key is taken.
        """
        draft, now = self._checked(draft), datetime.now(UTC)
        taken = f"There is an intent {draft.key!r} already; choose another key."
        try:
            with Session(self._engine) as session, session.begin():
                if session.get(IntentRow, draft.key) is not None:
                    raise IntentRejected(taken)
                if len(session.scalars(select(IntentRow.key)).all()) >= MAX_INTENTS:
                    raise IntentRejected(f"There can be at most {MAX_INTENTS} intents of your own.")
                row = IntentRow(key=draft.key, created_at=now)
                session.add(row)
                return _save(session, row, draft, author)
        except IntegrityError as error:  # another process was quicker
            raise IntentRejected(taken) from error

    def update(self, key: str, draft: IntentDraft, *, author: str) -> CompanyIntent:
        """Replaces all of an intent but its key; raises as `create` and `get` do."""
        draft = self._checked(replace(draft, key=key))
        with Session(self._engine) as session, session.begin():
            return _save(session, _row(session, key), draft, author)

    def delete(self, key: str) -> None:
        """Takes an intent away with its examples; raises `IntentNotFound`."""
        with Session(self._engine) as session, session.begin():
            session.delete(_row(session, key))

    def _checked(self, draft: IntentDraft) -> IntentDraft:
        if not _KEY.fullmatch(draft.key) or len(draft.key) > _MAX_KEY:
            raise IntentRejected(
                f"Expected a key of at most {_MAX_KEY} lower-case letters, digits and single '_', "
                f"such as gift_wrapping, got {draft.key[:80]!r}."
            )
        if draft.key in self._default:
            raise IntentRejected(f"{draft.key!r} is a default intent; choose another key.")
        draft = replace(
            draft,
            name_zh=_line(draft.name_zh, MAX_NAME_CHARS, "name"),
            name_en=_line(draft.name_en, MAX_NAME_CHARS, "name"),
            description_zh=_line(draft.description_zh, MAX_DESCRIPTION_CHARS, "description"),
            description_en=_line(draft.description_en, MAX_DESCRIPTION_CHARS, "description"),
            examples_zh=_examples(draft.examples_zh),
            examples_en=_examples(draft.examples_en),
        )
        if not (draft.name_zh or draft.name_en):
            raise IntentRejected("Expected a name in Chinese or English, got none.")
        if not draft.examples and not (draft.description_zh or draft.description_en):
            raise IntentRejected("Expected an example or at least a description, got neither.")
        return draft


def same_text(text: str) -> str:
    """Returns a text as it is compared: without case, spaces, punctuation and width."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(char for char in folded if unicodedata.category(char)[0] in "LN")
    return kept or "".join(folded.split())


def _line(text: str, limit: int, what: str) -> str:
    cleaned = " ".join(normalize(text).split())
    if len(cleaned) > limit:
        raise IntentRejected(f"A {what} has at most {limit} characters, got {len(cleaned)}.")
    return cleaned


def _examples(texts: Sequence[str]) -> tuple[str, ...]:
    """Cleans examples and drops those that repeat one."""
    kept: dict[str, str] = {}
    for text in texts:
        cleaned = _line(text, MAX_EXAMPLE_CHARS, "example")
        if cleaned:
            kept.setdefault(same_text(cleaned), cleaned)
    if len(kept) > MAX_EXAMPLES:
        raise IntentRejected(
            f"An intent has at most {MAX_EXAMPLES} examples of a language, got {len(kept)}."
        )
    return tuple(kept.values())


def _row(session: Session, key: str) -> IntentRow:
    row = session.get(IntentRow, key)
    if row is None:
        raise IntentNotFound(f"There is no intent {key[:80]!r}.")
    return row


def _save(session: Session, row: IntentRow, draft: IntentDraft, author: str) -> CompanyIntent:
    row.name_zh, row.name_en, row.enabled = draft.name_zh, draft.name_en, draft.enabled
    row.description_zh, row.description_en = draft.description_zh, draft.description_en
    row.author, row.updated_at = author[:64], datetime.now(UTC)
    session.flush()
    session.execute(delete(IntentExampleRow).where(IntentExampleRow.intent_key == row.key))
    rows = [
        {"intent_key": row.key, "language": language, "text": text}
        for language in LANGUAGES
        for text in getattr(draft, f"examples_{language}")
    ]
    if rows:
        session.execute(insert(IntentExampleRow), rows)
    return _intent(session, row)


def _intent(session: Session, row: IntentRow) -> CompanyIntent:
    query = select(IntentExampleRow.language, IntentExampleRow.text)
    query = query.where(IntentExampleRow.intent_key == row.key).order_by(IntentExampleRow.id)
    found = session.execute(query).all()
    draft = IntentDraft(
        key=row.key,
        name_zh=row.name_zh,
        name_en=row.name_en,
        description_zh=row.description_zh,
        description_en=row.description_en,
        examples_zh=tuple(text for language, text in found if language == "zh"),
        examples_en=tuple(text for language, text in found if language == "en"),
        enabled=row.enabled,
    )
    return CompanyIntent(draft, row.author, row.created_at, row.updated_at)
