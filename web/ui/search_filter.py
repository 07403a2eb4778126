"""The part of the workbench's form that limits a search to some documents."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from knowledge.parsing.registry import SUFFIXES
from knowledge.search_filter import MAX_VALUES, SearchFilter
from knowledge.store import DocumentStore
from knowledge.types import Document
from web.errors import HttpProblem
from web.ui.document_list import day
from web.ui.markup import Words, escape
from web.ui.transcripts_view import select

#: Fields of the form; `in_` keeps them apart from the other forms of the page.
FIELDS = ("in_document", "in_tags", "in_language", "in_format", "in_from", "in_to")
_MAX_OFFERED = 300  # names to choose from; more would weigh the page down


def fields(form: Mapping[str, str], documents: Sequence[Document], words: Words) -> str:
    """Returns the fields, filled with what is in force, and unfolded where anything is."""
    anything = ("", words("any"))
    languages = [anything, *((one, words("language_" + one)) for one in ("zh", "en"))]
    formats = [anything, *((one[1:], one[1:]) for one in sorted(SUFFIXES))]
    names = [document.name for document in documents]
    tags = sorted({tag for document in documents for tag in document.tags})

    def value(name: str) -> str:
        return f'name="{name}" value="{escape(form.get(name, ""))}"'

    is_open = " open" if any(form.get(name) for name in FIELDS) else ""
    return (
        f'<details class="k-only"{is_open}><summary>{words("only_title")}</summary>'
        '<div class="k-filters">'
        f"<label>{words('only_document')}"
        f'<input maxlength="255" list="k-only-names" {value("in_document")}></label>'
        f"<label>{words('only_tags')}"
        f'<input maxlength="500" list="k-only-tags" {value("in_tags")}></label>'
        + select(
            "in_language",
            words("filter_language"),
            languages,
            chosen=form.get("in_language", ""),
        )
        + select("in_format", words("filter_format"), formats, chosen=form.get("in_format", ""))
        + f'<label>{words("only_from")}<input type="date" {value("in_from")}></label>'
        f'<label>{words("only_to")}<input type="date" {value("in_to")}></label></div>'
        f"{_offered('k-only-names', names)}{_offered('k-only-tags', tags)}</details>"
    )


def read(form: Mapping[str, str], documents: DocumentStore) -> SearchFilter:
    """Returns the filter that a form asks for; an empty field asks for nothing.

    Raises:
        HttpProblem: no document has the name, or a field has no such value.
    """
    tags = tuple(tag for part in form.get("in_tags", "").split(",") if (tag := part.strip()))
    language, suffix = form.get("in_language", ""), form.get("in_format", "")
    if len(tags) > MAX_VALUES:
        raise HttpProblem("invalid")
    until = day(form.get("in_to", ""))
    name = form.get("in_document", "").strip()
    document = documents.find_by_name(name) if name else None
    if name and document is None:
        raise HttpProblem("document_not_found")
    return SearchFilter(
        tags=tags,
        languages=(language,) if language else (),
        document_ids=(document.id,) if document else (),
        formats=(suffix,) if suffix else (),
        changed_from=day(form.get("in_from", "")),
        changed_to=until + timedelta(days=1) if until else None,
    )


def _offered(id: str, values: Sequence[str]) -> str:
    options = "".join(f'<option value="{escape(value)}">' for value in values[:_MAX_OFFERED])
    return f'<datalist id="{id}">{options}</datalist>'
