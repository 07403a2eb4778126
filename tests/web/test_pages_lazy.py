"""Pages are built when first opened, once, and end with the server."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import chain, repeat

import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from bot.catalogue import LANGUAGES, UiLanguage
from web.ui.menu import PAGES
from web.ui.pages import PageApps


class Builder:
    """Builds empty pages and notes what was built, started and ended."""

    def __init__(self) -> None:
        self.built: list[tuple[str, UiLanguage]] = []
        self.running = 0

    def __call__(self, page: str, language: UiLanguage) -> FastAPI:
        self.built.append((page, language))

        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            self.running += 1
            yield
            self.running -= 1

        host = FastAPI(lifespan=lifespan)
        host.router.routes.append(Mount("/page", app=FastAPI()))
        return host


def test_page_is_built_once_for_many() -> None:
    builder = Builder()

    async def visit() -> None:
        apps = PageApps(builder)
        async with apps.running(warm=None):
            first, second = await asyncio.gather(apps.get("chat", "zh"), apps.get("chat", "zh"))
            assert first is second
            assert builder.running == 1

    asyncio.run(visit())
    assert builder.built == [("chat", "zh")]
    assert builder.running == 0


def test_warming_builds_every_page() -> None:
    builder = Builder()
    n_pages = len(LANGUAGES) * (1 + len(PAGES))
    may_build = chain([False], repeat(True))

    async def wait() -> None:
        loop, all_built = asyncio.get_running_loop(), asyncio.Event()

        def build(page: str, language: UiLanguage) -> FastAPI:
            host = builder(page, language)
            if len(builder.built) == n_pages:
                loop.call_soon_threadsafe(all_built.set)
            return host

        async with PageApps(build, pause_s=0.01).running(warm=lambda: next(may_build)):
            await asyncio.wait_for(all_built.wait(), 10)

    asyncio.run(wait())
    assert len(set(builder.built)) == n_pages
    assert builder.running == 0


def test_failed_build_is_tried_again() -> None:
    builder = Builder()
    failures = [RuntimeError("no memory")]

    def build(page: str, language: UiLanguage) -> FastAPI:
        if failures:
            raise failures.pop()
        return builder(page, language)

    async def visit() -> None:
        apps = PageApps(build)
        async with apps.running(warm=None):
            with pytest.raises(RuntimeError, match="no memory"):
                await apps.get("chat", "en")
            await apps.get("chat", "en")

    asyncio.run(visit())
    assert builder.built == [("chat", "en")]


def test_application_loads_no_page_library() -> None:
    program = "import sys, web.app; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
