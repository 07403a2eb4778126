"""What all staff pages share: who is asking, what they sent, the bar on top.

A page's event is an HTTP call that anybody can make, so every handler asks `Desk.user` first;
that the page was shown proves nothing.
"""

from collections.abc import Mapping, Sequence

import gradio as gr

from bot.accounts import User
from bot.catalogue import UiLanguage
from bot.errors import BotError
from knowledge.errors import KnowledgeError
from web.dependencies import WebContext
from web.errors import HttpProblem, describe
from web.security import ROLE_ACCESS, Access, may
from web.ui.markup import Words, asset, escape, language_switch, notice
from web.ui.menu import BELOW, PAGES

#: What a handler answers with a readable line; anything else is a fault and goes to the log.
EXPECTED = (BotError, KnowledgeError, HttpProblem)

_MAX_FIELD_CHARS = 20_000


class Desk:
    """The services and words of one language, and the check that stands before each handler."""

    def __init__(self, context: WebContext, language: UiLanguage) -> None:
        self.services = context.services
        self.language: UiLanguage = language
        self.words = Words(context.services.catalogue, language)
        self._gate = context.gate

    def user(self, request: gr.Request, access: Access) -> User:
        """Returns who is asking.

        Raises:
            HttpProblem: the login has expired, its one-time password was not changed yet, or the
                role may not do this.
        """
        user = self._gate.user(request.request)
        if user is None:
            raise HttpProblem("unauthorized")
        if user.must_change_password:
            raise HttpProblem("password_change")
        if not may(user, access):
            raise HttpProblem("forbidden")
        return user

    def line(self, error: Exception) -> str:
        """Returns an expected error as a readable line."""
        title, detail = describe(error, self.services.catalogue, self.language)
        return notice(f"<strong>{escape(title)}</strong> {escape(detail)}", kind="error")

    def bar(self, request: gr.Request) -> str:
        """Returns the bar on top, with the pages that this person may open."""
        user = self.user(request, "pages")
        open_to = [page for page, access in PAGES if user.role in ROLE_ACCESS[access]]
        links = "".join(self._link(page, open_to) for page in open_to if page not in BELOW)
        role = self.words(f"role_{user.role.value}")
        return (
            f'<header class="k-bar"><strong class="k-brand">Kefu</strong>'
            f'<nav aria-label="{self.words("pages")}"><ul class="k-nav">{links}</ul></nav>'
            f'<div class="k-me">{language_switch(self.words)}<span class="k-who">'
            f"{escape(user.name)} · {role}</span>"
            f'<form method="post" action="../auth/logout">'
            f'<button type="submit" class="k-button k-quiet">{self.words("log_out")}</button>'
            f"</form></div></header>"
        )

    def _link(self, page: str, open_to: Sequence[str]) -> str:
        """Returns the entry of a page with those that belong to it."""
        below = "".join(self._link(one, ()) for one in open_to if BELOW.get(one) == page)
        more = f'<ul class="k-below-nav">{below}</ul>' if below else ""
        name = self.words("nav_" + page)
        return f'<li><a href="{page}" data-page="{page}">{name}</a>{more}</li>'


def sent(event: gr.EventData) -> Mapping[str, str]:
    """Returns the text fields an event came with; none of it is trusted."""
    values = event._data if isinstance(event._data, dict) else {}
    return {
        str(name): value[:_MAX_FIELD_CHARS]
        for name, value in values.items()
        if isinstance(value, str)
    }


def piece(elem_id: str, html: str = "", *, script: str | None = None) -> gr.HTML:
    """Returns a piece of the page; with a script it also sends the page's events."""
    return gr.HTML(html, elem_id=elem_id, js_on_load=script, apply_default_css=False)


def staff_script() -> str:
    """Returns the script that turns presses and forms of a staff page into events."""
    return asset("staff.js")


#: How every event of the pages is wired: nothing covers the page while it runs.
QUIET = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "multiple"}
