"""The company page at `/staff/company`: what the company calls itself and says, in both languages.

A suggested question is kept only if the documents answer it, judged by the live retriever; the
ones they do not answer are named, so that nobody offers a question that ends in an apology.
"""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from bot import audit
from bot.catalogue import LANGUAGES, UiLanguage
from bot.company import MAX_SUGGESTIONS, MAX_TEXT_CHARS, CompanyProfile
from web.dependencies import WebContext
from web.ui.markup import Words, escape, notice
from web.ui.staff import EXPECTED, QUIET, Desk, piece, sent, staff_script

#: Fields with the rows of their text area; one row is a plain field.
_FIELDS = (("name", 1), ("greeting", 3), ("suggestions", 5), ("contact", 2), ("fallback", 3))

View = tuple[Any, ...]


class CompanyPage:
    """Handles the events of one language's company page."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self._desk = Desk(context, language)
        self._services = context.services
        self.words = self._desk.words

    def open(self, request: gr.Request) -> View:
        """Shows the bar and the texts as they are."""
        try:
            self._desk.user(request, "company")
        except EXPECTED as error:
            return "", self._desk.line(error), ""
        return self._desk.bar(request), "", self._form()

    def save(self, event: gr.EventData, request: gr.Request) -> View:
        """Saves both languages; says which suggested questions were left out."""
        form = sent(event)
        try:
            user = self._desk.user(request, "company")
        except EXPECTED as error:
            return self._desk.line(error), gr.skip()
        refused: list[str] = []
        profiles = {one: self._profile(form, one, refused) for one in LANGUAGES}
        if any(_is_too_long(profile) for profile in profiles.values()):
            limits = {"chars": MAX_TEXT_CHARS, "questions": MAX_SUGGESTIONS}
            return notice(self.words("company_too_long", **limits), kind="error"), gr.skip()
        for language, profile in profiles.items():
            self._services.company.save(language, profile)
        audit.record(self._services.engine, user.name, action="company.save")
        lines = f'<div class="k-saved">{notice(self.words("saved"))}</div>'
        if refused:
            questions = "".join(f"<li>{escape(question)}</li>" for question in refused)
            text = f"{self.words('suggestions_refused')}<ul>{questions}</ul>"
            lines += f'<div class="k-notice k-error" role="alert">{text}</div>'
        return lines, self._form()

    def _profile(
        self, form: Mapping[str, str], language: UiLanguage, refused: list[str]
    ) -> CompanyProfile:
        texts = {name: form.get(f"{name}.{language}", "").strip() for name, _ in _FIELDS}
        asked = [line.strip() for line in texts.pop("suggestions").splitlines() if line.strip()]
        kept: list[str] = []
        for question in dict.fromkeys(asked[: MAX_SUGGESTIONS + 1]):
            (kept if self._is_answered(question) else refused).append(question)
        return CompanyProfile(suggestions=tuple(kept), **texts)

    def _is_answered(self, question: str) -> bool:
        return self._services.retriever.search(question[:MAX_TEXT_CHARS]).is_relevant

    def _form(self) -> str:
        profiles = {one: self._services.company.get(one) for one in LANGUAGES}
        return company_form(profiles, self.words)


def company_form(profiles: Mapping[UiLanguage, CompanyProfile], words: Words) -> str:
    """Returns the form, the languages side by side."""
    columns = "".join(
        f'<fieldset lang="{one}"><legend>{words("language_" + one)}</legend>'
        + "".join(_field(name, rows, one, profiles[one], words) for name, rows in _FIELDS)
        + "</fieldset>"
        for one in LANGUAGES
    )
    return (
        f'<form data-form="company"><div class="k-columns">{columns}</div>'
        f'<button class="k-button k-primary">{words("save")}</button></form>'
    )


def _field(
    name: str, rows: int, language: UiLanguage, profile: CompanyProfile, words: Words
) -> str:
    value = getattr(profile, name)
    text = escape("\n".join(value) if name == "suggestions" else value)
    attributes = f'name="{name}.{language}" maxlength="{MAX_TEXT_CHARS}"'
    widget = (
        f'<input {attributes} value="{text}">'
        if rows == 1
        else f'<textarea {attributes} rows="{rows}">{text}</textarea>'
    )
    return (
        f"<label><span>{words('company_' + name)}</span>{widget}"
        f"<small>{words('company_' + name + '_help')}</small></label>"
    )


def _is_too_long(profile: CompanyProfile) -> bool:
    texts = (profile.name, profile.greeting, profile.contact, profile.fallback)
    questions = "\n".join(profile.suggestions)
    return (
        any(len(text) > MAX_TEXT_CHARS for text in (*texts, questions))
        or len(profile.suggestions) > MAX_SUGGESTIONS
    )


def build_company(context: WebContext, language: UiLanguage) -> gr.Blocks:
    """Builds the page's widgets, then wires their events."""
    page = CompanyPage(context, language)
    words = page.words
    title = words.plain("nav_company")
    with gr.Blocks(title=title, analytics_enabled=False) as blocks:
        bar = piece("k-top", script=staff_script())
        piece("k-title", f"<h1>{words('nav_company')}</h1><p>{words('company_intro')}</p>")
        line = piece("k-line")
        form = piece("k-company")
        bar.staff_open(page.open, None, [bar, line, form], **QUIET)
        saved = bar.staff_form(page.save, None, [line, form], **QUIET)
        saved.then(None, js="() => window.kefuSaved()", api_visibility="private")
    return blocks
