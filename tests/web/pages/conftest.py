"""One application a test file, with a knowledge manager at its pages."""

from collections.abc import Iterator

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.fakes import FakeChatModel
from tests.web.kit import build_services, make_settings
from tests.web.test_pages_handlers import staff
from web.app import create_app
from web.dependencies import WebContext
from web.ui.knowledge import KnowledgePage


@pytest.fixture(scope="module")
def model() -> FakeChatModel:
    return FakeChatModel()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, model: FakeChatModel) -> Iterator[WebContext]:
    """The application with its worker running."""
    services = build_services(make_settings(tmp_path_factory.mktemp("kefu")), model)
    app = create_app(services, pages=False)
    with TestClient(app):
        yield app.state.context


@pytest.fixture(scope="module")
def services(context: WebContext) -> Services:
    return context.services


@pytest.fixture(scope="module")
def page(context: WebContext) -> KnowledgePage:
    return KnowledgePage(context, "en")


@pytest.fixture(scope="module")
def manager(context: WebContext) -> gr.Request:
    return staff(context, "knowledge")
