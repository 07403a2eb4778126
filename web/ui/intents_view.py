"""Intents as HTML: own ones with their warnings, default ones, training, trained versions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from bot.catalogue import LANGUAGES
from bot.classifiers.care import DefaultIntent
from bot.classifiers.clashes import Clash
from bot.classifiers.intents import (
    MAX_DESCRIPTION_CHARS,
    MAX_NAME_CHARS,
    CompanyIntent,
    IntentDraft,
)
from bot.classifiers.labels import LABELS, Task
from bot.types import MessageAnalysis
from knowledge.types import Job, JobState
from web.ui.analysis_view import label_name, marks
from web.ui.markup import Words, button, escape, moment, table

OPEN = (JobState.QUEUED, JobState.RUNNING)
_STAGES = {"preparing", "training", "saving"}


@dataclass(frozen=True, slots=True)
class OwnIntents:
    """What is shown of the company's intents.

    Attributes:
        intents: All of them.
        clashes: What clashes among them and with default ones.
        is_compared: False where comparing by meaning is still to be done.
        live: The labels that the head in service knows.
        f1: Each label's last F1.
        changed: The key of the one just saved.
    """

    intents: Sequence[CompanyIntent]
    clashes: Sequence[Clash] = ()
    is_compared: bool = True
    live: Collection[str] = ()
    f1: Mapping[str, float] = field(default_factory=dict)
    changed: str | None = None


def names_of(intents: Sequence[CompanyIntent], language: str) -> Mapping[str, str]:
    """Returns what the company's intents are called."""
    return {intent.key: intent.draft.name(language) for intent in intents}


def intent_name(label: str, words: Words, names: Mapping[str, str]) -> str:
    """Returns an intent's escaped name in the reader's language."""
    return escape(names[label]) if label in names else label_name(Task.INTENT, label, words)


def try_form(words: Words) -> str:
    """Returns the form whose message is analysed while it is typed."""
    return (
        f'<form class="k-row" data-form="try" data-live><label class="k-grow">'
        f'{words("intent_try")}<input name="text" maxlength="2000" required></label>'
        f'<button class="k-button">{words("intent_try_button")}</button></form>'
    )


def tried(found: MessageAnalysis, words: Words, names: Mapping[str, str]) -> str:
    """Returns what a typed message is recognised as, with the runners-up."""
    label = found.intent.label
    shown = (
        f'<p><span class="k-badge k-ok">{intent_name(label, words, names)}</span> '
        f'<span class="k-soft">{found.intent.confidence:.0%}</span></p>'
    )
    others = [(other, score) for other, score in found.intent.top if other != label][:3]
    if others:
        listed = ", ".join(f"{intent_name(x, words, names)} {score:.0%}" for x, score in others)
        shown += f'<p class="k-soft">{words("intent_try_others")}: {listed}</p>'
    return shown + marks(found, words)


def training(newest: Job | None, words: Words, *, may_write: bool) -> str:
    """Returns the way to train, or how far the running training is."""
    if newest is not None and newest.state in OPEN:
        percent = round(newest.progress * 100)
        known = newest.stage if newest.stage in _STAGES else newest.state.value
        cancel = button("intents-cancel", words("cancel"), job=newest.id) if may_write else ""
        return (
            f'<div class="k-progress"><progress max="100" value="{percent}" '
            f'aria-label="{words("progress")}"></progress> {percent} % · '
            f"{words('stage_' + known)} {cancel}</div>"
        )
    ended = ""
    if newest is not None and newest.state is not JobState.SUCCEEDED:
        state = words("intents_" + newest.state.value)
        ended = f'<p class="k-reason">{state} · {escape(newest.error or "")}</p>'
    if not may_write:
        return ended
    press = button("intents-train", words("intents_train"), kind="k-primary")
    help = f'<span class="k-soft k-grow">{words("intents_train_help")}</span>'
    return f'{ended}<div class="k-row k-below">{press}{help}</div>'


def new_form(words: Words) -> str:
    """Returns the form for a new intent; a piece of its own, so that lists may change meanwhile."""
    return (
        f'<h2>{words("intents_own")}</h2><details class="k-edit">'
        f"<summary>{words('intent_new')}</summary>{_form(None, words)}</details>"
    )


def own(shown: OwnIntents, words: Words, *, may_write: bool) -> str:
    """Returns all intents of the company."""
    missing = ""
    if may_write and not shown.is_compared:
        check = button("intents-check", words("clashes_check"))
        missing = f'<p class="k-soft">{words("clashes_missing")} {check}</p>'
    items = "".join(_own(intent, shown, words, may_write=may_write) for intent in shown.intents)
    empty = f'<p class="k-empty">{words("intents_none")}</p>'
    return missing + (f'<ol class="k-chunks">{items}</ol>' if items else empty)


