"""The page of web sources as HTML: the form, the sources, and the pages of one."""

from collections.abc import Mapping, Sequence

from knowledge.types import Job, JobId, JobState, Schedule, Source, SourceKind, SourcePage
from web.ui.markup import Words, button, escape, moment, table

_OPEN = (JobState.QUEUED, JobState.RUNNING)


def is_open(job: Job | None) -> bool:
    """True while the sync waits or runs."""
    return job is not None and job.state in _OPEN


def add_form(words: Words) -> str:
    """Returns the form that adds an address."""
    kinds = "".join(_option(kind.value, words("kind_" + kind.value)) for kind in SourceKind)
    return (
        f'<form class="k-row k-below" data-form="add">'
        f'<label class="k-grow">{words("source_url")}'
        f'<input name="url" type="url" required maxlength="2000" '
        f'placeholder="https://example.com/help"></label>'
        f'<label>{words("source_kind")}<select name="kind">{kinds}</select></label>'
        f"<label>{words('source_schedule')}{_schedules(Schedule.OFF, words)}</label>"
        f'<button class="k-button k-primary">{words("source_add")}</button></form>'
    )


def sources(
    shown: Sequence[Source], jobs: Mapping[JobId, Job], words: Words, *, may_write: bool
) -> str:
    """Returns the table of sources with how their last sync went."""
    if not shown:
        return f'<p class="k-empty">{words("no_sources")}</p>'
    headings = ("source", "status", "pages", "fetched", "schedule", "actions")
    rows = []
    for source in shown:
        job = jobs.get(source.job_id) if source.job_id else None
        rows.append(
            (
                f'<strong class="k-url">{escape(source.url)}</strong><br>'
                f'<span class="k-soft">{words("kind_" + source.kind.value)}</span>',
                _status(source, job, words),
                str(source.n_pages),
                moment(source.last_fetched_at) if source.last_fetched_at else words("source_never"),
                _schedule(source, words, may_write=may_write),
                _actions(source, job, words, may_write=may_write),
            )
        )
    return table(words("web_sources"), [words("col_" + name) for name in headings], rows)


def archive(words: Words) -> str:
    """Returns the heading over export and import, with the link that downloads the file."""
    return (
        f'<section aria-labelledby="k-whole"><h2 id="k-whole">{words("whole_base")}</h2>'
        f'<p class="k-label">{words("archive_intro")}</p>'
        f'<p class="k-below"><a class="k-button" href="../api/v1/archive" download>'
        f"{words('archive_export')}</a>"
        f"</p></section>"
    )


def pages(source: Source, shown: Sequence[SourcePage], words: Words) -> str:
    """Returns a source's pages, those with problems first, in the panel at the side."""
    items = "".join(
        f'<li><div class="k-passage k-url">{escape(page.url)}</div>'
        + (f'<p class="k-reason">{words.reason(page.error)}</p>' if page.error else "")
        + "</li>"
        for page in shown
    )
    return (
        f'<aside class="k-panel" role="dialog" aria-labelledby="k-source">'
        f'<div class="k-panel-head"><div><p class="k-label">'
        f"{words('source_pages_caption', n=len(shown))}</p>"
        f'<h2 id="k-source" tabindex="-1" class="k-url">{escape(source.url)}</h2></div>'
        f'{button("close", words("close"), kind="k-quiet")}</div><ol class="k-chunks">{items}</ol>'
        f"</aside>"
    )


def _status(source: Source, job: Job | None, words: Words) -> str:
    if job is not None and is_open(job):
        is_running = job.state is JobState.RUNNING
        text = words("source_fetching") if is_running else words("source_waiting")
        percent = round(job.progress * 100)
        return (
            f'<span class="k-badge k-off">{text}</span><div class="k-progress">'
            f'<progress max="100" value="{percent}" aria-label="{words("progress")}"></progress> '
            f"{percent} %</div>"
        )
    if source.last_fetched_at is None and source.error is None:
        return f'<span class="k-badge k-off">{words("source_never")}</span>'
    if source.error is not None:
        badge = f'<span class="k-badge k-bad">{words("source_failed")}</span>'
        return f'{badge}<p class="k-reason">{words.reason(source.error)}</p>'
    troubled = source.n_failed + source.n_missing > 0
    text = words("source_troubled") if troubled else words("source_well")
    counts = words(
        "source_counts",
        changed=source.n_changed,
        failed=source.n_failed,
        missing=source.n_missing,
    )
    tone = "off" if troubled else "ok"
    return f'<span class="k-badge k-{tone}">{text}</span><p class="k-soft">{counts}</p>'


def _schedule(source: Source, words: Words, *, may_write: bool) -> str:
    if not may_write:
        return words("schedule_" + source.schedule.value)
    label = words("source_set", url=source.url)
    return (
        f'<form class="k-acts" data-form="schedule">'
        f'<input type="hidden" name="id" value="{escape(source.id)}">'
        f"{_schedules(source.schedule, words, label=label)}"
        f'<button class="k-button">{words("save")}</button></form>'
    )


def _schedules(chosen: Schedule, words: Words, *, label: str = "") -> str:
    options = "".join(
        _option(one.value, words("schedule_" + one.value), chosen=one is chosen) for one in Schedule
    )
    name = f' aria-label="{label}"' if label else ""
    return f'<select name="schedule"{name}>{options}</select>'


def _option(value: str, label: str, *, chosen: bool = False) -> str:
    return f'<option value="{escape(value)}"{" selected" if chosen else ""}>{label}</option>'


def _actions(source: Source, job: Job | None, words: Words, *, may_write: bool) -> str:
    acts = [button("pages", words("source_pages"), id=source.id, panel="1")]
    if may_write and job is not None and is_open(job):
        acts.append(button("cancel", words("cancel"), job=job.id))
    elif may_write:
        acts.append(button("sync", words("source_sync"), id=source.id))
    if may_write:
        question = words.plain("source_remove_confirm", url=source.url)
        label = words("source_remove")
        acts.append(button("remove", label, kind="k-danger", id=source.id, confirm=question))
    return f'<div class="k-acts">{"".join(acts)}</div>'
