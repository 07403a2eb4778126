"""Curated answers as HTML: the list with its forms, and the history of one answer."""

from collections.abc import Sequence

from bot.catalogue import LANGUAGES
from bot.curated import MAX_ANSWER_CHARS, CuratedAnswer, CuratedHit
from web.ui.markup import Words, button, escape, moment, table


def answers(
    shown: Sequence[CuratedAnswer], words: Words, *, may_write: bool, changed: str | None = None
) -> str:
    """Returns the form for a new answer and all answers; `changed` names the one just saved."""
    new = ""
    if may_write:
        new = (
            f'<details class="k-edit"><summary>{words("curated_new")}</summary>'
            f"{_form(None, words)}</details>"
        )
    if not shown:
        return f'{new}<p class="k-empty">{words("no_curated")}</p>'
    items = "".join(_answer(one, words, may_write=may_write, changed=changed) for one in shown)
    return f'{new}<ol class="k-chunks">{items}</ol>'


def history(answer: CuratedAnswer, hits: Sequence[CuratedHit], total: int, words: Words) -> str:
    """Returns the panel with the newest times that an answer was given."""
    columns = ("hit_at", "hit_query", "hit_question", "hit_similarity")
    rows = [
        (
            moment(hit.at),
            escape(hit.query),
            escape(hit.question),
            f"{hit.similarity:.2f}",
        )
        for hit in hits
    ]
    body = f"<p>{words('no_curated_hits')}</p>"
    if rows:
        body = table(words("curated_history"), [words(name) for name in columns], rows)
    return (
        f'<aside class="k-panel" role="dialog" aria-labelledby="k-source">'
        f'<div class="k-panel-head"><div><p class="k-label">{words("curated_hits", n=total)}</p>'
        f'<h2 id="k-source" tabindex="-1">{escape(answer.questions[0])}</h2></div>'
        f"{button('close', words('close'), kind='k-quiet')}</div>{body}</aside>"
    )


def _answer(answer: CuratedAnswer, words: Words, *, may_write: bool, changed: str | None) -> str:
    state = "curated_on" if answer.enabled else "curated_off"
    kind = "k-ok" if answer.enabled else "k-off"
    questions = "".join(f"<li>{escape(question)}</li>" for question in answer.questions)
    acts = edit = ""
    if may_write:
        confirm = words.plain("curated_delete_confirm")
        acts = (
            '<div class="k-acts">'
            + button("history", words("curated_history"), id=answer.id, panel="1")
            + button(
                "curated-delete", words("delete"), kind="k-danger", id=answer.id, confirm=confirm
            )
            + "</div>"
        )
        edit = (
            f'<details class="k-edit"><summary>{words("curated_edit")}</summary>'
            f"{_form(answer, words)}</details>"
        )
    focus = ' tabindex="-1" data-focus' if answer.id == changed else ""
    return (
        f'<li lang="{answer.language}"{focus}><div class="k-marks">'
        f'<span class="k-badge {kind}">{words(state)}</span> '
        f"{words('language_' + answer.language)} · {words('curated_hits', n=answer.n_hits)} · "
        f"{escape(answer.author)}, {moment(answer.updated_at)}</div>"
        f'<ul class="k-asked">{questions}</ul><div class="k-passage">{escape(answer.text)}</div>'
        f"{acts}{edit}</li>"
    )


def _form(answer: CuratedAnswer | None, words: Words) -> str:
    language = answer.language if answer else words.language
    options = "".join(
        f'<option value="{one}"{" selected" if one == language else ""}>'
        f"{words('language_' + one)}</option>"
        for one in LANGUAGES
    )
    checked = " checked" if answer is None or answer.enabled else ""
    questions = escape("\n".join(answer.questions)) if answer else ""
    return (
        f'<form data-form="curated"><input type="hidden" name="id" '
        f'value="{escape(answer.id) if answer else ""}">'
        f"<label><span>{words('curated_questions')}</span>"
        f'<textarea name="questions" rows="4" required>{questions}</textarea></label>'
        f"<label><span>{words('curated_text')}</span>"
        f'<textarea name="text" rows="5" required maxlength="{MAX_ANSWER_CHARS}">'
        f"{escape(answer.text) if answer else ''}</textarea></label>"
        f'<label><span>{words("curated_language")}</span><select name="language">{options}'
        f"</select></label>"
        f'<label class="k-check"><input type="checkbox" name="enabled"{checked}> '
        f"{words('curated_enabled')}</label>"
        f'<button class="k-button k-primary">{words("save")}</button></form>'
    )
