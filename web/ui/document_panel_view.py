"""The panel of one document as HTML: its properties, its versions and how two of them differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from knowledge.document_edits import MAX_TAG_CHARS, MAX_TAGS
from knowledge.types import Document, Visibility
from knowledge.versions import DiffPart, VersionInfo
from web.ui.markup import Words, button, escape, moment, table

LANGUAGES = ("zh", "en")
_MAX_TAGS_CHARS = MAX_TAGS * (MAX_TAG_CHARS + 1)
#: Element and sign of each kind of difference; the sign tells it without colour.
_MARKS = {"removed": ("del", "−"), "added": ("ins", "+"), "same": ("span", " ")}


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions and what lies between them."""

    old: int
    new: int
    parts: Sequence[DiffPart]


def panel(
    document: Document,
    versions: Sequence[VersionInfo],
    words: Words,
    *,
    compared: Compared | None = None,
) -> str:
    """Returns the panel with the forms for one document."""
    return (
        f'<aside class="k-panel" role="dialog" aria-labelledby="k-care"><div class="k-panel-head">'
        f'<div><p class="k-label">{words("document_care")}</p>'
        f'<h2 id="k-care" tabindex="-1">{escape(document.name)}</h2></div>'
        f"{button('close', words('close'), kind='k-quiet')}</div>"
        f"{_edit_form(document, words)}"
        f"<h3>{words('versions')}</h3>{_versions(document, versions, words)}"
        f"{_diff_form(document, versions, compared, words)}"
        f"{_diff(compared, words) if compared else ''}</aside>"
    )


def _edit_form(document: Document, words: Words) -> str:
    seen = [(one.value, words(f"visible_{one.value}")) for one in Visibility]
    spoken = [
        ("", words("language_guess")),
        *((one, words(f"language_{one}")) for one in LANGUAGES),
    ]
    language = (document.language or "") if document.language_is_set else ""
    return (
        f'<form data-form="document"><input type="hidden" name="id" value="{escape(document.id)}">'
        f'<div class="k-row">'
        f"{_select('visibility', words('visibility'), seen, document.visibility.value)}"
        f"{_select('language', words('document_language'), spoken, language)}"
        f"{_date('effective_from', words, document.effective_from)}"
        f"{_date('expires_at', words, document.expires_at)}</div>"
        f"<label><span>{words('tags_label')}</span>"
        f'<input name="tags" maxlength="{_MAX_TAGS_CHARS}" '
        f'value="{escape(", ".join(document.tags))}"></label>'
        f'<p class="k-label">{words("dates_help")}</p>'
        f'<button class="k-button k-primary">{words("save")}</button></form>'
    )


def _versions(document: Document, versions: Sequence[VersionInfo], words: Words) -> str:
    if not versions:
        return f'<p class="k-empty">{words("no_versions")}</p>'
    headings = ("version", "version_author", "version_made", "version_chars", "actions")
    rows = [
        (
            f"{one.version} · {escape(one.name)}",
            escape(one.author),
            moment(one.created_at),
            str(one.n_chars),
            _rollback(document, one, words),
        )
        for one in versions
    ]
    return table(words("versions"), [words(f"col_{name}") for name in headings], rows)


def _rollback(document: Document, one: VersionInfo, words: Words) -> str:
    if one.is_live:
        return f'<span class="k-badge k-ok">{words("version_live")}</span>'
    confirm = words.plain("rollback_confirm", version=one.version)
    return button(
        "rollback", words("rollback"), id=document.id, version=one.version, confirm=confirm
    )


def _diff_form(
    document: Document, versions: Sequence[VersionInfo], compared: Compared | None, words: Words
) -> str:
    if len(versions) < 2:
        return ""
    options = [(str(one.version), str(one.version)) for one in versions]
    old = compared.old if compared else versions[1].version
    new = compared.new if compared else versions[0].version
    return (
        f'<form class="k-row" data-form="diff">'
        f'<input type="hidden" name="id" value="{escape(document.id)}">'
        f"{_select('old', words('diff_old'), options, str(old))}"
        f"{_select('new', words('diff_new'), options, str(new))}"
        f'<button class="k-button">{words("diff_show")}</button></form>'
    )


def _diff(compared: Compared, words: Words) -> str:
    title = words("diff_title", old=compared.old, new=compared.new)
    if not compared.parts:
        return f'<p role="status">{title}: {words("diff_none")}</p>'
    lines = "".join(_part(part, words) for part in compared.parts)
    return f'<h4>{title}</h4><div class="k-passage">{lines}</div>'


def _part(part: DiffPart, words: Words) -> str:
    if part.kind == "gap":
        return '<div aria-hidden="true">…</div>'
    element, sign = _MARKS[part.kind]
    told = ""
    if part.kind != "same":
        told = f'<span class="k-hidden">{words("diff_" + part.kind)} </span>'
    return f"<div>{told}{sign} <{element}>{escape(part.text)}</{element}></div>"


def _select(name: str, label: str, options: Sequence[tuple[str, str]], chosen: str) -> str:
    listed = "".join(
        f'<option value="{value}"{" selected" if value == chosen else ""}>{text}</option>'
        for value, text in options
    )
    return f'<label>{label} <select name="{name}">{listed}</select></label>'


def _date(name: str, words: Words, value: datetime | None) -> str:
    shown = f"{value:%Y-%m-%dT%H:%M}" if value else ""
    return (
        f'<label>{words(name)} <input type="datetime-local" name="{name}" value="{shown}"></label>'
    )
