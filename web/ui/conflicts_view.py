"""Contradictions as HTML: both statements side by side, their figures marked."""

from collections.abc import Sequence

from knowledge.conflict_store import FoundConflict, Side, Verdict
from knowledge.types import Job, JobState
from web.ui.markup import Words, button, escape, moment

OPEN = (JobState.QUEUED, JobState.RUNNING)
_KINDS = {Verdict.OPEN: "k-off", Verdict.REAL: "k-bad", Verdict.NOT_ONE: "k-ok"}


def search(newest: Job | None, words: Words, *, may_write: bool) -> str:
    """Returns the way to search anew, or how far the running search is."""
    if newest is not None and newest.state in OPEN:
        percent = round(newest.progress * 100)
        stage = words("stage_comparing" if newest.stage else "stage_" + newest.state.value)
        cancel = button("conflicts-cancel", words("cancel"), job=newest.id) if may_write else ""
        return (
            f'<div class="k-progress"><progress max="100" value="{percent}" '
            f'aria-label="{words("progress")}"></progress> {percent} % · {stage} {cancel}</div>'
        )
    ended = ""
    if newest is not None and newest.state is not JobState.SUCCEEDED:
        state = words("conflicts_" + newest.state.value)
        ended = f'<p class="k-reason">{state} · {escape(newest.error or "")}</p>'
    if not may_write:
        return ended
    return ended + button("conflicts-search", words("conflicts_search"), kind="k-primary")


def pairs(found: Sequence[FoundConflict], words: Words, *, may_write: bool) -> str:
    """Returns all pairs, the ones to be judged first."""
    if not found:
        return f'<p class="k-empty k-below">{words("no_conflicts")}</p>'
    ordered = sorted(found, key=lambda one: one.verdict is not Verdict.OPEN)
    items = "".join(_pair(one, words, may_write=may_write) for one in ordered)
    return f'<ol class="k-chunks">{items}</ol>'


def _pair(one: FoundConflict, words: Words, *, may_write: bool) -> str:
    who = ""
    if one.judged_by and one.judged_at:
        who = f"{escape(one.judged_by)}, {moment(one.judged_at)}"
    acts = ""
    if may_write:
        wanted = [verdict for verdict in Verdict if verdict is not one.verdict]
        buttons = "".join(
            button(f"conflict-{verdict.value}", words(f"conflict_set_{verdict.value}"), id=one.id)
            for verdict in wanted
        )
        acts = f'<div class="k-acts">{buttons}</div>'
    return (
        f'<li><div class="k-marks"><span class="k-badge {_KINDS[one.verdict]}">'
        f"{words('conflict_' + one.verdict.value)}</span> {who}</div>"
        f'<div class="k-columns">{_side(one.a, words)}{_side(one.b, words)}</div>{acts}</li>'
    )


def _side(side: Side, words: Words) -> str:
    key = f"{escape(side.key)} · " if side.key else ""
    opener = button("chunks", words("conflict_passages"), id=side.document_id, panel="1")
    return (
        f'<div><p class="k-where">{escape(side.document)}</p>'
        f'<div class="k-passage">{key}{_marked(side)}</div>'
        f'<div class="k-acts">{opener}</div></div>'
    )


def _marked(side: Side) -> str:
    shown, last = "", 0
    for start, end in side.marks:
        if start < last:
            continue
        shown += escape(side.quote[last:start]) + f"<mark>{escape(side.quote[start:end])}</mark>"
        last = end
    return shown + escape(side.quote[last:])
