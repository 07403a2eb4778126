"""The web application: the HTTP API, the login and, mounted in it, the pages.

One process. Everything blocking runs in threads; answers in threads of their own.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from bot.assembly import Services
from web.dependencies import WebContext
from web.errors import install_error_responses
from web.lifecycle import Lifecycle
from web.limits import RateLimiter
from web.logs import RequestLog
from web.middleware import BodyLimit, BodyLimits, RootPath, SecurityHeaders, StaffGate
from web.routes import (
    adapters,
    analysis,
    archive,
    auth,
    chunks,
    conflicts,
    conversations,
    curated,
    documents,
    duplicates,
    faq,
    health,
    intents,
    jobs,
    messages,
    search,
    sources,
    workbench,
)
from web.security import Gate, load_secret
from web.streaming import AnswerThreads
from web.ui.pages import mount_pages

_log = logging.getLogger(__name__)
_MIB = 1024 * 1024
_FILES_AT_ONCE = 20  # that a page may send in one request
_SPARE_ANSWERS = 32  # that search or end while the model's queue is full


def create_app(services: Services, *, pages: bool = True, warm_pages: bool = False) -> FastAPI:
    """Builds the application around assembled services.

    Args:
        services: What routes and pages call.
        pages: False leaves the pages out, for tests that need only the API.
        warm_pages: Build the pages after the start instead of when they are first opened.
    """
    app = FastAPI(
        title="Kefu",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # the usual pages load scripts from another host
        redoc_url=None,
        lifespan=_lifespan,
    )
    context = _context(services)
    app.state.context = context
    app.state.catalogue = services.catalogue
    _add_middleware(app, context)
    install_error_responses(app)
    for router in (health.router, auth.router):
        app.include_router(router)
    for part in (
        conversations,
        messages,
        documents,
        duplicates,
        faq,
        chunks,
        conflicts,
        curated,
        intents,
        jobs,
        search,
        workbench,
        analysis,
        sources,
        archive,
        adapters,
    ):
        app.include_router(part.router, prefix="/api/v1")
    if not pages:
        return app
    return mount_pages(app, warm=warm_pages)


def _context(services: Services) -> WebContext:
    settings = services.settings
    key = load_secret(settings.data_dir / "secret.key")
    llm = settings.llm
    n_active = llm.remote_active if llm.backend == "remote" else llm.max_active
    n_answers = n_active + llm.max_waiting + _SPARE_ANSWERS
    return WebContext(
        services=services,
        gate=Gate(services.accounts, key, settings.web),
        answers=AnswerThreads(services.chat, limit=n_answers),
        lifecycle=Lifecycle(services),
        new_conversations=RateLimiter(settings.web.conversations_per_minute),
        new_messages=RateLimiter(settings.web.messages_per_minute),
    )


def _add_middleware(app: FastAPI, context: WebContext) -> None:
    """The last one added is the first that a request meets."""
    upload = context.services.settings.knowledge.max_upload_mb * _MIB + 64 * 1024
    limits = BodyLimits(upload=upload, pages=upload * _FILES_AT_ONCE)
    app.add_middleware(StaffGate, gate=context.gate)
    app.add_middleware(BodyLimit, limits=limits)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RootPath, root_path=context.services.settings.web.root_path)
    app.add_middleware(RequestLog)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: WebContext = app.state.context
    await anyio.to_thread.run_sync(context.services.start)
    _log.info("started")
    try:
        yield
    finally:
        drained = context.lifecycle.begin_stop()
        await anyio.to_thread.run_sync(drained.join)
        context.answers.close()
        await anyio.to_thread.run_sync(context.services.close)
        _log.info("stopped")
