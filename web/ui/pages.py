"""Mounts the pages: the customer chat at `/`, the staff pages under `/staff`.

Every page exists once a language, so that labels, titles and `lang` are right from the first
byte. See `web/ui/frame.py` for how a visitor reaches them. Gradio takes seconds to import and
each of its apps a good part of one to build, so the API answers first: a page is built when
somebody opens it, or in the background after the start.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.catalogue import LANGUAGES, Catalogue, UiLanguage
from web.dependencies import WebContext
from web.security import current_user, may
from web.ui.frame import PAGE_PATHS, UPLOAD_PATHS, Look, OpenPaths, PageRoute
from web.ui.markup import asset
from web.ui.menu import CHAT, PAGES, WITH_UPLOADS, base_path

_log = logging.getLogger(__name__)

#: Builds a page in a language; gives an app that has the page as its last route.
Build = Callable[[str, UiLanguage], FastAPI]


class PageApps:
    """The Gradio apps of all pages, each built once, one at a time.

    Args:
        build: Called in a thread; may take seconds.
        pause_s: Before each page that is built ahead, to let requests in between.
    """

    def __init__(self, build: Build, *, pause_s: float = 0.3) -> None:
        self._build = build
        self._pause_s = pause_s
        self._built: dict[tuple[str, UiLanguage], ASGIApp] = {}
        self._building = asyncio.Lock()
        self._lifespans = contextlib.AsyncExitStack()

    async def get(self, page: str, language: UiLanguage) -> ASGIApp:
        """Returns a page's app, building it first where needed."""
        key = (page, language)
        if key not in self._built:
            async with self._building:
                if key not in self._built:
                    self._built[key] = await self._open(page, language)
        return self._built[key]

    @contextlib.asynccontextmanager
    async def running(self, *, warm: Callable[[], bool] | None) -> AsyncIterator[None]:
        """Ends with the server what the apps started.

        Args:
            warm: Build all pages meanwhile, each when this returns True; None builds none.
        """
        warming = asyncio.create_task(self._warm(warm)) if warm is not None else None
        try:
            async with self._lifespans:
                yield
        finally:
            if warming is not None:
                warming.cancel()
                await asyncio.gather(warming, return_exceptions=True)

    async def _open(self, page: str, language: UiLanguage) -> ASGIApp:
        # Gradio makes its locks for the loop it finds running, so the thread gets one.
        async def build() -> FastAPI:
            return self._build(page, language)

        host = await anyio.to_thread.run_sync(lambda: asyncio.run(build()))
        await self._lifespans.enter_async_context(host.router.lifespan_context(host))
        mount: ASGIApp = host.router.routes[-1].app  # type: ignore[attr-defined]  # a Mount
        return mount

    async def _warm(self, may_build: Callable[[], bool]) -> None:
        for page in (CHAT, *(name for name, _ in PAGES)):
            for language in LANGUAGES:
                await asyncio.sleep(self._pause_s)
                while not may_build():  # noqa: ASYNC110  # asks another thread's state
                    await asyncio.sleep(self._pause_s)
                await self.get(page, language)
        _log.info("all pages are built")


class PageApp:
    """One page in one language as an ASGI app that is built when it is first called."""

    def __init__(self, apps: PageApps, page: str, language: UiLanguage) -> None:
        self._apps = apps
        self._page = page
        self._language: UiLanguage = language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on to Gradio."""
        app = await self._apps.get(self._page, self._language)
        await app(scope, receive, send)


def mount_pages(app: FastAPI, *, warm: bool) -> FastAPI:
    """Adds all pages to `app`, whose state holds the `WebContext`; call it last.

    Args:
        app: The application.
        warm: Build the pages in the background once the server has started, between answers.
    """
    context: WebContext = app.state.context
    apps = PageApps(lambda page, language: _build_page(context, page, language))
    chat_service = context.services.chat
    _run_with(app, apps, warm=(lambda: not chat_service.is_busy) if warm else None)
    catalogue = context.services.catalogue
    chat = _mount(app, apps, CHAT, look=_look(catalogue, "chat_title", "chat.css"))
    for name, _ in PAGES:
        page = _mount(app, apps, name, look=_look(catalogue, f"nav_{name}", "staff.css"))
        app.add_route(f"/staff/{name}", page.respond, methods=["GET"], include_in_schema=False)
    app.add_route("/staff/assets/{file}", page.stray_asset, include_in_schema=False)
    for path in ("/staff", "/staff/"):
        app.add_route(path, to_first_page, methods=["GET"], include_in_schema=False)
    app.add_route("/", chat.respond, methods=["GET"], include_in_schema=False)
    app.add_route("/assets/{file}", chat.stray_asset, methods=["GET"], include_in_schema=False)
    return app


def to_first_page(request: Request) -> Response:
    """Leads from `/staff` to the first page that the person may open."""
    user = current_user(request)
    name = next((page for page, access in PAGES if user and may(user, access)), PAGES[0][0])
    return RedirectResponse(f"{request.scope.get('root_path', '')}/staff/{name}", status_code=303)


def _build_page(context: WebContext, page: str, language: UiLanguage) -> FastAPI:
    from web.ui.layout import build_page  # Gradio takes seconds to import

    return build_page(context, page, language)


def _mount(app: FastAPI, apps: PageApps, page: str, *, look: Look) -> PageRoute:
    """Mounts a page once a language behind the paths that it needs."""
    mounted: dict[UiLanguage, ASGIApp] = {one: PageApp(apps, page, one) for one in LANGUAGES}
    paths = PAGE_PATHS + (UPLOAD_PATHS if page in WITH_UPLOADS else ())
    for language, page_app in mounted.items():
        app.mount(f"{base_path(page)}/{language}", OpenPaths(page_app, paths=paths))
    return PageRoute(mounted, base=base_path(page), look=look)


def _run_with(app: FastAPI, apps: PageApps, *, warm: Callable[[], bool] | None) -> None:
    """Lets the pages live as long as the application."""
    outer = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(host: FastAPI) -> AsyncIterator[Any]:
        async with outer(host) as state, apps.running(warm=warm):
            yield state

    app.router.lifespan_context = lifespan


def _look(catalogue: Catalogue, title: str, css: str) -> Look:
    return Look(
        titles={one: catalogue.text(f"pages.{title}", one) for one in LANGUAGES},
        noscript={one: catalogue.text("pages.needs_script", one) for one in LANGUAGES},
        css=asset("base.css") + asset(css),
    )
