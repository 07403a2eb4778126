"""The knowledge page as HTML: documents, their passages, and what a search finds."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from knowledge.types import (
    Document,
    DocumentId,
    DocumentStatus,
    Job,
    JobState,
    Retrieval,
    ScoredChunk,
)
from web.ui.chunks_view import place
from web.ui.documents_view import Care, care, care_actions
from web.ui.likeness_view import mark
from web.ui.markup import Words, button, escape, moment, table

_OPEN = (JobState.QUEUED, JobState.RUNNING)
_STAGES = ("parsing", "embedding", "indexing")
_KIB = 1024
_STALE_AFTER_DAYS = 365


def is_open(job: Job | None) -> bool:
    """True while the job waits or runs."""
    return job is not None and job.state in _OPEN


def documents(
    shown: Sequence[Document],
    jobs: Mapping[DocumentId, Job],
    words: Words,
    *,
    may_write: bool,
    facts: Care | None = None,
) -> str:
    """Returns the table of documents with their status and what can be done with each."""
    if not shown:
        return f'<p class="k-empty">{words("no_documents")}</p>'
    facts = facts or Care(datetime.now(UTC), _STALE_AFTER_DAYS)
    headings = ("document", "status", "care", "passages", "used", "size", "updated", "actions")
    rows = [
        (
            _name(document),
            _status(document, jobs.get(document.id), words)
            + mark(document, facts.likes.get(document.id), words, may_write=may_write),
            care(document, facts, words),
            str(document.n_chunks),
            str(facts.uses.get(document.id, 0)),
            size(document.size_bytes),
            moment(document.updated_at),
            _actions(document, jobs.get(document.id), words, may_write=may_write),
        )
        for document in shown
    ]
    n_fitting = len(shown) if facts.n_fitting is None else facts.n_fitting
    caption = words("documents_caption", n=n_fitting)
    return f'<p class="k-label">{caption}</p>' + table(
        words("documents"), [words("col_" + name) for name in headings], rows
    )


def search_form(words: Words) -> str:
    """Returns the form of the retrieval test."""
    return (
        f'<section aria-labelledby="k-search"><h2 id="k-search">{words("search_test")}</h2>'
        f'<p class="k-label">{words("search_help")}</p><form class="k-row" data-form="search">'
        f'<label class="k-grow"><span class="k-hidden">{words("search_query")}</span>'
        f'<input name="q" required maxlength="4000" placeholder="{words("search_query")}"></label>'
        f'<label>{words("search_top_k")} <input name="top_k" type="number" min="1" max="50" '
        f'class="k-short"></label><button class="k-button k-primary">{words("search")}</button>'
        f"</form></section>"
    )


def found(retrieval: Retrieval, words: Words) -> str:
    """Returns what the live retriever found, with every stage's score and time."""
    enough, threshold = retrieval.is_relevant, retrieval.threshold
    verdict = words("relevant" if enough else "not_relevant")
    summary = words(
        "relevance_line", relevance=f"{retrieval.relevance:.2f}", threshold=f"{threshold:.2f}"
    )
    hits = "".join(_hit(hit, words) for hit in retrieval.hits)
    body = f'<ol class="k-hits">{hits}</ol>' if hits else f"<p>{words('no_hits')}</p>"
    return (
        f'<p class="k-notice" role="status"><span class="k-badge k-{"ok" if enough else "off"}">'
        f"{verdict}</span> {summary}</p>{timings(retrieval.timings_ms, words)}{body}"
    )


def timings(values: Mapping[str, float], words: Words) -> str:
    """Returns the milliseconds of each stage."""
    parts = "".join(
        f"<div><dt>{escape(stage)}</dt><dd>{value:.1f} ms</dd></div>"
        for stage, value in values.items()
    )
    return f'<dl class="k-figures" aria-label="{words("timings")}">{parts}</dl>' if parts else ""


def size(n_bytes: int) -> str:
    """Returns a size for people: whole bytes, or one decimal of KiB or MiB."""
    if n_bytes < _KIB:
        return f"{n_bytes} B"
    if n_bytes < _KIB * _KIB:
        return f"{n_bytes / _KIB:.1f} KiB"
    return f"{n_bytes / _KIB / _KIB:.1f} MiB"


def score(value: float | None) -> str:
    """Returns a score with the digits that matter; a dash where a stage did not find it."""
    return "–" if value is None else f"{value:.4g}"


def _name(document: Document) -> str:
    title = escape(document.title) if document.title != document.name else ""
    return f'<strong>{escape(document.name)}</strong><br><span class="k-soft">{title}</span>'


def _status(document: Document, job: Job | None, words: Words) -> str:
    tone = {DocumentStatus.READY: "ok", DocumentStatus.FAILED: "bad"}.get(document.status, "off")
    badge = f'<span class="k-badge k-{tone}">{words("status_" + document.status.value)}</span>'
    if job is not None and is_open(job):
        percent = round(job.progress * 100)
        stage = words("stage_" + (job.stage if job.stage in _STAGES else job.state.value))
        badge += (
            f'<div class="k-progress"><progress max="100" value="{percent}" '
            f'aria-label="{words("progress")}"></progress> {percent} % · {stage}</div>'
        )
    error = document.error or (job.error if job and job.state == JobState.FAILED else None)
    if not error:
        return badge
    kind = "k-soft" if document.status is DocumentStatus.SKIPPED else "k-reason"
    return f'{badge}<p class="{kind}">{words.reason(error)}</p>'


def _actions(document: Document, job: Job | None, words: Words, *, may_write: bool) -> str:
    acts = [button("chunks", words("passages_open"), id=document.id, panel="1")]
    if may_write and job is not None and is_open(job):
        acts.append(button("cancel", words("cancel"), job=job.id))
    elif may_write and job is not None and job.state in (JobState.FAILED, JobState.CANCELLED):
        acts.append(button("retry", words("retry"), job=job.id))
    if may_write:
        question = words.plain("delete_confirm", document=document.name)
        acts.append(button("care", words("document_care"), id=document.id, panel="1"))
        if document.version:
            acts.append(button("split", words("split"), id=document.id, event="split"))
        acts.append(care_actions(document, words))
        acts.append(button("replace", words("replace"), id=document.id))
        acts.append(
            button("delete", words("delete"), kind="k-danger", id=document.id, confirm=question)
        )
    return f'<div class="k-acts">{"".join(acts)}</div>'


def _hit(hit: ScoredChunk, words: Words) -> str:
    def ranked(value: float | None, rank: int | None) -> str:
        return score(value) + (f" (#{rank})" if rank is not None else "")

    figures = (
        (words("score_fused"), score(hit.score)),
        (words("score_dense"), ranked(hit.dense_score, hit.dense_rank)),
        (words("score_lexical"), ranked(hit.lexical_score, hit.lexical_rank)),
        *(
            [(words("score_reranked"), ranked(hit.rerank_score, hit.rerank_rank))]
            if hit.rerank_rank is not None
            else []
        ),
    )
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
    return (
        f"<li><h3>#{hit.rank} {escape(hit.document)}</h3>"
        f'<p class="k-where">{place(hit.chunk, words)}</p><dl class="k-figures">{cells}</dl>'
        f'<div class="k-passage">{escape(hit.chunk.text)}</div></li>'
    )
