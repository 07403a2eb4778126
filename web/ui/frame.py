"""The frame around Gradio: which of its paths are open, and the HTML document it is served in.

Each page exists once a language, as a Gradio app under `/ui/<language>` (customers) or
`/staff/ui/<page>/<language>` (staff). A visitor only ever sees `/` and `/staff/<page>`: `PageRoute`
picks the language, asks that Gradio app for its document and cleans it, so that the address
stays short and the document names no other host. `OpenPaths` stands before each Gradio app and
lets through only what its pages need.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.catalogue import LANGUAGES, UiLanguage
from web.ui.language import COOKIE, HTML_LANGUAGE, choose_language

#: What every page needs of Gradio: its script and style files, and the event queue.
PAGE_PATHS = (
    "/assets/",
    "/static/js/",
    "/theme.css",
    "/config",
    "/gradio_api/info",
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/heartbeat/",
    "/gradio_api/startup-events",
    "/gradio_api/cancel",
    "/gradio_api/reset",
)
#: What the page with the file picker needs besides.
UPLOAD_PATHS = ("/gradio_api/upload", "/gradio_api/upload_progress")

_YEAR_S = 365 * 24 * 3600
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect "
    "width='32' height='32' rx='8' fill='%230f6b62'/%3E%3Cpath d='M8 9h16v11H15l-5 4v-4H8z' "
    "fill='white'/%3E%3C/svg%3E"
)
#: Gradio's own words, as on a file picker, follow the browser's language; ours is the page's.
_SPEAK = (
    "<script>for (const [name, value] of Object.entries({ language: '%(code)s', "
    "languages: ['%(code)s'] })) Object.defineProperty(navigator, name, { value });</script>"
)
#: Tags of Gradio's document that name other hosts or a file at the host's root.
_FOREIGN_TAGS = re.compile(
    r"<meta\s+(?:property=\"og:|name=\"twitter:)[^>]*>|<link rel=\"manifest\"[^>]*>"
    r"|<base [^>]*>|<title>.*?</title>",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a page's document is dressed in: its title and no-script line a language, its style."""

    titles: Mapping[UiLanguage, str]
    noscript: Mapping[UiLanguage, str]
    css: str


class OpenPaths:
    """Lets a mounted Gradio app be asked for the given paths only; the rest is not found."""

    def __init__(self, app: ASGIApp, *, paths: Iterable[str]) -> None:
        self.app = app
        self._paths = tuple(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, without the header that would let it choose Gradio's address."""
        if scope["type"] == "http":
            if not self._is_open(scope):
                await Response(status_code=404)(scope, receive, send)
                return
            scope = {**scope, "headers": _without(scope["headers"], b"x-gradio-server")}
        await self.app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        if ".." in path:
            return False
        return any(path.startswith(p) if p.endswith("/") else path == p for p in self._paths)


class PageRoute:
    """Serves one page's document in the visitor's language.

    Args:
        apps: the Gradio app of each language.
        base: the path under which they are mounted, without the language.
        look: what the document is dressed in.
    """

    def __init__(
        self,
        apps: Mapping[UiLanguage, ASGIApp],
        *,
        base: str,
        look: "Look",
    ) -> None:
        self._apps = apps
        self._base = base
        self._look = look

    async def respond(self, request: Request) -> Response:
        """Answers with the page, or remembers the language asked for by `?lang=` first."""
        wanted = request.query_params.get("lang")
        for language in LANGUAGES:
            if wanted == language:
                return _remember(request, language)
        language = _language(request)
        prefix = self._prefix(request, language)
        status, body = await _fetch(self._apps[language], request, prefix)
        return HTMLResponse(
            clean_document(body, self._look, language=language, prefix=prefix),
            status_code=status,
            headers={"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"},
        )

    async def stray_asset(self, request: Request) -> Response:
        """Leads to Gradio's file where its script looks for one beside the page."""
        prefix = self._prefix(request, _language(request))
        return RedirectResponse(f"{prefix}/assets/{request.path_params['file']}")

    def _prefix(self, request: Request, language: UiLanguage) -> str:
        return f"{request.scope.get('root_path', '')}{self._base}/{language}"


def clean_document(html: str, look: Look, *, language: UiLanguage, prefix: str) -> str:
    """Makes Gradio's document ours: language, title, icon, style, own addresses, no other host."""
    html = _FOREIGN_TAGS.sub("", html)
    html = html.replace('lang="en"', f'lang="{HTML_LANGUAGE[language]}"', 1)
    html = html.replace('"./assets/', f'"{escape(prefix)}/assets/')
    head = f'<title>{escape(look.titles[language])}</title><link rel="icon" href="{_ICON}">'
    head += _SPEAK % {"code": HTML_LANGUAGE[language]}
    html = html.replace('<meta charset="utf-8" />', f'<meta charset="utf-8" />{head}', 1)
    html = html.replace("</head>", f"<style>{look.css}</style></head>", 1)
    wait = f"<noscript><p>{escape(look.noscript[language])}</p></noscript>"
    return html.replace("<gradio-app", f"{wait}<gradio-app", 1)


def _language(request: Request) -> UiLanguage:
    return choose_language(request.cookies.get(COOKIE), request.headers.get("accept-language"))


def _remember(request: Request, language: UiLanguage) -> Response:
    kept = [(k, v) for k, v in parse_qsl(request.url.query) if k != "lang"]
    query = f"?{urlencode(kept)}" if kept else ""
    root = str(request.scope.get("root_path", ""))
    response = RedirectResponse(f"{request.url.path}{query}", status_code=303)
    response.set_cookie(
        COOKIE,
        language,
        max_age=_YEAR_S,
        path=f"{root}/",
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


async def _fetch(app: ASGIApp, request: Request, prefix: str) -> tuple[int, str]:
    """Asks a Gradio app for a document as if it had been requested under `prefix`."""
    path = f"{prefix}/"
    scope = {
        **request.scope,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": prefix,
        "query_string": b"",
        "headers": _without(request.scope["headers"], b"accept-encoding", b"x-gradio-server"),
    }
    for key in ("endpoint", "route", "path_params", "router", "app"):
        scope.pop(key, None)
    status = 500
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))

    await app(scope, request.receive, keep)
    return status, b"".join(parts).decode("utf-8")


def _without(headers: list[tuple[bytes, bytes]], *names: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in names]
