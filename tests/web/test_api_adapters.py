"""Adapters over HTTP and by command, on a real tiny model."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from typer.testing import CliRunner, Result

from bot.assembly import Services
from bot.llm.local import LocalChatModel
from bot.tables import AuditRow
from tests.fakes import FakeChatModel
from tests.tiny_model import OPTIONS, save_adapter, save_forgetful_adapter
from tests.web.kit import bearer, build_services, is_problem, make_settings, staff_token
from web.app import create_app
from web.cli import app as kefu_app


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("trained") / "returns-v1")


@pytest.fixture(scope="module")
def forgetful(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that the model refuses."""
    return save_forgetful_adapter(base, tmp_path_factory.mktemp("trained") / "forgetful")


@contextmanager
def serving(base: Path, folder: Path) -> Iterator[TestClient]:
    model = LocalChatModel(base, adapter=None, options=OPTIONS)
    settings = make_settings(folder, llm={"weights": str(base)})
    services = build_services(settings, model)  # type: ignore[arg-type]
    with TestClient(create_app(services, pages=False)) as client:
        yield client


@pytest.fixture(scope="module")
def unchanged(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server for tests that change no adapter."""
    with serving(base, tmp_path_factory.mktemp("kefu")) as client:
        yield client


@pytest.fixture
def client(base: Path, tmp_path: Path) -> Iterator[TestClient]:
    with serving(base, tmp_path) as client:
        yield client


def services_of(client: TestClient) -> Services:
    return client.app.state.context.services  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def services(client: TestClient) -> Services:
    return services_of(client)


@pytest.fixture
def admin(services: Services) -> dict[str, str]:
    return bearer(staff_token(services))


@pytest.fixture
def folder(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of commands and, where there is one, of the server."""
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KEFU_LLM__WEIGHTS", str(base))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def kefu(*arguments: str) -> Result:
    return CliRunner().invoke(kefu_app, ["finetune", *arguments])


def listed() -> dict[str, dict[str, object]]:
    return {item["id"]: item for item in json.loads(kefu("list", "--json").output)["items"]}


def add(services: Services, *folders: Path) -> None:
    """Copies adapters in, as the command does."""
    from bot.assembly import open_adapters

    for folder in folders:
        open_adapters(services.settings).add(folder)


def test_admin_promotes_and_rolls_back(
    client: TestClient, services: Services, admin: dict[str, str], lora: Path
) -> None:
    add(services, lora)
    made = client.post("/api/v1/adapters/returns-v1/promote", headers=admin).json()
    assert made["id"] == "returns-v1"
    assert made["serving"] == services.model.adapter
    shown = client.get("/api/v1/adapters", headers=admin).json()
    assert (shown["total"], shown["serving"], shown["problem"]) == (1, made["serving"], None)
    (item,) = shown["items"]
    assert (item["promoted"], item["serving"], item["adapter"]) == (True, True, made["serving"])
    back = client.post("/api/v1/adapters/rollback", headers=admin)
    assert back.json() == {"id": None, "serving": None}
    assert is_problem(client.post("/api/v1/adapters/rollback", headers=admin), 409)
    with services.engine.connect() as connection:
        rows = connection.execute(select(AuditRow.action, AuditRow.target)).all()
    assert [tuple(row) for row in rows] == [
        ("adapter.promote", "returns-v1"),
        ("adapter.rollback", ""),
    ]


def test_refused_adapter_is_a_problem_and_shown(
    client: TestClient, services: Services, admin: dict[str, str], forgetful: Path
) -> None:
    add(services, forgetful)
    answer = client.post("/api/v1/adapters/forgetful/promote", headers=admin)
    assert is_problem(answer, 422)
    assert "leave out its own tensor" in answer.json()["detail"]
    (item,) = client.get("/api/v1/adapters", headers=admin).json()["items"]
    assert "leave out" in item["refused"]
    assert (item["promoted"], item["serving"]) == (False, False)


@pytest.mark.parametrize("name", ["nothing", "%2e%2e", "..%2f..%2fetc", "current.json", "%00"])
def test_unknown_name_is_not_found(unchanged: TestClient, name: str) -> None:
    admin = bearer(staff_token(services_of(unchanged)))
    assert is_problem(unchanged.post(f"/api/v1/adapters/{name}/promote", headers=admin), 404)


@pytest.mark.parametrize("role", ["agent", "knowledge", None])
def test_only_admins_reach_adapters(unchanged: TestClient, role: str | None) -> None:
    headers = bearer(staff_token(services_of(unchanged), role)) if role else {}
    calls = (("GET", ""), ("POST", "/x/promote"), ("POST", "/rollback"))
    for method, path in calls:
        answer = unchanged.request(method, f"/api/v1/adapters{path}", headers=headers)
        assert is_problem(answer, 403 if role else 401)


def test_remote_model_refuses_changes(tmp_path: Path, lora: Path) -> None:
    llm = {"backend": "remote", "remote_url": "http://127.0.0.1:9/v1"}
    services = build_services(make_settings(tmp_path, llm=llm), FakeChatModel())
    with TestClient(create_app(services, pages=False)) as client:
        add(services, lora)
        headers = bearer(staff_token(services))
        answer = client.post("/api/v1/adapters/returns-v1/promote", headers=headers)
        assert is_problem(answer, 409)
        assert "KEFU_LLM__REMOTE_MODEL" in answer.json()["detail"]
        assert client.get("/api/v1/adapters", headers=headers).json()["total"] == 1


def test_commands_promote_list_and_roll_back(folder: Path, lora: Path) -> None:
    done = kefu("promote", str(lora), "--name", "returns-v2")
    assert done.exit_code == 0, done.output
    assert (folder / "adapters" / "returns-v2" / "adapter_model.safetensors").is_file()
    assert listed()["returns-v2"]["promoted"] is True
    assert "promoted" in kefu("list").output
    assert kefu("promote", str(folder / "adapters" / "returns-v2")).exit_code == 0
    assert kefu("rollback").exit_code == 0
    assert listed()["returns-v2"]["promoted"] is False
    assert kefu("promote", "returns-v2").exit_code == 0


def test_commands_refuse_in_one_line(
    folder: Path, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["promote", "nothing"], ["promote", str(folder)], ["rollback"]):
        done = kefu(*arguments)
        assert done.exit_code == 1
        assert done.exception
        assert "\n" not in str(done.exception)
    assert listed() == {}
    monkeypatch.setenv("KEFU_LLM__BACKEND", "remote")
    monkeypatch.setenv("KEFU_LLM__REMOTE_URL", "http://127.0.0.1:9/v1")
    assert "KEFU_LLM__REMOTE_MODEL" in str(kefu("promote", str(lora)).exception)
    assert "KEFU_LLM__REMOTE_MODEL" in str(kefu("rollback").exception)
