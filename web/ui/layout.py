"""Mounts the pages: the customer chat at `/`, the staff pages under `/staff`.

Every page exists once a language, so that labels, titles and `lang` are right from the first
byte. See `web/ui/frame.py` for how a visitor reaches them.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.types import ASGIApp

from bot.catalogue import LANGUAGES, Catalogue, UiLanguage
from web.ui.chat import build_chat
from web.ui.frame import PAGE_PATHS, Look, OpenPaths, PageRoute
from web.ui.markup import asset

if TYPE_CHECKING:
    from bot.assembly import Services

    from web.dependencies import WebContext

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


def mount_pages(app: FastAPI, services: "Services") -> FastAPI:
    """Adds all pages to `app`, whose state holds the `WebContext`; call it last."""
    context: WebContext = app.state.context
    chats = _mount(app, context, build_chat, base="/ui", paths=PAGE_PATHS)
    look = _look(services.catalogue, "chat_title", "chat.css")
    chat = PageRoute(chats, base="/ui", page="", look=look)
    app.add_route("/", chat.respond, methods=["GET"], include_in_schema=False)
    app.add_route("/assets/{file}", chat.stray_asset, methods=["GET"], include_in_schema=False)
    return app


def _mount(
    app: FastAPI,
    context: "WebContext",
    build: Callable[["WebContext", UiLanguage], gr.Blocks],
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
