"""Mounts the pages: the customer chat at `/`, the staff pages under `/staff`.

Every page exists once a language, so that labels, titles and `lang` are right from the first
byte. See `web/ui/frame.py` for how a visitor reaches them.
"""

from collections.abc import Callable, Iterable
from typing import cast

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from bot.assembly import Services
from bot.catalogue import LANGUAGES, Catalogue, UiLanguage
from web.dependencies import WebContext
from web.security import current_user, may
from web.ui.chat import build_chat
from web.ui.company import build_company
from web.ui.frame import PAGE_PATHS, UPLOAD_PATHS, Look, OpenPaths, PageRoute
from web.ui.knowledge import build_knowledge
from web.ui.markup import asset
from web.ui.staff import PAGES
from web.ui.transcripts import build_transcripts
from web.ui.workbench import build_workbench

Build = Callable[[WebContext, UiLanguage], gr.Blocks]

#: Handlers run in threads and an answer holds one while it waits for its next word.
_CONCURRENT_EVENTS = 64
_THREADS = 128

_SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "sans-serif",
)
_MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "Noto Sans Mono CJK SC", "monospace")


_BUILDERS: dict[str, Build] = {
    "knowledge": build_knowledge,
    "workbench": build_workbench,
    "transcripts": build_transcripts,
    "company": build_company,
}


def mount_pages(app: FastAPI, services: Services) -> FastAPI:
    """Adds all pages to `app`, whose state holds the `WebContext`; call it last."""
    context: WebContext = app.state.context
    chats = _mount(app, context, build_chat, base="/ui", paths=PAGE_PATHS)
    for name, _ in PAGES:
        base = f"/staff/ui/{name}"
        paths = PAGE_PATHS + (UPLOAD_PATHS if name == "knowledge" else ())
        apps = _mount(app, context, _BUILDERS[name], base=base, paths=paths)
        look = _look(services.catalogue, f"nav_{name}", "staff.css")
        page = PageRoute(apps, base=base, look=look)
        app.add_route(f"/staff/{name}", page.respond, methods=["GET"], include_in_schema=False)
    app.add_route("/staff/assets/{file}", page.stray_asset, include_in_schema=False)
    for path in ("/staff", "/staff/"):
        app.add_route(path, to_first_page, methods=["GET"], include_in_schema=False)
    look = _look(services.catalogue, "chat_title", "chat.css")
    chat = PageRoute(chats, base="/ui", look=look)
    app.add_route("/", chat.respond, methods=["GET"], include_in_schema=False)
    app.add_route("/assets/{file}", chat.stray_asset, methods=["GET"], include_in_schema=False)
    return app


def to_first_page(request: Request) -> Response:
    """Leads from `/staff` to the first page that the person may open."""
    user = current_user(request)
    name = next((page for page, access in PAGES if user and may(user, access)), PAGES[0][0])
    return RedirectResponse(f"{request.scope.get('root_path', '')}/staff/{name}", status_code=303)


def _mount(
    app: FastAPI,
    context: WebContext,
    build: Build,
    *,
    base: str,
    paths: Iterable[str],
) -> dict[UiLanguage, ASGIApp]:
    """Mounts a set of pages once a language and returns the Gradio apps."""
    apps: dict[UiLanguage, ASGIApp] = {}
    for language in LANGUAGES:
        blocks = build(context, language)
        blocks.max_threads = _THREADS
        blocks.queue(default_concurrency_limit=_CONCURRENT_EVENTS, api_open=False)
        gr.mount_gradio_app(
            app,
            blocks,
            path=f"{base}/{language}",
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            max_file_size=context.services.settings.knowledge.max_upload_mb * 1024 * 1024,
            theme=_theme(),
        )
        mount = cast(Mount, app.router.routes[-1])
        apps[language] = mount.app
        mount.app = OpenPaths(mount.app, paths=paths)
    return apps


def _look(catalogue: Catalogue, title: str, css: str) -> Look:
    return Look(
        titles={one: catalogue.text(f"pages.{title}", one) for one in LANGUAGES},
        noscript={one: catalogue.text("pages.needs_script", one) for one in LANGUAGES},
        css=asset("base.css") + asset(css),
    )


def _theme() -> gr.themes.Base:
    """A calm theme of system fonts; nothing of it is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        font=_SANS,
        font_mono=_MONO,
    )
