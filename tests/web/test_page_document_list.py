"""Filter, order and pages of the knowledge page's list, over real services."""

import re
from collections.abc import Iterator

import gradio as gr
import pytest

from knowledge.document_edits import DocumentChange
from tests.fakes import FakeChatModel
from tests.web.kit import build_services, make_settings
from tests.web.test_pages_handlers import event, request, staff
from web.app import create_app
from web.dependencies import WebContext
from web.ui.document_list import PAGE_SIZE
from web.ui.knowledge import KnowledgePage

N = PAGE_SIZE + 3


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebContext]:
    services = build_services(make_settings(tmp_path_factory.mktemp("kefu")), FakeChatModel())
    for i in range(N):
        name = f"doc{i:02}.md" if i else "价格.txt"
        services.ingestor.submit(name, f"# 标题{i}\n\n内容。".encode(), author="test")
    archived = services.documents.find_by_name("doc05.md")
    assert archived is not None
    services.document_editor.change(archived.id, DocumentChange(archived=True))
    yield create_app(services, pages=False).state.context
    services.close()


@pytest.fixture(scope="module")
def page(context: WebContext) -> KnowledgePage:
    return KnowledgePage(context, "en")


@pytest.fixture(scope="module")
def agent(context: WebContext) -> gr.Request:
    return staff(context, "agent")


def names(listed: str) -> list[str]:
    return re.findall(r"<tr><td[^>]*><strong>([^<]*)", listed)


@pytest.mark.parametrize(
    ("form", "n"),
    [
        ({"q": "doc1"}, 10),
        ({"format": "txt"}, 1),
        ({"archived": "true"}, 1),
        ({"health": "archived"}, 1),
        ({"date_to": "2020-01-01"}, 0),
        ({"date_from": "2020-01-01", "format": "md", "archived": "true"}, 1),
    ],
)
def test_a_form_narrows_the_list(
    page: KnowledgePage, agent: gr.Request, form: dict[str, str], n: int
) -> None:
    line, listed, _, now = page.find(event(form="documents", **form), agent)
    assert (line, len(names(listed)), now) == ("", n, form)
    assert ("No document fits" in listed) == (n == 0)


def test_pages_turn_and_refreshes_keep_them(page: KnowledgePage, agent: gr.Request) -> None:
    _, first, _, form = page.find(event(form="documents", sort="name"), agent)
    assert names(first) == [f"doc{i:02}.md" for i in range(1, PAGE_SIZE + 1)]
    _, second, _, form = page.find(event(act="page", page="2"), agent, form)
    assert names(second) == ["doc21.md", "doc22.md", "价格.txt"]
    assert f"{N} in all" in second
    assert page.tick(agent, form)[0] == second
    assert names(page.find(event(form="documents", q="doc0"), agent, form)[1])[0].startswith("doc0")


def test_a_page_past_the_last_shows_the_last(page: KnowledgePage, agent: gr.Request) -> None:
    _, listed, *_ = page.find(event(act="page", page="9"), agent, {"sort": "name"})
    assert names(listed)[-1] == "价格.txt"


@pytest.mark.parametrize(
    "sent",
    [
        {"form": "documents", "sort": "size"},
        {"form": "documents", "health": "<b>"},
        {"form": "documents", "date_from": "soon"},
        {"form": "other"},
        {"act": "page", "page": "0"},
        {"act": "page", "page": "²"},
    ],
)
def test_wrong_filters_are_refused(
    page: KnowledgePage, agent: gr.Request, sent: dict[str, str]
) -> None:
    assert 'role="alert"' in page.find(event(**sent), agent)[0]


def test_a_change_keeps_the_filter(page: KnowledgePage, context: WebContext) -> None:
    document = context.services.documents.find_by_name("价格.txt")
    assert document is not None
    press = event(act="make_staff", id=document.id)
    assert names(page.act(press, staff(context, "knowledge"), {"format": "txt"})[1]) == ["价格.txt"]


def test_strangers_see_no_list(page: KnowledgePage) -> None:
    assert 'role="alert"' in page.find(event(form="documents"), request())[0]
