from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from bot.settings import Settings
from tests.fakes import FakeChatModel
from tests.web.kit import build_services, make_settings
from web.app import create_app


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(tmp_path_factory.mktemp("kefu"))


@pytest.fixture(scope="module")
def model() -> FakeChatModel:
    return FakeChatModel()


@pytest.fixture(scope="module")
def services(settings: Settings, model: FakeChatModel) -> Services:
    return build_services(settings, model)


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services, pages=False)) as client:
        yield client
