"""Which of the two page languages a request gets: the remembered one, else the browser's."""

from bot.catalogue import LANGUAGES, UiLanguage
from web.language import ui_language

COOKIE = "kefu_language"
HTML_LANGUAGE: dict[UiLanguage, str] = {"zh": "zh-CN", "en": "en"}


def choose_language(cookie: str | None, accept_language: str | None) -> UiLanguage:
    """Returns the language a visitor chose before, else the browser's."""
    for language in LANGUAGES:
        if cookie == language:
            return language
    return ui_language(accept_language or "")


def other(language: UiLanguage) -> UiLanguage:
    """Returns the language that the switch leads to."""
    return "en" if language == "zh" else "zh"
