"""What was understood of messages as HTML: marks, the trend of the mood, correcting labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.classifiers.labels import LABELS, NO, YES, Task, level
from bot.classifiers.reasons import REASONS
from bot.labels import LabelCorrection, corrected, label_of
from bot.types import Message, MessageAnalysis, MessageId, Prediction, Role
from knowledge.types import ScoredChunk
from web.ui.markup import Words, button, escape, moment

_MOOD = {label: n for n, label in enumerate(LABELS[Task.SENTIMENT], start=-2)}
_STEP, _HEIGHT, _EDGE = 26, 40, 6  # of the trend's drawing, in pixels


@dataclass(frozen=True, slots=True)
class Reading:
    """What staff see beside a conversation's messages."""

    corrections: Mapping[MessageId, Sequence[LabelCorrection]] = field(default_factory=dict)
    options: Mapping[Task, Sequence[str]] = field(default_factory=lambda: LABELS)
    resolution: tuple[MessageId, ScoredChunk | None] | None = None  # what was asked for

    def in_force(self, message: Message) -> MessageAnalysis | None:
        """Returns a message's analysis with people's labels in force."""
        if message.analysis is None:
            return None
        made = self.corrections.get(message.id, ())
        return corrected(message.analysis, {each.task: each.new_label for each in made})


def label_name(task: Task, label: str, words: Words) -> str:
    """Returns a label in the reader's language; a company's own intent as it is named."""
    if label not in LABELS[task] and label != "question":
        return escape(label.replace("_", " "))
    if label in (YES, NO):
        return words(label)
    return words(f"label_{task.value}_{label}")


def own_marks(analysis: MessageAnalysis | None, words: Words) -> str:
    """Returns what customers may see of their own message: its language and intent."""
    if analysis is None:
        return ""
    return _marks([_language(analysis, words), _intent(analysis, words)])


def marks(analysis: MessageAnalysis | None, words: Words) -> str:
    """Returns everything that was understood of a message, each with how sure it is."""
    if analysis is None:
        return ""
    shown = [_language(analysis, words), _intent(analysis, words)]
    if analysis.sentiment.confidence:
        shown.append(_mark(Task.SENTIMENT, analysis.sentiment, words))
    complaint = analysis.complaint
    if complaint.is_complaint:
        kind = complaint.type and label_name(Task.COMPLAINT_TYPE, complaint.type, words)
        sure = _sure(complaint.confidence, words)
        shown.append(_one(words("task_complaint"), kind or words(YES), sure, tone="bad"))
        if complaint.severity is not None:
            grade = label_name(Task.SEVERITY, str(complaint.severity), words)
            why = ", ".join(_reason(one, words) for one in complaint.reasons)
            shown.append(_one(words("task_severity"), grade, escape(why), tone="bad"))
    flags = (("flag_urgent", analysis.is_urgent), ("flag_angry", analysis.is_angry))
    shown += [_one("", words(name), "", tone="bad") for name, is_set in flags if is_set]
    return _marks(shown)


def _reason(name: str, words: Words) -> str:
    """Returns a reason in the reader's language; one of an older version as it was stored."""
    return words("severity_reason_" + name) if name in REASONS else name.replace("_", " ")


def trend(messages: Sequence[Message], reading: Reading, words: Words) -> str:
    """Returns the mood over the conversation as a line and in words; empty without two moods."""
    found = [reading.in_force(message) for message in messages if message.role == Role.CUSTOMER]
    moods = [a.sentiment.label for a in found if a is not None and a.sentiment.confidence]
    if len(moods) < 2:
        return ""
    first, last = (label_name(Task.SENTIMENT, mood, words) for mood in (moods[0], moods[-1]))
    rise = _MOOD[moods[-1]] - _MOOD[moods[0]]
    way = words("trend_better" if rise > 0 else "trend_worse" if rise < 0 else "trend_same")
    return f'{_line(moods)}<span>{first} → {last} <span class="k-soft">{way}</span></span>'


def background(message: Message, reading: Reading, words: Words) -> str:
    """Returns what stands under a customer's message: marks, resolution, correcting labels."""
    analysis = reading.in_force(message)
    if analysis is None:
        return ""
    made = reading.corrections.get(message.id, ())
    return (
        marks(analysis, words)
        + _resolution(message, analysis, reading, words)
        + _editor(message, analysis, (made, reading.options), words)
    )


