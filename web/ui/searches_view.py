"""Searches of conversations as HTML: the list with its filters, and what one was made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.recorded import RecordedRetrieval
from web.ui.markup import Words, button, escape, moment, table
from web.ui.transcripts_view import facts, select

#: The outcomes that a search can have.
ACTIONS = ("answer", "refuse", "clarify", "none")
_TITLE_CHARS = 120
_SETTINGS = (
    *("top_k", "candidates", "fusion", "word_weight", "per_document", "rerank_candidates"),
    *("handoffs_per_wrong_answer", "relevance_threshold"),
)


def filters(form: Mapping[str, str], words: Words) -> str:
    """Returns the form that narrows the list, filled with what is in force."""
    languages = [("", words("any")), *((one, words("language_" + one)) for one in ("zh", "en"))]
    actions = [("", words("any")), *((one, words("outcome_" + one)) for one in ACTIONS)]

    def value(name: str) -> str:
        return f'name="{name}" value="{escape(form.get(name, ""))}"'

    return (
        f'<form class="k-filters" data-form="searches" aria-label="{words("filters")}">'
        f'<label>{words("filter_text")}<input type="search" maxlength="200" {value("q")}></label>'
        f'<label>{words("filter_from")}<input type="date" {value("date_from")}></label>'
        f'<label>{words("filter_to")}<input type="date" {value("date_to")}></label>'
        + select("language", words("filter_language"), languages, chosen=form.get("language", ""))
        + select("action", words("action"), actions, chosen=form.get("action", ""))
        + f"<label>{words('searches_up_to')}"
        f'<input type="number" min="0" max="1" step="any" {value("max_relevance")}></label>'
        f'<button class="k-button k-primary">{words("filter_apply")}</button></form>'
    )


def listed(
    shown: Sequence[RecordedRetrieval], total: int, words: Words, *, page: int, page_size: int
) -> str:
    """Returns one page of searches; a row's first cell opens the search above."""
    if not shown:
        return f'<p class="k-empty">{words("workbench_no_searches")}</p>'
    headings = ("search_query", "action", "searches_relevance", "col_language", "searches_at")
    last = -(-total // page_size)
    turns = "".join(
        button("page", words(name), page=number) if 1 <= number <= last else ""
        for name, number in (("page_previous", page - 1), ("page_next", page + 1))
    )
    place = words("page_place", page=page, last=last, total=total)
    rows = [_row(one, words) for one in shown]
    return (
        table(words("workbench_searches"), [words(name) for name in headings], rows)
        + f'<div class="k-pager"><span role="status">{place}</span>{turns}</div>'
    )


def section(form: Mapping[str, str], body: str, words: Words) -> str:
    """Returns the heading, the filters and the list."""
    return (
        f"<section><h2>{words('workbench_searches')}</h2>"
        f'<p class="k-label">{words("searches_help")}</p>{filters(form, words)}{body}</section>'
    )


def opened(one: RecordedRetrieval, words: Words) -> str:
    """Returns what is known of a search beside its hits."""
    shown = [
        (words("searches_asked"), escape(one.question)),
        (words("searches_searched"), escape(one.query)),
        (words("action"), outcome(one.action, words)),
        (words("searches_relevance"), _relevance(one)),
        (words("searches_at"), moment(one.at)),
        (words("searches_settings"), _settings(_used(one), words)),
    ]
    link = (
        f'<p><a href="transcripts#{escape(one.conversation_id)}">{words("searches_talk")}</a></p>'
        if one.conversation_id
        else ""
    )
    return f"<h2>{words('searches_opened')}</h2>{facts(shown)}{link}"


def outcome(action: str, words: Words) -> str:
    """Returns what became of the question in words, escaped."""
    return words("outcome_" + action) if action in ACTIONS else escape(action) or "–"


def _row(one: RecordedRetrieval, words: Words) -> tuple[str, ...]:
    title = one.question[:_TITLE_CHARS] + ("…" if len(one.question) > _TITLE_CHARS else "")
    is_rewritten = one.query != one.question
    rewritten = f'<br><span class="k-soft">→ {escape(one.query)}</span>' if is_rewritten else ""
    return (
        f'<a href="#{escape(one.message_id)}">{escape(title)}</a>{rewritten}',
        outcome(one.action, words),
        _relevance(one),
        words("language_" + one.language),
        moment(one.at),
    )


def _relevance(one: RecordedRetrieval) -> str:
    if one.threshold is None:
        return f"{one.relevance:.2f}"
    sign = "≥" if one.relevance >= one.threshold else "&lt;"
    return f'{one.relevance:.2f} <span class="k-soft">({sign} {one.threshold:.2f})</span>'


def _used(one: RecordedRetrieval) -> dict[str, Any]:
    """The settings that had an effect: without a reranker its number has none."""
    settings = dict(one.settings or {})
    if not any(hit.get("rerank_rank") for hit in one.hits):
        settings.pop("rerank_candidates", None)
    return settings


def _settings(settings: Mapping[str, Any], words: Words) -> str:
    parts = (
        f"{words('workbench_' + name)}: {_value(name, settings[name], words)}"
        for name in _SETTINGS
        if settings.get(name) is not None
    )
    return " · ".join(parts) or "–"


def _value(name: str, value: object, words: Words) -> str:
    return words(f"fusion_{value}") if name == "fusion" else escape(value)
