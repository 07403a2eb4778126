"""Trained versions of the intent head as HTML: how each compares, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.classifiers.registry import Comparison, RegisteredHead
from web.ui.intents_view import intent_name
from web.ui.markup import Words, button, escape, moment, table

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Heads:
    """What is shown of the trained versions.

    Attributes:
        heads: The newest first.
        serving: The name of the one in service; None for the shipped one.
        can_roll_back: Whether another one served before.
        names: What the company's intents are called.
    """

    heads: Sequence[RegisteredHead]
    serving: str | None
    can_roll_back: bool
    names: Mapping[str, str]


def heads(shown: Heads, words: Words, *, may_write: bool) -> str:
    """Returns the newest versions; nothing where none was trained."""
    if not shown.heads:
        return ""
    back = ""
    if may_write and shown.can_roll_back:
        back = f"<p>{button('head-rollback', words('head_rollback'))}</p>"
    items = "".join(_head(head, shown, words, may_write=may_write) for head in shown.heads[:_SHOWN])
    return f'<h2>{words("head_title")}</h2>{back}<ol class="k-chunks">{items}</ol>'


def _head(head: RegisteredHead, shown: Heads, words: Words, *, may_write: bool) -> str:
    state, kind = ("head_serves", "k-ok") if head.serves else ("head_kept", "k-off")
    record = head.record
    made = words("head_unreadable")
    if record is not None:
        made = f"{escape(record.author)}, {moment(record.created_at)}"
    comparison = record.comparison if record else None
    report = _report(comparison, words, shown.names) if comparison else ""
    doubt = "" if head.serves else _doubt(comparison, shown, words)
    warned = f'<p class="k-reason">{doubt}</p>' if doubt else ""
    acts = _acts(head, words, is_doubtful=bool(doubt)) if may_write and not head.serves else ""
    return (
        f'<li><div class="k-marks"><span class="k-badge {kind}">{words(state)}</span> {made} '
        f'<span class="k-soft">{escape(head.name)}</span></div>'
        f"{warned}{report}{acts}</li>"
    )


def _doubt(comparison: Comparison | None, shown: Heads, words: Words) -> str:
    if comparison is None:
        return words("head_uncompared")
    if comparison.against != shown.serving:
        return words("head_outdated")
    if comparison.fallen:
        fallen = ", ".join(intent_name(label, words, shown.names) for label in comparison.fallen)
        return words("head_fallen", labels="{}").replace("{}", fallen)
    return "" if comparison.is_better else words("head_worse")


def _report(comparison: Comparison, words: Words, names: Mapping[str, str]) -> str:
    rows = [
        (
            intent_name(label, words, names),
            "–" if before is None else f"{before:.3f}",
            f"<strong>{after:.3f}</strong>" if label in comparison.fallen else f"{after:.3f}",
        )
        for label, (before, after) in comparison.labels.items()
    ]
    columns = [words("head_col_" + name) for name in ("intent", "before", "after")]
    title = words("head_details")
    figures = [
        words("head_after", value=f"{comparison.after:.3f}"),
        words("head_judged", n=comparison.n),
    ]
    if any(before is not None for before, _ in comparison.labels.values()):
        figures.insert(0, words("head_before", value=f"{comparison.before:.3f}"))
    whole = " · ".join(figures)
    details = f"<details><summary>{title}</summary>{table(title, columns, rows)}</details>"
    return f'<p class="k-where">F1: {whole}</p>{details}'


def _acts(head: RegisteredHead, words: Words, *, is_doubtful: bool) -> str:
    confirm = words.plain("head_discard_confirm")
    discard = button(
        "head-discard", words("head_discard"), kind="k-danger", head=head.name, confirm=confirm
    )
    if not is_doubtful:
        press = button("head-promote", words("head_promote"), kind="k-primary", head=head.name)
        return f'<div class="k-acts">{press}{discard}</div>'
    return (
        f'<form class="k-row" data-form="force"><input type="hidden" name="head" '
        f'value="{escape(head.name)}"><label class="k-grow">{words("head_reason")}'
        f'<input name="reason" required minlength="5" maxlength="500"></label>'
        f'<button class="k-button">{words("head_force")}</button></form>'
        f'<div class="k-acts">{discard}</div>'
    )
