"""Messages to label as HTML: what was understood, and a press for each likely label."""

from collections.abc import Mapping, Sequence

from bot.classifiers.labels import NO, YES
from bot.classifiers.uncertain import UncertainMessage
from web.ui.analysis_view import marks
from web.ui.intents_view import intent_name
from web.ui.markup import Words, button, escape, moment

_OFFERED = 4


def queue(
    shown: Sequence[UncertainMessage],
    words: Words,
    *,
    labels: Sequence[str],
    names: Mapping[str, str],
    may_open: bool,
) -> str:
    """Returns the messages, the one that teaches most first.

    Args:
        shown: What is to be labelled.
        words: The page's language.
        labels: All intents there are.
        names: What the company's intents are called.
        may_open: Whether the reader may see whole conversations.
    """
    if not shown:
        return f'<p class="k-empty">{words("labelling_none")}</p>'
    options = "".join(
        f'<option value="{escape(label)}">{intent_name(label, words, names)}</option>'
        for label in labels
    )
    items = "".join(_message(one, words, (options, names), may_open=may_open) for one in shown)
    return f'<ol class="k-chunks">{items}</ol>'


def _message(
    one: UncertainMessage, words: Words, known: tuple[str, Mapping[str, str]], *, may_open: bool
) -> str:
    options, names = known
    now = one.analysis.intent.label
    likely = [label for label, _ in one.analysis.intent.top if label != now][: _OFFERED - 1]
    presses = button("label-right", words("labelling_right"), kind="k-primary", id=one.message_id)
    presses += "".join(
        button("label-intent", intent_name(x, words, names), id=one.message_id, choice=x)
        for x in likely
    )
    if one.about == "complaint":
        for label, text in ((YES, "labelling_complaint"), (NO, "labelling_no_complaint")):
            presses += button("label-complaint", words(text), id=one.message_id, choice=label)
    opener = ""
    if may_open:
        where = f"transcripts#{escape(one.conversation_id)}"
        opener = f' · <a class="k-back" href="{where}">{words("labelling_open")}</a>'
    unsure = words("labelling_unsure", share=f"{one.uncertainty:.0%}")
    return (
        f'<li><div class="k-marks">{unsure} · {moment(one.at)}{opener}</div>'
        f'<div class="k-passage">{escape(one.text)}</div>{marks(one.analysis, words)}'
        f'<div class="k-acts">{presses}</div>'
        f'<form class="k-row" data-form="label"><input type="hidden" name="id" '
        f'value="{escape(one.message_id)}"><label>{words("labelling_other")}'
        f'<select name="choice">{options}</select></label>'
        f'<button class="k-button">{words("labelling_set")}</button></form></li>'
    )
