"""Small pieces of HTML that every page is made of; whatever comes from people is escaped here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape as _escape
from importlib.resources import files

from bot.catalogue import Catalogue, UiLanguage
from web.reasons import reason
from web.ui.language import other


def escape(value: object) -> str:
    """Returns text that is safe between tags and inside quoted attributes."""
    return _escape(str(value), quote=True)


def asset(name: str) -> str:
    """Reads a style sheet or script that ships beside this module."""
    return files("web.ui").joinpath("static", name).read_text(encoding="utf-8")


class Words:
    """The texts of one language, escaped, under the `pages.` group of the catalogue."""

    def __init__(self, catalogue: Catalogue, language: UiLanguage) -> None:
        self._catalogue = catalogue
        self.language: UiLanguage = language

    def __call__(self, name: str, /, **values: object) -> str:
        """Returns the escaped text `pages.<name>`; escaping covers the values too."""
        return escape(self.plain(name, **values))

    def plain(self, name: str, /, **values: object) -> str:
        """Returns the text as it is, for widgets that escape by themselves."""
        return self._catalogue.text(f"pages.{name}", self.language, **values)

    def reason(self, message: str) -> str:
        """Returns why a file was not taken in, escaped, in this language where it is known."""
        return escape(reason(message, self._catalogue, self.language))


def button(action: str, label: str, *, kind: str = "", **dataset: object) -> str:
    """Returns a button that the page's script turns into an event; `label` is escaped text."""
    attributes = "".join(
        f' data-{name.replace("_", "-")}="{escape(value)}"' for name, value in dataset.items()
    )
    return (
        f'<button type="button" class="k-button {kind}" data-act="{escape(action)}"{attributes}>'
        f"{label}</button>"
    )


def language_switch(words: Words) -> str:
    """Returns the visible link to the other language; following it is remembered."""
    target = other(words.language)
    return (
        f'<a class="k-switch" href="?lang={target}" hreflang="{target}" lang="{target}">'
        f"{words('switch_language')}</a>"
    )


def notice(text: str, *, kind: str = "info") -> str:
    """Returns one readable line; errors are announced at once. `text` is escaped text."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="k-notice k-{kind}" role="{role}">{text}</p>' if text else ""


def table(caption: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a table that scrolls inside its own box on a phone; all parts are HTML."""
    names = list(headings)
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{name}">{cell}</td>' for name, cell in zip(names, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="k-scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f'<caption class="k-hidden">{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def pager(total: int, words: Words, *, page: int, page_size: int, event: str = "act") -> str:
    """Returns where one is in a list, with buttons that send `page` to the page before and after.

    Args:
        total: Entries on all pages, at least 1.
        words: The page's language.
        page: The page that is shown, from 1 on.
        page_size: Entries on a page.
        event: What kind of event the buttons send.
    """
    last = -(-total // page_size)
    turns = "".join(
        button("page", words(name), page=number, event=event) if 1 <= number <= last else ""
        for name, number in (("page_previous", page - 1), ("page_next", page + 1))
    )
    place = words("page_place", page=page, last=last, total=total)
    return f'<div class="k-pager"><span role="status">{place}</span>{turns}</div>'


def moment(value: datetime) -> str:
    """Returns a time element in UTC; the page's script shows it in the reader's own zone."""
    utc = value.astimezone(UTC)
    return f'<time datetime="{utc.isoformat()}">{utc:%Y-%m-%d %H:%M} UTC</time>'
