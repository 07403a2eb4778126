"""The list of live searches on the workbench: reads its filters and shows a page of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from bot.recorded import RetrievalFilter, recent_retrievals
from web.ui import searches_view
from web.ui.markup import Words

_PAGE_SIZE = 20
_LANGUAGES = ("zh", "en")


class SearchList:
    """Shows searches of conversations; whoever calls has checked that the person may see them."""

    def __init__(self, engine: Engine, words: Words) -> None:
        self._engine = engine
        self._words = words

    def show(self, form: Mapping[str, str], page: int) -> str:
        """Returns one page of what the form asks for, with the form."""
        shown, total = recent_retrievals(self._engine, wanted(form, page))
        body = searches_view.listed(shown, total, self._words, page=page, page_size=_PAGE_SIZE)
        return searches_view.section(form, body, self._words)


def wanted(form: Mapping[str, str], page: int) -> RetrievalFilter:
    """Returns what a form asks for; a field that makes no sense asks for nothing."""
    until = _day(form.get("date_to", ""))
    language, action = form.get("language"), form.get("action")
    return RetrievalFilter(
        q=form.get("q", "")[:200],
        language=language if language in _LANGUAGES else None,
        action=action if action in searches_view.ACTIONS else None,
        max_relevance=_share(form.get("max_relevance", "")),
        date_from=_day(form.get("date_from", "")),
        date_to=until + timedelta(days=1) if until else None,
        page=page,
        page_size=_PAGE_SIZE,
    )


def _share(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _day(text: str) -> datetime | None:
    """Reads a date field; a day begins at midnight UTC."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
