"""The pages as they are served: language, roles, closed doors, nothing from another host."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bot.accounts import StaffRole
from bot.assembly import Services
from bot.settings import Settings
from bot.transcripts import ConversationFilter
from tests.fakes import FakeChatModel
from tests.web.kit import build_services, make_settings
from web.app import create_app

ORIGIN = {"Origin": "http://testserver"}
FOREIGN = re.compile(r"(?:src|href|content)=\"(?:https?:)?//(?!testserver)[^\"]*")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(tmp_path_factory.mktemp("kefu"), web={"root_path": "/kefu"})


@pytest.fixture(scope="module")
def services(settings: Settings) -> Services:
    return build_services(settings, FakeChatModel())


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services), root_path="/kefu") as client:
        yield client


@pytest.fixture(autouse=True)
def _fresh(client: TestClient) -> None:
    client.cookies.clear()


def log_in(client: TestClient, services: Services, role: str) -> None:
    """Logs a new account of that role in, with its own password."""
    name = f"{role}-{len(services.accounts.list())}"
    password = services.accounts.add(name, StaffRole(role))
    services.accounts.change_password(name, password, f"{name}-password-1")
    form = {"name": name, "password": f"{name}-password-1"}
    answer = client.post("/kefu/auth/login", data=form, headers=ORIGIN, follow_redirects=False)
    assert answer.status_code == 303


def config_of(html: str) -> dict[str, Any]:
    found = re.search(r"window\.gradio_config = (\{.*?\});</script>", html, re.DOTALL)
    assert found is not None
    config: dict[str, Any] = json.loads(found[1])
    return config


@pytest.mark.parametrize(
    ("accepts", "language", "title"),
    [("zh-CN,zh;q=0.9", "zh-CN", "在线客服"), ("en-GB", "en", "Customer service")],
)
def test_the_chat_speaks_the_browsers_language(
    client: TestClient, accepts: str, language: str, title: str
) -> None:
    page = client.get("/kefu/", headers={"Accept-Language": accepts})
    assert page.status_code == 200
    assert f'lang="{language}"' in page.text
    assert f"<title>{title}</title>" in page.text
    assert f"language: '{language}'" in page.text.split('<script type="module"')[0]


def test_the_document_names_no_other_host(client: TestClient) -> None:
    page = client.get("/kefu/").text
    assert FOREIGN.findall(page) == []
    head = page.split("window.gradio_config")[0]
    assert "http" not in head.replace("http://www.w3.org/2000/svg", "")
    assert config_of(page)["analytics_enabled"] is False


def test_addresses_follow_the_sub_path(client: TestClient) -> None:
    page = client.get("/kefu/").text
    assert config_of(page)["root"].endswith("/kefu/ui/en")
    scripts = re.findall(r"src=\"([^\"]*assets/[^\"]*)", page)
    assert scripts
    assert all(client.get(address).status_code == 200 for address in scripts)


def test_a_style_sheet_asked_for_beside_the_page_is_found(client: TestClient) -> None:
    name = re.findall(r"/assets/([^\"]*\.css)", client.get("/kefu/").text)[0]
    assert client.get(f"/kefu/assets/{name}").status_code == 200


def test_the_language_switch_is_remembered(client: TestClient) -> None:
    english = {"Accept-Language": "en"}
    answer = client.get("/kefu/?lang=zh&x=1", headers=english, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/kefu/?x=1"
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    assert 'lang="zh-CN"' in client.get("/kefu/", headers=english).text


@pytest.mark.parametrize(
    "path",
    [
        "/ui/en/gradio_api/upload",
        "/ui/en/gradio_api/file=/etc/hostname",
        "/ui/en/gradio_api/proxy=http://127.0.0.1/",
        "/ui/en/gradio_api/run/predict",
        "/ui/en/gradio_api/openapi.json",
        "/ui/en/monitoring",
        "/ui/en/login",
        "/ui/en/assets/%2e%2e/monitoring",
        "/ui/en/",
    ],
)
def test_what_pages_do_not_need_of_gradio_is_closed(client: TestClient, path: str) -> None:
    assert client.get(f"/kefu{path}").status_code == 404
    assert client.post(f"/kefu{path}", headers=ORIGIN).status_code in (403, 404)


def test_the_customers_page_takes_no_files(client: TestClient) -> None:
    files = {"files": ("a.txt", b"text")}
    answer = client.post("/kefu/ui/en/gradio_api/upload", files=files, headers=ORIGIN)
    assert answer.status_code in (403, 404)


@pytest.mark.parametrize("page", ["knowledge", "transcripts", "company"])
def test_staff_pages_ask_for_a_login(client: TestClient, page: str) -> None:
    answer = client.get(f"/kefu/staff/{page}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/kefu/login")


@pytest.mark.parametrize("page", ["knowledge", "transcripts", "company"])
def test_staff_events_ask_for_a_login(client: TestClient, page: str) -> None:
    path = f"/kefu/staff/ui/{page}/en/gradio_api/queue/join"
    assert client.post(path, json={}, headers=ORIGIN).status_code == 401


@pytest.mark.parametrize(("role", "first"), [("agent", "knowledge"), ("admin", "knowledge")])
def test_staff_start_at_their_first_page(
    client: TestClient, services: Services, role: str, first: str
) -> None:
    log_in(client, services, role)
    page = client.get("/kefu/staff", headers={"Accept-Language": "en"})
    assert page.url.path == f"/kefu/staff/{first}"
    assert "<title>Knowledge</title>" in page.text
    assert FOREIGN.findall(page.text) == []


def call(client: TestClient, base: str, event: str, data: dict[str, str]) -> list[Any]:
    """Sends an event to a page as the browser does and returns what it is told to show."""
    page = "/kefu/" if base == "/kefu/ui/en" else base.replace("/ui/", "/").removesuffix("/en")
    config = config_of(client.get(page, headers={"Accept-Language": "en"}).text)
    wanted = next(d for d in config["dependencies"] if [*d["targets"][0]][1] == event)
    inputs = [None for _ in wanted["inputs"]]
    body = {"fn_index": wanted["id"], "session_hash": "s1", "data": inputs, "event_data": data,
            "trigger_id": wanted["targets"][0][0]}  # fmt: skip
    joined = client.post(f"{base}/gradio_api/queue/join", json=body, headers=ORIGIN)
    assert joined.status_code == 200, joined.text
    stream = client.get(f"{base}/gradio_api/queue/data?session_hash=s1")
    messages = [json.loads(line[6:]) for line in stream.text.splitlines() if line[:6] == "data: "]
    last = next(m for m in messages if m["msg"] == "process_completed")
    assert last["success"], last
    shown: list[Any] = last["output"]["data"]
    return shown


def test_a_question_goes_through_gradios_queue(client: TestClient, services: Services) -> None:
    shown = call(client, "/kefu/ui/en", "chat_open", {})
    assert 'class="k-log"' in shown[1]
    call(client, "/kefu/ui/en", "chat_send", {"text": "How are you doing with returns?"})
    (found,) = [c for c in _all(services) if c.title.startswith("How are you doing")]
    assert [m.role.value for m in services.conversations.messages(found.id)] == ["customer", "bot"]


def test_the_role_is_checked_in_the_event_too(client: TestClient, services: Services) -> None:
    log_in(client, services, "knowledge")
    before = services.company.get("en")
    line = call(client, "/kefu/staff/ui/company/en", "staff_form", {"name.en": "Mallory"})[0]
    assert "Not allowed" in line
    assert services.company.get("en") == before
    listed = call(client, "/kefu/staff/ui/transcripts/en", "staff_open", {})
    assert "Not allowed" in listed[1]
    assert listed[2] == ""


@pytest.mark.parametrize(("role", "status"), [("agent", 403), ("knowledge", 200)])
def test_files_are_taken_from_those_who_may_write(
    client: TestClient, services: Services, role: str, status: int
) -> None:
    log_in(client, services, role)
    files = {"files": ("a.txt", b"text of " + role.encode())}
    path = "/kefu/staff/ui/knowledge/en/gradio_api/upload"
    answer = client.post(path, files=files, headers=ORIGIN)
    assert answer.status_code == status
    for kept in answer.json() if status == 200 else ():
        Path(kept).unlink()


def _all(services: Services) -> list[Any]:
    return services.conversations.find(ConversationFilter(page_size=200))[0]
