"""Builds a page as a Gradio app in one language; see `web/ui/pages.py` for when and where.

Importing this module imports Gradio, which takes seconds.
"""

from collections.abc import Callable

import gradio as gr
from fastapi import FastAPI

from bot.catalogue import UiLanguage
from web.dependencies import WebContext
from web.ui.chat import build_chat
from web.ui.company import build_company
from web.ui.conflicts import build_conflicts
from web.ui.curated import build_curated
from web.ui.evaluation import build_evaluation
from web.ui.faq import build_faq
from web.ui.intents import build_intents
from web.ui.knowledge import build_knowledge
from web.ui.labelling import build_labelling
from web.ui.menu import CHAT, base_path
from web.ui.sources import build_sources
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
    CHAT: build_chat,
    "knowledge": build_knowledge,
    "sources": build_sources,
    "faq": build_faq,
    "curated": build_curated,
    "conflicts": build_conflicts,
    "workbench": build_workbench,
    "evaluation": build_evaluation,
    "intents": build_intents,
    "labelling": build_labelling,
    "transcripts": build_transcripts,
    "company": build_company,
}


def build_page(context: WebContext, page: str, language: UiLanguage) -> FastAPI:
    """Returns an application that has nothing but the page, mounted where visitors reach it."""
    blocks = _BUILDERS[page](context, language)
    blocks.max_threads = _THREADS
    blocks.queue(default_concurrency_limit=_CONCURRENT_EVENTS, api_open=False)
    host = FastAPI(openapi_url=None)
    gr.mount_gradio_app(
        host,
        blocks,
        path=f"{base_path(page)}/{language}",
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
    return host


def _theme() -> gr.themes.Base:
    """A calm theme of system fonts; nothing of it is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_lg,
        font=_SANS,
        font_mono=_MONO,
    )
