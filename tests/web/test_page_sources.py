"""The page of web sources, over the real services and a real site."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from starlette.requests import Request
from typer.testing import CliRunner

from bot.accounts import StaffRole
from bot.assembly import Services
from bot.settings import Settings
from tests.fakes import FakeChatModel
from tests.site_kit import Site, html, running_site
from tests.web.kit import build_services, make_settings, settle
from web.app import create_app
from web.cli import app
from web.dependencies import WebContext
from web.security import COOKIE
from web.ui.sources import SourcesPage
from web.ui.splitting import Picked


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site() as site:
        site.pages["/<b>"] = html("Odd.")
        site.pages["/help"] = html("Gift wrapping costs 3.20 euros.")
        yield site


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    knowledge = {"allow_private_urls": True, "fetch_delay_s": 0.0}
    return make_settings(tmp_path_factory.mktemp("kefu"), knowledge=knowledge)


@pytest.fixture(scope="module")
def context(settings: Settings) -> WebContext:
    services = build_services(settings, FakeChatModel())
    services.indexes.start()
    context: WebContext = create_app(services, pages=False).state.context
    return context


@pytest.fixture(scope="module")
def services(context: WebContext) -> Services:
    return context.services


@pytest.fixture
def page(context: WebContext) -> SourcesPage:
    return SourcesPage(context, "en")


def staff(context: WebContext, role: str) -> gr.Request:
    accounts = context.services.accounts
    name = f"{role}{len(accounts.list())}"
    password = accounts.add(name, StaffRole(role))
    accounts.change_password(name, password, f"{name}-password-1")
    cookie = context.gate.sign(accounts.login(name, f"{name}-password-1", address="127.0.0.1"))
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
    scope = {"type": "http", "headers": headers, "client": ("127.0.0.1", 1), "path": "/"}
    return gr.Request(request=Request(scope))


def event(**sent: object) -> gr.EventData:
    return gr.EventData(None, sent)


def test_an_address_is_added_and_shown(page: SourcesPage, context: WebContext, site: Site) -> None:
    who = staff(context, "knowledge")
    form = {"form": "add", "url": f"{site.url}/help", "kind": "page", "schedule": "daily"}
    line, listed, timer = page.send(event(**form), who)
    assert "was added" in line
    assert "waiting" in listed
    assert timer.active
    settle(context.services)
    listed, timer = page.tick(who)
    assert "up to date" in listed
    assert not timer.active
    source = context.services.sources.list()[0]
    *_, panel = page.act(event(act="pages", id=source.id), who)
    assert f"{site.url}/help" in panel
    page.send(event(form="schedule", id=source.id, schedule="weekly"), who)
    assert context.services.sources.get(source.id).schedule == "weekly"
    page.act(event(act="sync", id=source.id), who)
    job_id = context.services.sources.get(source.id).job_id
    page.act(event(act="cancel", job=job_id), who)
    line, *_ = page.act(event(act="remove", id=source.id), who)
    assert "was removed" in line
    assert context.services.sources.list() == []


def test_addresses_and_reasons_are_escaped(
    page: SourcesPage, context: WebContext, site: Site
) -> None:
    who = staff(context, "admin")
    url = f"{site.url}/?<script>alert(1)</script>"
    page.send(event(form="add", url=url, kind="page", schedule="off"), who)
    settle(context.services)
    _, _, form, listed, *_ = page.open(who)
    assert "data-form" in form
    assert "<script>" not in listed
    assert "404 Not Found" in listed


@pytest.mark.parametrize(
    "form", [{"url": "file:///etc/passwd", "kind": "page", "schedule": "off"}, {"url": "x"}]
)
def test_wrong_addresses_are_told(
    page: SourcesPage, context: WebContext, form: dict[str, str]
) -> None:
    line, *_ = page.send(event(form="add", **form), staff(context, "admin"))
    assert 'role="alert"' in line


def test_agents_look_but_change_nothing(page: SourcesPage, context: WebContext) -> None:
    who = staff(context, "agent")
    _, _, form, listed, *_ = page.open(who)
    assert form == ""
    assert 'data-act="remove"' not in listed
    for act in ("sync", "remove", "cancel"):
        line, *_ = page.act(event(act=act, id="x"), who)
        assert 'role="alert"' in line


def test_strangers_see_nothing(page: SourcesPage) -> None:
    scope = {"type": "http", "headers": [], "client": ("127.0.0.1", 1), "path": "/"}
    stranger = gr.Request(request=Request(scope))
    assert page.open(stranger)[3] == ""
    assert 'role="alert"' in page.tick(stranger)[0]


def test_an_archive_is_restored_in_the_page(
    page: SourcesPage, context: WebContext, tmp_path: Path
) -> None:
    path = tmp_path / "base.zip"
    context.services.archive.export(path)
    sent = [Picked(path, "base.zip")]
    line, *_ = page.restore(sent, True, staff(context, "agent"))
    assert 'role="alert"' in line
    context.services.archive.export(path)
    line, *_ = page.restore(sent, True, staff(context, "knowledge"))
    assert "Restored" in line
    assert not path.exists()
    line, *_ = page.restore(None, False, staff(context, "knowledge"))
    assert 'role="alert"' in line


def test_commands_export_and_import(
    context: WebContext, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_DATA_DIR", str(settings.data_dir))
    path = str(tmp_path / "base.zip")
    assert CliRunner().invoke(app, ["kb", "export", path]).exit_code == 0
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path / "other"))
    done = CliRunner().invoke(app, ["kb", "import", path])
    assert done.exit_code == 0, done.output


def test_command_lists_and_removes_sources(
    context: WebContext, settings: Settings, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_DATA_DIR", str(settings.data_dir))
    source = context.services.sources.add(f"{site.url}/%3Cb%3E", author="tests")
    shown = CliRunner().invoke(app, ["kb", "sources"])
    assert source.id in shown.output
    done = CliRunner().invoke(app, ["kb", "sources", "--remove", source.id, "--json"])
    assert source.id not in done.output
    assert done.exit_code == 0
