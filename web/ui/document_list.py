"""The list of documents on the knowledge page: its filter form, and one page of what fits.

The form in force travels with the page, so that every refresh shows the same part of the list.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from bot.assembly import Services
from knowledge.health import Health
from knowledge.parsing.registry import SUFFIXES
from knowledge.types import Document
from web.document_schemas import DocumentFilter
from web.errors import HttpProblem
from web.ui.markup import Words, pager
from web.ui.transcripts_view import select

PAGE_SIZE = 20
_SORTS = ("updated", "name", "used")
_CHOICES = ("format", "language", "health", "archived", "sort", "page")

Form = Mapping[str, str]


def filter_form(words: Words) -> str:
    """Returns the form that narrows and orders the list; it works as soon as it changes."""
    everything = ("", words("any"))
    formats = [everything, *((s[1:], s[1:]) for s in sorted(SUFFIXES))]
    languages = [everything, *((code, words(f"language_{code}")) for code in ("zh", "en"))]
    healths = [everything, *((h.value, words(f"health_{h.value}")) for h in Health)]
    archived = [everything, ("true", words("yes")), ("false", words("no"))]
    sorts = [(sort, words("sort_" + sort)) for sort in _SORTS]
    fields = (
        f'<label>{words("filter_name")}<input name="q" type="search" maxlength="200"></label>',
        select("format", words("filter_format"), formats),
        select("language", words("filter_language"), languages),
        select("health", words("filter_health"), healths),
        select("archived", words("filter_archived"), archived),
        f'<label>{words("filter_updated_from")}<input name="date_from" type="date"></label>',
        f'<label>{words("filter_updated_to")}<input name="date_to" type="date"></label>',
        select("sort", words("sort_by"), sorts),
    )
    return (
        f'<h2>{words("documents")}</h2><form class="k-filters" data-form="documents" '
        f'data-event="filter" data-live aria-label="{words("filters")}">{"".join(fields)}'
        f'<button class="k-button k-primary">{words("filter_apply")}</button></form>'
    )


def turned(form: Form, press: Form) -> dict[str, str]:
    """Returns the form that is in force after an event: a new one, or another page of the old.

    Raises:
        HttpProblem: a field has no such value.
    """
    if press.get("form") == "documents":
        now = {name: text for name, text in press.items() if name not in ("form", "page")}
    elif press.get("act") == "page":
        now = {**form, "page": press.get("page", "")}
    else:
        raise HttpProblem("bad_request")
    _filter(now)
    return now


def chosen(
    documents: Sequence[Document], form: Form, services: Services
) -> tuple[list[Document], int, int]:
    """Returns the documents to show, how many fit, and which page it is; never one past the last.

    Raises:
        HttpProblem: a field has no such value.
    """
    wanted = _filter(form)
    found, total = wanted.choose(documents, services)
    if total and not found:
        wanted = wanted.model_copy(update={"page": -(-total // PAGE_SIZE)})
        found, total = wanted.choose(documents, services)
    return found, total, wanted.page


def framed(table: str, total: int, page: int, words: Words) -> str:
    """Returns the table of the documents that fit, with the pager where there is more."""
    if not total:
        return f'<p class="k-empty">{words("no_documents_fit")}</p>'
    if total <= PAGE_SIZE:
        return table
    return table + pager(total, words, page=page, page_size=PAGE_SIZE, event="filter")


def _filter(form: Form) -> DocumentFilter:
    until = day(form.get("date_to", ""))
    fields: dict[str, object] = {name: form[name] for name in _CHOICES if form.get(name)}
    fields |= {
        "q": form.get("q", "").strip(),
        "updated_from": day(form.get("date_from", "")),
        "updated_to": until + timedelta(days=1) if until else None,
        "page_size": PAGE_SIZE,
    }
    try:
        return DocumentFilter.model_validate(fields)
    except ValidationError:
        raise HttpProblem("invalid") from None


def day(text: str) -> datetime | None:
    """Reads a date field; a day begins at midnight UTC."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise HttpProblem("invalid") from None
