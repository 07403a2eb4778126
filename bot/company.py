"""What the admin words for the company: name, greeting, contact, fallback, suggestions.

Stored per language; what was never edited reads from the catalogue.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, insert, select

from bot.catalogue import Catalogue
from bot.tables import CompanyTextRow
from bot.text import normalize

MAX_TEXT_CHARS = 2000
MAX_SUGGESTIONS = 8


@dataclass(frozen=True, slots=True)
class CompanyProfile:
    """The company's texts in one language."""

    name: str
    greeting: str
    contact: str
    fallback: str  # said when nothing relevant was found
    suggestions: tuple[str, ...] = ()


class CompanyTexts:
    """Reads and edits the company's texts; a change is seen by the next read of any process."""

    def __init__(self, engine: Engine, catalogue: Catalogue) -> None:
        self._engine = engine
        self._catalogue = catalogue

    def get(self, language: str) -> CompanyProfile:
        """Returns the texts in the language; any but zh reads English."""
        language = _ui_language(language)
        query = select(CompanyTextRow.key, CompanyTextRow.value).where(
            CompanyTextRow.language == language
        )
        with self._engine.connect() as connection:
            stored: dict[str, str] = {row.key: row.value for row in connection.execute(query)}
        return CompanyProfile(
            name=self._text("name", language, stored),
            greeting=self._text("greeting", language, stored),
            contact=self._text("contact", language, stored),
            fallback=self._text("fallback", language, stored),
            suggestions=tuple(self._text("suggestions", language, stored).splitlines()),
        )

    def save(self, language: str, profile: CompanyProfile) -> None:
        """Replaces the texts in the language; an empty text returns to the built-in one.

        Raises:
            ValueError: a text is too long or there are too many suggestions.
        """
        texts = _texts(profile)
        now = datetime.now(UTC)
        language = _ui_language(language)
        rows = [
            {"key": key, "language": language, "value": value, "updated_at": now}
            for key, value in texts.items()
            if value or key == "suggestions"  # none at all is a choice
        ]
        with self._engine.begin() as connection:
            connection.execute(delete(CompanyTextRow).where(CompanyTextRow.language == language))
            connection.execute(insert(CompanyTextRow), rows)

    def _text(self, key: str, language: str, stored: dict[str, str]) -> str:
        return stored.get(key, self._catalogue.text(f"company.{key}", language))


def _texts(profile: CompanyProfile) -> dict[str, str]:
    suggestions = [normalize(text).replace("\n", " ") for text in profile.suggestions]
    suggestions = list(dict.fromkeys(text for text in suggestions if text))
    if len(suggestions) > MAX_SUGGESTIONS:
        raise ValueError(f"Expected at most {MAX_SUGGESTIONS} suggestions, got {len(suggestions)}.")
    texts = {key: normalize(str(value)) for key, value in asdict(profile).items()}
    texts["suggestions"] = "\n".join(suggestions)
    for key, text in texts.items():
        if len(text) > MAX_TEXT_CHARS:
            raise ValueError(f"Expected at most {MAX_TEXT_CHARS} characters for {key!r}, "
                             f"got {len(text)}.")  # fmt: skip
    return texts


def _ui_language(language: str) -> str:
    return "zh" if language.startswith("zh") else "en"
