"""HTML of the workbench page; whatever comes from people or documents is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowledge.search_filter import SearchFilter
from knowledge.search_settings import (
    MAX_CANDIDATES,
    MAX_HANDOFFS,
    MAX_RERANKED,
    MAX_TOP_K,
    RetrievalOptions,
)
from knowledge.types import Candidate
from web.ui.knowledge_view import timings
from web.ui.markup import Words, button, escape, notice, table

_SNIPPET_CHARS = 220


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands in the form: a question, and the recorded search that it came from."""

    query: str = ""
    record: str = ""  # the message's id
    fields: Mapping[str, str] = field(default_factory=dict)  # of the filter
    only: SearchFilter = SearchFilter()  # noqa: RUF009  # frozen


@dataclass(frozen=True, slots=True)
class Offered:
    """What the form offers besides trying."""

    may_apply: bool
    has_reranker: bool


def settings_form(
    asked: Asked, tried: RetrievalOptions, words: Words, *, offered: Offered, only: str
) -> str:
    """Returns the question, which documents to search in and the settings to try.

    Args:
        asked: What stands in the form.
        tried: The settings that stand in the form.
        words: The page's language.
        offered: What the form offers besides.
        only: The fields of the filter as HTML.
    """
    reread = tried.rerank_candidates
    rerank = (
        _number("rerank_candidates", reread, words, low=0, high=MAX_RERANKED)
        if offered.has_reranker
        else ""
    )
    apply = (
        f'<button class="k-button" name="go" value="apply">{words("workbench_apply")}</button>'
        + button("reset", words("workbench_reset"), kind="k-quiet")
        if offered.may_apply
        else ""
    )
    return (
        f'<form data-form="workbench"><p class="k-label">{words("workbench_help")}</p>'
        f'<label><span>{words("search_query")}</span><input name="q" maxlength="4000" '
        f'value="{escape(asked.query)}"></label>'
        f'<input type="hidden" name="record" value="{escape(asked.record)}">{only}'
        '<div class="k-columns">'
        + _number("top_k", tried.top_k, words, low=1, high=MAX_TOP_K)
        + _number("candidates", tried.candidates, words, low=1, high=MAX_CANDIDATES)
        + _fusion(tried, words)
        + _number("word_weight", tried.word_weight, words, low=0, high=10, step="any")
        + _number("per_document", tried.per_document, words, low=0, high=MAX_TOP_K)
        + rerank
        + _number(
            "handoffs_per_wrong_answer",
            tried.handoffs_per_wrong_answer,
            words,
            low=0,
            high=MAX_HANDOFFS,
            step="any",
        )
        + _threshold(tried, words)
        + f'</div><p class="k-label">{words("workbench_dial_help")}</p><div class="k-row">'
        f'<button class="k-button k-primary">{words("workbench_compare")}</button>'
        f"{apply}</div></form>"
    )


def side(title: str, found: Mapping[str, Any], words: Words) -> str:
    """Returns one column: every hit with each stage's rank and score, and the times."""
    answers = words("workbench_answers", value=f"{found['relevance']:.2f}")
    if found["threshold"] is not None:
        answers += " · " + words("workbench_threshold", value=f"{found['threshold']:.2f}")
    hits = "".join(_hit(hit, words) for hit in found["hits"])
    body = f'<ol class="k-hits">{hits}</ol>' if hits else f"<p>{words('no_hits')}</p>"
    return (
        f"<section><h2>{title}</h2><p>{answers}</p>{timings(found['timings_ms'], words)}"
        f"{body}{_candidates(found['candidates'], words)}</section>"
    )


def columns(*sides: str) -> str:
    """Puts results side by side, below each other where the screen is narrow."""
    return f'<div class="k-columns">{"".join(sides)}</div>'


def terms_form(groups: Sequence[Sequence[str]], words: Words, *, may_save: bool) -> str:
    """Returns the list of terms, to be edited by those who may."""
    text = escape("\n".join(", ".join(group) for group in groups))
    save = f'<button class="k-button k-primary">{words("save")}</button>' if may_save else ""
    locked = "" if may_save else " readonly"
    return (
        f'<form data-form="terms"><h2>{words("terms_title")}</h2><label>'
        f'<span class="k-label">{words("terms_help")}</span>'
        f'<textarea name="terms" rows="8" maxlength="20000"{locked}>{text}</textarea></label>'
        f"{save}</form>"
    )


def _hit(hit: Mapping[str, Any], words: Words) -> str:
    line = words(
        "workbench_hit",
        score=f"{hit['score']:.3f}",
        dense=_stage(hit["dense_rank"], hit["dense_score"], words),
        lexical=_stage(hit["lexical_rank"], hit["lexical_score"], words),
    )
    # Searches recorded before there were rerankers know nothing of one.
    rank, score = hit.get("rerank_rank"), hit.get("rerank_score")
    if rank is not None:
        line += words("workbench_hit_reranked", reranked=_stage(rank, score, words))
    text = " ".join(hit["text"].split())
    shown = text[:_SNIPPET_CHARS] + ("…" if len(text) > _SNIPPET_CHARS else "")
    return (
        f"<li><strong>{hit['rank']}. {escape(hit['document'])}</strong>"
        f'<p class="k-label">{line}</p><p>{escape(shown)}</p></li>'
    )


def _candidates(found: Sequence[Candidate], words: Words) -> str:
    """Every passage that an index proposed, hits included, folded away."""
    if not found:
        return ""
    is_reranked = any(one.rerank_rank is not None for one in found)
    rows = [
        (
            str(one.rank),
            f'{escape(one.document)} <span class="k-soft">#{one.chunk_id}</span>',
            f"{one.score:.3f}",
            escape(_stage(one.dense_rank, one.dense_score, words)),
            escape(_stage(one.lexical_rank, one.lexical_score, words)),
            *([escape(_stage(one.rerank_rank, one.rerank_score, words))] if is_reranked else []),
        )
        for one in found
    ]
    title = words("candidates_title", n=len(found))
    names = ["rank", "document", "score", "dense", "lexical"]
    names += ["reranked"] if is_reranked else []
    headings = [words("candidates_" + name) for name in names]
    return f"<details><summary>{title}</summary>{table(title, headings, rows)}</details>"


def _stage(rank: int | None, score: float | None, words: Words) -> str:
    if rank is None or score is None:
        return "–"
    return words.plain("workbench_stage", rank=rank, score=f"{score:.3f}")


def _number(
    name: str, value: float, words: Words, *, low: float, high: float, step: str = "1"
) -> str:
    return (
        f'<label><span>{words("workbench_" + name)}</span><input type="number" name="{name}" '
        f'value="{value:g}" min="{low:g}" max="{high:g}" step="{step}" required></label>'
    )


def _threshold(tried: RetrievalOptions, words: Words) -> str:
    given = "" if tried.relevance_threshold is None else f"{tried.relevance_threshold:g}"
    return (
        f'<label><span>{words("workbench_relevance_threshold")}</span><input type="number" '
        f'name="relevance_threshold" value="{given}" min="0" max="1" step="any"></label>'
    )


def _fusion(tried: RetrievalOptions, words: Words) -> str:
    options = "".join(
        f'<option value="{one}"{" selected" if one == tried.fusion else ""}>'
        f"{words('fusion_' + one)}</option>"
        for one in ("learned", "rank")
    )
    label = words("workbench_fusion")
    return f'<label><span>{label}</span><select name="fusion">{options}</select></label>'


def applied(words: Words) -> str:
    """Returns the line that says that settings are in force."""
    return notice(words("workbench_applied"))