def default(known: Sequence[DefaultIntent], words: Words) -> str:
    """Returns the default intents with their examples and last F1."""
    rows = [
        (
            f"{label_name(Task.INTENT, one.label, words)} "
            f'<span class="k-soft">{escape(one.label)}</span>',
            str(one.n_examples),
            _f1(one.f1),
        )
        for one in known
    ]
    columns = [words("head_col_" + name) for name in ("intent", "examples", "f1")]
    title = words("intents_default")
    return f"<h2>{title}</h2>{table(title, columns, rows)}"


def _own(intent: CompanyIntent, shown: OwnIntents, words: Words, *, may_write: bool) -> str:
    draft = intent.draft
    state, kind = ("intent_on", "k-ok") if draft.enabled else ("intent_off", "k-off")
    trained = words("intent_live" if intent.key in shown.live else "intent_untrained")
    f1 = shown.f1.get(intent.key)
    score = f" · {words('intent_f1', value=f'{f1:.2f}')}" if f1 is not None else ""
    counted = words("intent_n_examples", zh=len(draft.examples_zh), en=len(draft.examples_en))
    warned = "".join(
        f'<p class="k-reason">{words("intent_warn_" + name)}</p>' for name in intent.warnings()
    )
    names = names_of(shown.intents, words.language)
    clashes = [c for c in shown.clashes if intent.key in (c.label, c.other)]
    pointed = "".join(_clash(clash, intent.key, words, names) for clash in clashes)
    acts = edit = ""
    if may_write:
        confirm = words.plain("intent_delete_confirm")
        delete = button(
            "intent-delete", words("delete"), kind="k-danger", key=intent.key, confirm=confirm
        )
        acts = f'<div class="k-acts">{delete}</div>'
        edit = (
            f'<details class="k-edit"><summary>{words("intent_edit")}</summary>'
            f"{_form(draft, words)}</details>"
        )
    focus = ' tabindex="-1" data-focus' if intent.key == shown.changed else ""
    return (
        f"<li{focus}><h3>{escape(draft.name(words.language))} "
        f'<span class="k-soft">{escape(intent.key)}</span></h3><div class="k-marks">'
        f'<span class="k-badge {kind}">{words(state)}</span> {trained}{score} · {counted} · '
        f"{escape(intent.author)}, {moment(intent.updated_at)}</div>"
        f"{warned}{pointed}{acts}{edit}</li>"
    )


def _clash(clash: Clash, key: str, words: Words, names: Mapping[str, str]) -> str:
    """One clash, told from the intent `key`."""
    other = clash.other if clash.label == key else clash.label
    name = names.get(other)
    if name is None:
        name = words.plain(f"label_intent_{other}") if other in LABELS[Task.INTENT] else other
    share = f"{clash.similarity:.2f}"
    figures = {"share": share} if clash.kind == "overlap" else {"n": clash.n_examples}
    title = words("clash_" + clash.kind, other=name, **figures)
    is_own = clash.label == key
    pairs = [(p.text, p.other_text) if is_own else (p.other_text, p.text) for p in clash.pairs]
    items = "".join(f"<li>{escape(a)} ↔ {escape(b)}</li>" for a, b in pairs)
    return f'<details><summary>⚠ {title}</summary><ul class="k-asked">{items}</ul></details>'


def _form(draft: IntentDraft | None, words: Words) -> str:
    known = draft or IntentDraft(key="")
    key = (
        f'<input type="hidden" name="key" value="{escape(known.key)}">'
        f'<input type="hidden" name="old" value="1">'
        if draft
        else f"<label><span>{words('intent_key')}</span>"
        f'<input name="key" required maxlength="48" pattern="[a-z][a-z0-9_]*" '
        f'placeholder="gift_wrapping"></label>'
    )
    columns = ""
    for language in LANGUAGES:
        examples = escape("\n".join(getattr(known, f"examples_{language}")))
        columns += (
            f"<div>"
            f"<label><span>{words('intent_name_' + language)}</span>"
            f'<input name="name_{language}" maxlength="{MAX_NAME_CHARS}" '
            f'value="{escape(known.name_zh if language == "zh" else known.name_en)}"></label>'
            f"<label><span>{words('intent_description_' + language)}</span>"
            f'<textarea name="description_{language}" rows="2" '
            f'maxlength="{MAX_DESCRIPTION_CHARS}">'
            f"{escape(getattr(known, f'description_{language}'))}</textarea></label>"
            f"<label><span>{words('intent_examples_' + language)}</span>"
            f'<textarea name="examples_{language}" rows="7">{examples}</textarea></label></div>'
        )
    checked = " checked" if known.enabled else ""
    return (
        f'<form data-form="intent">{key}<div class="k-columns">{columns}</div>'
        f'<label class="k-check"><input type="checkbox" name="enabled"{checked}> '
        f"{words('intent_enabled')}</label>"
        f'<button class="k-button k-primary">{words("save")}</button></form>'
    )


def _f1(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
