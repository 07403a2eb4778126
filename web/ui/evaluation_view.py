"""Evaluations of retrieval as HTML."""

from collections.abc import Sequence

from knowledge.eval_runs import EvalRun, compare
from web.ui.markup import Words, escape


def runs(kept: Sequence[EvalRun], words: Words) -> str:
    """Returns the evaluations, newest first; a regression against the run before is marked."""
    items = "".join(_run(run, kept[i + 1 :], words) for i, run in enumerate(kept))
    body = f'<ul class="k-hits">{items}</ul>' if items else f"<p>{words('runs_none')}</p>"
    help = f'<p class="k-label">{words("runs_help")}</p>'
    return f"<section><h2>{words('runs_title')}</h2>{help}{body}</section>"


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
        f"{escape(change.stage)}, {escape(change.language)}</span>"
        for change in worse
    )
    return f"<li>{line}{mark}</li>"
