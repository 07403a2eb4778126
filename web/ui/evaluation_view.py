"""Evaluations of retrieval as HTML: starting one, how far it is, the kept runs, two compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from knowledge.eval_runs import Change, EvalRun, compare
from knowledge.types import Job, JobState
from web.dial_report import COLUMNS, dial_rows
from web.ui.markup import Words, button, escape, moment, table

OPEN = (JobState.QUEUED, JobState.RUNNING)
_FIGURES = ("hit_at_k", "mrr_at_10", "ndcg_at_10")


def start(words: Words, *, n_confirmed: int, limit: int) -> str:
    """Returns the way to start from conversations, and the form of a file's lines."""
    example = '{"query": "…", "document": "returns.md", "quote": "…", "language": "en"}'
    most = f"{limit}+" if n_confirmed >= limit else str(n_confirmed)
    ask = button("confirmed", words("evaluate_confirmed", n=most), kind="k-primary")
    none = f'<p class="k-label">{words("evaluate_none_confirmed")}</p>'
    return (
        f'<p class="k-label">{words("evaluate_confirmed_help")}</p>'
        f"<p>{ask if n_confirmed else none}</p>"
        f'<p class="k-label">{words("evaluate_file_help")}</p><pre>{escape(example)}</pre>'
    )


def jobs(shown: Sequence[Job], words: Words, *, may_write: bool) -> str:
    """Returns running evaluations with their progress, and the newest if it went wrong."""
    told = [job for job in shown if job.state in OPEN]
    if shown and shown[0].state in (JobState.FAILED, JobState.CANCELLED):
        told = [shown[0], *told]
    return "".join(_job(job, words, may_write=may_write) for job in told)


def runs(kept: Sequence[EvalRun], words: Words) -> str:
    """Returns the evaluations, newest first; a regression against the run before is marked."""
    items = "".join(_run(run, kept[i + 1 :], words) for i, run in enumerate(kept))
    body = f'<ul class="k-hits">{items}</ul>' if items else f"<p>{words('runs_none')}</p>"
    help = f'<p class="k-label">{words("runs_help")}</p>'
    return f"<section><h2>{words('runs_title')}</h2>{help}{body}</section>"


def compare_form(kept: Sequence[EvalRun], words: Words, *, chosen: tuple[int, int]) -> str:
    """Returns the form that names two runs; nothing where there are not two."""
    if len(kept) < 2:
        return ""

    def picker(name: str, label: str, number: int) -> str:
        options = "".join(
            f'<option value="{run.id}"{" selected" if run.id == number else ""}>'
            f"{run.id} · {escape(run.source)}</option>"
            for run in kept
        )
        return f'<label>{label}<select name="{name}">{options}</select></label>'

    return (
        f'<h2>{words("compare_title")}</h2><form class="k-filters" data-form="compare">'
        + picker("before", words("compare_before"), chosen[0])
        + picker("after", words("compare_after"), chosen[1])
        + f'<button class="k-button k-primary">{words("workbench_compare")}</button></form>'
    )


def comparison(before: EvalRun, after: EvalRun, words: Words) -> str:
    """Returns every stage and language of two runs with the interval of the difference."""
    rows = [_change(change, words) for change in compare(before, after)]
    title = words("compare_of", before=before.id, after=after.id)
    names = ("stage", "language", "before", "after", "difference", "verdict")
    shown = table(title, [words("compare_col_" + name) for name in names], rows)
    return f'<h3>{title}</h3><p class="k-label">{words("compare_help")}</p>{shown}'


def _job(job: Job, words: Words, *, may_write: bool) -> str:
    if job.state not in OPEN:
        state = words("evaluate_" + job.state.value)
        return f'<p class="k-reason">{state} · {escape(job.error or "")}</p>'
    percent = round(job.progress * 100)
    stage = words("stage_evaluating" if job.stage else "stage_" + job.state.value)
    cancel = button("cancel", words("cancel"), job=job.id) if may_write else ""
    return (
        f'<div class="k-progress"><progress max="100" value="{percent}" '
        f'aria-label="{words("progress")}"></progress> {percent} % · {stage} {cancel}</div>'
    )


def _run(run: EvalRun, older: Sequence[EvalRun], words: Words) -> str:
    report = run.report
    fused = report["stages"].get("fused", {}).get("all")
    if fused is None:
        return ""
    low, high = report["intervals"]["fused"]["all"]
    line = words(
        "runs_line",
        number=run.id,
        source=run.source,
        n=fused["n"],
        k=report["k"],
        hit=f"{fused['hit_at_k']:.3f}",
        low=f"{low:.3f}",
        high=f"{high:.3f}",
    )
    before = next((one for one in older if one.sha256 == run.sha256), None)
    worse = [c for c in compare(before, run) if c.is_regression] if before else []
    mark = "".join(
        f' <span class="k-badge k-off">{words("runs_regression")}: '
        f"{words('eval_stage_' + change.stage)}, {_language(change.language, words)}</span>"
        for change in worse
    )
    return (
        f'<li>{line}{mark} <span class="k-soft">{moment(run.at)}</span>'
        f"<details><summary>{words('runs_details')}</summary>{_details(report, words)}"
        f'<p class="k-label">{_settings(run.settings)}</p></details></li>'
    )


def _details(report: Mapping[str, Any], words: Words) -> str:
    rows = [
        (
            words("eval_stage_" + stage),
            _language(language, words),
            str(values["n"]),
            *(f"{values[name]:.3f}" if name in values else "–" for name in _FIGURES),
        )
        for stage, languages in report["stages"].items()
        for language, values in languages.items()
    ]
    figures = [f"hit@{report['k']}", "MRR@10", "nDCG@10"]
    headings = [words("compare_col_stage"), words("compare_col_language"), words("runs_n")]
    rejected = report.get("rejected")
    line = (
        f"<p>{words('runs_rejected', n=report['n_unanswerable'], share=f'{rejected:.3f}')}</p>"
        if rejected is not None
        else ""
    )
    return table(words("runs_details"), [*headings, *figures], rows) + line + dial(report, words)


def dial(report: Mapping[str, Any], words: Words) -> str:
    """Returns what share is refused and wrongly answered for several costs of a wrong answer."""
    shown = dial_rows(report)
    if not shown:
        return ""
    figures = {name: report["relevance"].get(name) for name in ("auc", "ece", "brier")}
    told = {name: "–" if value is None else f"{value:.2f}" for name, value in figures.items()}
    rows = [tuple(map(escape, row)) for row in shown]
    return (
        table(words("dial_title"), [words("dial_" + name) for name in COLUMNS], rows)
        + f'<p class="k-label">{words("dial_quality", **told)}</p>'
    )


def _change(change: Change, words: Words) -> tuple[str, ...]:
    spread = change.interval
    if spread is None:
        difference, verdict = words("compare_unpaired"), "–"
    else:
        difference = f"{spread[0]:+.3f} … {spread[1]:+.3f}"
        tone, name = ("off", "runs_regression") if change.is_regression else ("ok", "compare_same")
        if spread[0] > 0:
            name = "compare_better"
        verdict = f'<span class="k-badge k-{tone}">{words(name)}</span>'
    return (
        words("eval_stage_" + change.stage),
        _language(change.language, words),
        f"{change.before:.3f}",
        f"{change.after:.3f}",
        difference,
        verdict,
    )


def _language(language: str, words: Words) -> str:
    known = {"zh": "language_zh", "en": "language_en", "all": "any"}
    return words(known[language]) if language in known else escape(language)


def _settings(settings: Mapping[str, Any]) -> str:
    return escape(" · ".join(f"{name}: {value}" for name, value in settings.items()))