def _line(moods: Sequence[str]) -> str:
    """Draws the mood, better being higher; the words beside it say the same."""
    unit = (_HEIGHT - 2 * _EDGE) / 4
    points = [
        (_EDGE + n * _STEP, round(_HEIGHT / 2 - _MOOD[mood] * unit, 1))
        for n, mood in enumerate(moods)
    ]
    width = 2 * _EDGE + (len(moods) - 1) * _STEP
    path = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in points)
    return (
        f'<svg class="k-trend" viewBox="0 0 {width} {_HEIGHT}" style="max-width:{width}px" '
        f'aria-hidden="true"><line x1="0" x2="{width}" y1="{_HEIGHT / 2}" y2="{_HEIGHT / 2}"/>'
        f'<polyline points="{path}"/>{dots}</svg>'
    )


def _language(analysis: MessageAnalysis, words: Words) -> str:
    name = label_name(Task.LANGUAGE, analysis.language, words)
    return _one(words("task_language"), name, _sure(analysis.language_confidence, words))


def _intent(analysis: MessageAnalysis, words: Words) -> str:
    return _mark(Task.INTENT, analysis.intent, words)


def _mark(task: Task, found: Prediction, words: Words) -> str:
    sure = _sure(found.confidence, words)
    return _one(words(f"task_{task.value}"), label_name(task, found.label, words), sure)


def _sure(confidence: float, words: Words) -> str:
    """How sure it is, for people; the figure is in the title."""
    said = words("level_" + level(confidence))
    return f'<small title="{words("confidence", value=f"{confidence:.2f}")}">{said}</small>'


def _one(task: str, name: str, sure: str, *, tone: str = "") -> str:
    label = f'<span class="k-soft">{task}</span> ' if task else ""
    beside = f" {sure}" if sure.startswith("<") else f" <small>{sure}</small>" if sure else ""
    return f'<li class="k-mark k-{tone or "plain"}">{label}<strong>{name}</strong>{beside}</li>'


def _marks(shown: Sequence[str]) -> str:
    return f'<ul class="k-understood">{"".join(shown)}</ul>'


def _resolution(message: Message, analysis: MessageAnalysis, reading: Reading, words: Words) -> str:
    asked = reading.resolution
    if asked is not None and asked[0] == message.id:
        return _suggested(asked[1], words)
    if not analysis.complaint.is_complaint:
        return ""
    label = words("resolution_suggest")
    return f'<p class="k-acts">{button("resolution", label, id=message.id)}</p>'


def _suggested(hit: ScoredChunk | None, words: Words) -> str:
    heading = f"<h4>{words('resolution')}</h4>"
    if hit is None:
        return f'<section class="k-resolution">{heading}<p>{words("resolution_none")}</p></section>'
    page = f" · {words('page', page=hit.chunk.page)}" if hit.chunk.page is not None else ""
    return (
        f'<section class="k-resolution">{heading}<p class="k-where"><strong>'
        f"{escape(hit.document)}</strong>{page}</p>"
        f'<div class="k-passage" tabindex="0">{escape(hit.chunk.text)}</div></section>'
    )


def _editor(
    message: Message,
    analysis: MessageAnalysis,
    known: tuple[Sequence[LabelCorrection], Mapping[Task, Sequence[str]]],
    words: Words,
) -> str:
    made, options = known
    fields = "".join(_field(task, label_of(analysis, task), options[task], words) for task in Task)
    history = "".join(_correction(each, words) for each in made)
    past = f'<ul class="k-asked">{history}</ul>' if made else ""
    return (
        f'{past}<details class="k-edit"><summary>{words("labels_correct")}</summary>'
        f'<form class="k-filters" data-form="labels" data-event="label">'
        f'<input type="hidden" name="id" value="{escape(message.id)}">{fields}'
        f'<button class="k-button k-primary">{words("labels_save")}</button></form></details>'
    )


def _field(task: Task, now: str | None, options: Sequence[str], words: Words) -> str:
    names = [(label, label_name(task, label, words)) for label in options]
    if now is None or now not in options:
        names.insert(0, ("", "–" if now is None else label_name(task, now, words)))
    choices = "".join(
        f'<option value="{escape(label)}"{" selected" if label == now else ""}>{name}</option>'
        for label, name in names
    )
    title = words(f"task_{task.value}")
    return f'<label>{title}<select name="{task.value}">{choices}</select></label>'


def _correction(made: LabelCorrection, words: Words) -> str:
    old = label_name(made.task, made.old_label, words) if made.old_label else "–"
    new = label_name(made.task, made.new_label, words)
    return (
        f"<li>{words(f'task_{made.task.value}')}: <s>{old}</s> → <strong>{new}</strong> "
        f'<span class="k-soft">{escape(made.author)} · {moment(made.at)}</span></li>'
    )
