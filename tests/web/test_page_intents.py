"""The pages and calls of intents: a manager adds one, trains, and it is recognised."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select
from starlette.requests import Request

from bot.accounts import StaffRole
from bot.assembly import Services
from bot.classifiers.corrections import corrected_examples
from bot.classifiers.intents import Example, IntentDraft
from bot.settings import Settings
from bot.tables import AuditRow, MessageRow
from bot.types import MessageAnalysis, Prediction
from knowledge.jobs import TRAIN_INTENTS
from knowledge.types import JobId, JobState
from tests.fakes import FakeChatModel
from tests.nlu_kit import SHIPPED, WordLearning
from tests.web.kit import bearer, build_services, is_problem, settle, staff_token
from web.app import create_app
from web.ui.intents import IntentsPage
from web.ui.labelling import LabellingPage

PATH = "/api/v1/intents"
BODY = {
    "key": "gift",
    "name_zh": "礼品包装",
    "name_en": "Gift wrapping",
    "examples_en": [f"gift wrap {word}" for word in ("it", "this", "them", "all", "one")],
}


class HeadReader:
    """An analyzer that asks the intent head in force, as it was read last."""

    def __init__(self) -> None:
        self.services: Services | None = None
        self.reload()

    def reload(self) -> None:
        folder = self.services and self.services.intents.registry.serving("intent")
        learning = WordLearning()
        shipped = learning.fit(SHIPPED, on_step=lambda share: None)
        self._head = learning.load(folder) if folder and folder.is_dir() else shipped

    def analyze(self, text: str, *, default_language: str) -> MessageAnalysis:
        label = self._head.predict([text])[0]
        return MessageAnalysis("en", Prediction(label, 0.9, ((label, 0.9), ("refund", 0.1))))

    def analyze_many(self, texts: list[str], *, default_language: str) -> list[MessageAnalysis]:
        return [self.analyze(text, default_language=default_language) for text in texts]


@pytest.fixture(scope="module")
def services(settings: Settings) -> Services:
    reader = HeadReader()
    reader.services = build_services(settings, FakeChatModel(), analyzer=reader)
    return reader.services


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(create_app(services, pages=False)) as client:
        yield client


@pytest.fixture(scope="module")
def writer(services: Services, client: TestClient) -> dict[str, str]:
    return bearer(staff_token(services, "knowledge"))


def request_of(services: Services, role: str) -> gr.Request:
    name = f"{role}-{len(services.accounts.list())}"
    password = services.accounts.add(name, StaffRole(role))
    services.accounts.change_password(name, password, f"{name}-password-1")
    headers = [(b"authorization", f"Bearer {services.accounts.token(name)}".encode())]
    scope = {"type": "http", "headers": headers, "method": "POST", "path": "/", "client": None}
    return gr.Request(request=Request(scope))


@pytest.fixture(scope="module")
def manager(services: Services) -> gr.Request:
    return request_of(services, "knowledge")


@pytest.fixture(scope="module")
def agent(services: Services) -> gr.Request:
    return request_of(services, "agent")


@pytest.fixture(autouse=True)
def _no_intents(services: Services) -> Iterator[None]:
    yield
    settle(services)
    for intent in services.intents.store.list():
        services.intents.store.delete(intent.key)
    for head in services.intents.registry.list("intent"):
        if head.serves:
            services.intents.registry.rollback("intent", by="test")
        services.intents.registry.discard("intent", head.name, by="test")
    services.heads.refresh()


@pytest.fixture
def page(client: TestClient) -> IntentsPage:
    return IntentsPage(client.app.state.context, "en")  # type: ignore[attr-defined]


@pytest.fixture
def labelling(client: TestClient) -> LabellingPage:
    return LabellingPage(client.app.state.context, "en")  # type: ignore[attr-defined]


def sent(**data: str) -> gr.EventData:
    return gr.EventData(None, data)


def form(**fields: str) -> gr.EventData:
    lines = "\n".join(BODY["examples_en"])
    known = {"form": "intent", "key": "gift", "name_en": "Gift", "examples_en": lines}
    return sent(**{**known, "enabled": "on", **fields})


def actions(services: Services) -> list[str]:
    with services.engine.connect() as connection:
        return list(connection.scalars(select(AuditRow.action).order_by(AuditRow.id)))


def test_added_intent_is_recognised_after_one_press(
    page: IntentsPage, services: Services, manager: gr.Request
) -> None:
    _, line, training, own, _, _ = page.submit(form(), manager)
    assert "k-info" in line
    assert "to be trained" in own
    assert 'data-act="intents-train"' in training
    _, _, _, _, timer = page.act(sent(act="intents-train"), manager)
    assert timer.active
    settle(services)
    training, own, known, timer = page.tick(manager)
    assert not timer.active
    assert "live" in own
    assert "in service" in known
    services.heads.refresh()
    tried, *_ = page.submit(sent(form="try", text="gift wrap it"), manager)
    assert "Gift" in tried
    assert "intents.train" in actions(services)


def test_agents_see_but_change_nothing(page: IntentsPage, agent: gr.Request) -> None:
    _, _, new, training, own, known, _ = page.open(agent)
    assert new == training == ""
    assert "data-form" not in own
    assert "delivery" in known
    for event in (sent(act="intents-train"), sent(act="head-rollback")):
        assert "k-error" in page.act(event, agent)[0]
    assert "k-error" in page.submit(form(), agent)[1]


def test_clash_is_shown_with_its_example(page: IntentsPage, manager: gr.Request) -> None:
    clashing = form(examples_en=SHIPPED[0].text)
    _, _, _, own, _, _ = page.submit(clashing, manager)
    assert "Has the same examples as" in own
    assert f"{SHIPPED[0].text} ↔ {SHIPPED[0].text}" in own
    assert "Fewer than 5 English examples" in own


def test_what_people_write_is_escaped(page: IntentsPage, manager: gr.Request) -> None:
    _, _, _, own, _, _ = page.submit(form(name_en="<b>x", examples_en="<script>"), manager)
    assert "<b>x" not in own
    assert "<script>" not in own


def test_training_is_cancelled(page: IntentsPage, services: Services, manager: gr.Request) -> None:
    page.act(sent(act="intents-train"), manager)
    job = services.jobs.newest(TRAIN_INTENTS, limit=1)[0]
    page.act(sent(act="intents-cancel", job=job.id), manager)
    assert services.jobs.get(job.id).state in (JobState.CANCELLED, JobState.SUCCEEDED)


def test_worse_head_is_forced_with_a_reason_then_rolled_back(
    page: IntentsPage, services: Services, manager: gr.Request
) -> None:
    page.submit(form(), manager)
    page.act(sent(act="intents-train"), manager)
    settle(services)
    learning = services.intents.learning
    assert isinstance(learning, WordLearning)
    learning.spoil = "refund"
    page.act(sent(act="intents-train"), manager)
    settle(services)
    learning.spoil = None
    *_, known, _ = page.open(manager)
    assert "Fell:" in known
    worse = services.intents.registry.list("intent")[0].name
    assert "k-error" in page.act(sent(act="head-promote", head=worse), manager)[0]
    forced = sent(form="force", head=worse, reason="needed for the sale")
    assert "In service now" in page.submit(forced, manager)[1]
    assert services.intents.registry.serving_name("intent") == worse
    assert "In service again" in page.act(sent(act="head-rollback"), manager)[0]
    assert services.intents.registry.serving_name("intent") != worse
    page.act(sent(act="head-discard", head=worse), manager)
    assert {"nlu.promote", "nlu.rollback", "nlu.discard"} <= set(actions(services))


def test_intents_over_http(client: TestClient, services: Services, writer: dict[str, str]) -> None:
    made = client.post(PATH, json=BODY, headers=writer)
    assert made.status_code == 201, made.text
    assert made.json()["warnings"] == ["few_zh"]
    assert is_problem(client.post(PATH, json=BODY, headers=writer), 422)
    change = {key: value for key, value in BODY.items() if key != "key"}
    changed = client.put(f"{PATH}/gift", json=change | {"enabled": False}, headers=writer)
    assert changed.json()["enabled"] is False
    listed = client.get(PATH, headers=writer).json()
    assert listed["items"][0]["key"] == "gift"
    assert {"delivery", "oos"} <= {one["key"] for one in listed["items"] if one["is_default"]}
    assert client.delete(f"{PATH}/gift", headers=writer).status_code == 204
    assert is_problem(client.put(f"{PATH}/gift", json=change, headers=writer), 404)
    agent = bearer(staff_token(services, "agent"))
    assert client.get(PATH, headers=agent).status_code == 200
    assert is_problem(client.post(PATH, json=BODY, headers=agent), 403)
    assert is_problem(client.get(PATH), 401)


def test_training_and_heads_over_http(
    client: TestClient, services: Services, writer: dict[str, str]
) -> None:
    client.post(PATH, json=BODY, headers=writer)
    job = client.post(f"{PATH}/train", headers=writer)
    assert job.status_code == 202
    settle(services)
    assert services.jobs.get(JobId(job.json()["job_id"])).state is JobState.SUCCEEDED
    heads = client.get("/api/v1/nlu/heads", headers=writer).json()
    [head] = heads["items"]
    assert heads["serving"]["intent"] == head["name"]
    assert head["lineage"]["own"] == {"gift": 5}
    back = client.post("/api/v1/nlu/intent/rollback", headers=writer).json()
    assert back == {"task": "intent", "serving": None}
    assert is_problem(client.post("/api/v1/nlu/intent/rollback", headers=writer), 409)
    body = {"name": head["name"], "reason": "once more"}
    again = client.post("/api/v1/nlu/intent/promote", json=body, headers=writer)
    assert again.json()["serving"] == head["name"]
    assert is_problem(client.post("/api/v1/nlu/x/promote", json=body, headers=writer), 404)


def add_message(services: Services, message_id: str, text: str) -> None:
    found = MessageAnalysis(
        "en", Prediction("refund", 0.5, (("refund", 0.5), ("return", 0.45), ("oos", 0.05)))
    )
    conversation, _ = services.conversations.create(language="en")
    now = datetime.now(UTC)
    values = {
        "id": message_id,
        "conversation_id": conversation.id,
        "ordinal": 1,
        "role": "customer",
        "text": text,
        "status": "complete",
        "superseded": False,
        "handoff_offered": False,
        "analysis": dataclasses.asdict(found),
        "created_at": now,
        "updated_at": now,
    }
    with services.engine.begin() as connection:
        connection.execute(insert(MessageRow).values(values))


def test_message_is_labelled_with_one_press(
    labelling: LabellingPage, services: Services, agent: gr.Request
) -> None:
    add_message(services, "m1", "<i>money back for this")
    add_message(services, "m2", "a wholly other thing")
    _, _, listed = labelling.open(agent)
    assert "&lt;i&gt;money" in listed
    assert 'data-choice="return"' in listed
    line, listed = labelling.act(sent(act="label-intent", id="m1", choice="return"), agent)
    assert "Kept" in line
    assert "money" not in listed
    labelling.act(sent(act="label-right", id="m2"), agent)
    learned = [example for _, example in corrected_examples(services.engine, "intent")]
    assert learned == [
        Example("<i>money back for this", "return"),
        Example("a wholly other thing", "refund"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"act": "label-intent", "id": "none", "choice": "return"},
        {"act": "label-intent", "id": "m3", "choice": "nonsense"},
        {"act": "label-right", "id": "none"},
        {"act": "other"},
    ],
)
def test_bad_labels_are_refused(
    labelling: LabellingPage, agent: gr.Request, event: dict[str, str]
) -> None:
    assert "k-error" in labelling.act(sent(**event), agent)[0]


def test_own_intent_can_be_given(
    labelling: LabellingPage, services: Services, agent: gr.Request
) -> None:
    services.intents.store.create(
        IntentDraft("gift", name_en="Gift", examples_en=("wrap it",)), author="lin"
    )
    add_message(services, "m4", "please put paper around")
    _, _, listed = labelling.open(agent)
    assert '<option value="gift">Gift</option>' in listed
    line, _ = labelling.act(sent(form="label", id="m4", choice="gift"), agent)
    assert "Kept" in line
