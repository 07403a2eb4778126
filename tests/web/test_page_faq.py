"""The page of the FAQ import: template, check, import, and who may do what."""

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from bot.assembly import Services
from tests.fakes import FakeChatModel
from tests.web.kit import bearer, build_services, is_problem, make_settings, settle, staff_token
from tests.web.test_pages_handlers import event, picked, request, staff
from web.app import create_app
from web.dependencies import WebContext
from web.ui.faq import FaqPage

FILLED = (
    "问题,其他问法,答案,标签,语言,可见范围\n"
    "怎么退货？,如何退|<b>退款</b>,三十天内可以退。,退货,中文,仅员工\n"
    "<i>坏</i>,,,,,\n"
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    services = build_services(make_settings(tmp_path_factory.mktemp("kefu")), FakeChatModel())
    with TestClient(create_app(services, pages=False)) as client:
        yield client


@pytest.fixture(scope="module")
def context(client: TestClient) -> WebContext:
    return client.app.state.context  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def services(context: WebContext) -> Services:
    return context.services


@pytest.fixture(scope="module")
def page(context: WebContext) -> FaqPage:
    return FaqPage(context, "zh")


@pytest.fixture(scope="module")
def manager(context: WebContext) -> gr.Request:
    return staff(context, "knowledge")


def test_a_template_is_checked_then_imported(
    page: FaqPage, services: Services, manager: gr.Request, tmp_path: Path
) -> None:
    files = [picked(tmp_path, "常见.csv", FILLED.encode("gbk"))]
    line, shown, _ = page.check(files, manager)
    assert line == ""
    assert "1 行可以导入，1 行有问题" in shown
    assert "缺少答案" in shown
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert services.documents.list() == []
    line, shown, picker = page.act(files, event(act="faq-import"), manager)
    assert ("1 个文档" in line, shown, picker["value"]) == (True, "", None)
    assert list(tmp_path.iterdir()) == []
    settle(services)
    document = services.documents.list()[0]
    assert (document.name, document.visibility) == ("常见 · zh · staff · 退货.faq.jsonl", "staff")
    again = page.check([picked(tmp_path, "其他.csv", FILLED.encode())], manager)[1]
    assert "“常见 · zh · staff · 退货.faq.jsonl”中已有这个问题" in again


def test_discarded_files_are_gone(page: FaqPage, manager: gr.Request, tmp_path: Path) -> None:
    files = [picked(tmp_path, "faq.csv", FILLED.encode())]
    assert page.act(files, event(act="faq-discard"), manager)[:2] == ("", "")
    assert "alert" in page.act(files, event(act="faq-import"), manager)[0]


def test_a_table_without_answers_is_explained(
    page: FaqPage, manager: gr.Request, tmp_path: Path
) -> None:
    line, shown, _ = page.check([picked(tmp_path, "a.csv", b"a,b\n1,2\n")], manager)
    assert ("请保留模板的第一行" in line, shown) == (True, "")
    assert list(tmp_path.iterdir()) == []


def test_only_writers_import(page: FaqPage, context: WebContext, tmp_path: Path) -> None:
    agent = staff(context, "agent")
    opened = page.open(agent)
    assert ("template.csv" in opened[2], opened[3]["visible"]) == (True, False)
    for who in (agent, request()):
        files = [picked(tmp_path, "faq.csv", FILLED.encode())]
        assert "alert" in page.act(files, event(act="faq-import"), who)[0]
        assert "alert" in page.check(files, who)[0]
    assert "alert" in page.open(request())[1]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_templates_are_downloaded(client: TestClient, services: Services, kind: str) -> None:
    path = f"/api/v1/faq/template.{kind}?lang=zh"
    answer = client.get(path, headers=bearer(staff_token(services)))
    assert answer.headers["content-disposition"].endswith(f'kefu-faq-zh.{kind}"')
    assert len(answer.content) > 50
    assert is_problem(client.get(path), 401)
