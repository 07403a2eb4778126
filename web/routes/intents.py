"""The company's own intents, their training, and the heads of every task."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from bot import audit
from bot.classifiers.clashes import Clash
from bot.classifiers.intents import (
    MAX_DESCRIPTION_CHARS,
    MAX_EXAMPLE_CHARS,
    MAX_EXAMPLES,
    MAX_NAME_CHARS,
    CompanyIntent,
    IntentDraft,
)
from bot.classifiers.registry import RegisteredHead
from bot.classifiers.renewal import CROSS_VALIDATED
from bot.classifiers.renewal_job import queue_intents
from web.dependencies import IntentReader, IntentWriter, ServicesDep

router = APIRouter(tags=["intents"])
_Name = Annotated[str, Field(max_length=4 * MAX_NAME_CHARS)]
_Description = Annotated[str, Field(max_length=4 * MAX_DESCRIPTION_CHARS)]
_Example = Annotated[str, Field(max_length=4 * MAX_EXAMPLE_CHARS)]
_Examples = Annotated[list[_Example], Field(max_length=2 * MAX_EXAMPLES)]


class IntentChange(BaseModel):
    """All of an intent but its key."""

    model_config = ConfigDict(extra="forbid")

    name_zh: _Name = ""
    name_en: _Name = ""
    description_zh: _Description = ""
    description_en: _Description = ""
    examples_zh: _Examples = []
    examples_en: _Examples = []
    enabled: bool = True

    def draft(self, key: str) -> IntentDraft:
        """Returns what the store checks and saves."""
        values = self.model_dump(exclude={"key", "examples_zh", "examples_en"})
        examples_zh, examples_en = tuple(self.examples_zh), tuple(self.examples_en)
        return IntentDraft(key=key, **values, examples_zh=examples_zh, examples_en=examples_en)


class NewIntent(IntentChange):
    """A new intent; `key` is its label in snake_case."""

    key: Annotated[str, Field(max_length=100)]


class PairOut(BaseModel):
    """Two examples that say the same."""

    model_config = ConfigDict(from_attributes=True)

    text: str
    other_text: str
    similarity: float


class ClashOut(BaseModel):
    """Two intents that say the same: `same` or `near` examples, or `overlap` on the whole."""

    model_config = ConfigDict(from_attributes=True)

    label: str
    other: str
    kind: str
    similarity: float
    n_examples: int
    pairs: list[PairOut]


class IntentOut(BaseModel):
    """An intent; of a default one only label, examples and F1 are told."""

    key: str
    is_default: bool
    n_examples: int
    f1: float | None
    name_zh: str = ""
    name_en: str = ""
    description_zh: str = ""
    description_en: str = ""
    examples_zh: list[str] = []
    examples_en: list[str] = []
    enabled: bool = True
    warnings: list[str] = []
    author: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class IntentList(BaseModel):
    """The company's own intents, then the default ones; some clashes may miss unless `compared`."""

    items: list[IntentOut]
    total: int
    clashes: list[ClashOut]
    compared: bool


class JobQueued(BaseModel):
    """The job that trains: a new one, or the one that has not ended yet."""

    job_id: str


class ComparisonOut(BaseModel):
    """F1 before and after, by label; each message was judged by a head that had not seen it."""

    model_config = ConfigDict(from_attributes=True)

    against: str | None
    n: int
    before: float
    after: float
    labels: dict[str, tuple[float | None, float]]
    fallen: list[str]
    is_better: bool


class HeadOut(BaseModel):
    """A retrained head; `doubt` says why it should not simply serve."""

    task: str
    name: str
    serves: bool
    doubt: str
    author: str | None = None
    created_at: datetime | None = None
    comparison: ComparisonOut | None = None
    lineage: dict[str, object] = {}


class HeadList(BaseModel):
    """All retrained heads; `serving` names each task's, null for the one that ships."""

    items: list[HeadOut]
    total: int
    serving: dict[str, str | None]


class Promotion(BaseModel):
    """Which head is to serve, and why where it is not better."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=100)]
    reason: Annotated[str, Field(max_length=500)] = ""


class Serving(BaseModel):
    """What serves a task now; null: the head that ships."""

    task: str
    serving: str | None


@router.get("/intents")
def list_intents(user: IntentReader, services: ServicesDep) -> IntentList:
    """Returns all intents with their last F1, and what clashes among them."""
    care = services.intents
    f1, report = care.last_f1(), care.clashes()
    items = [_own(intent, f1.get(intent.key)) for intent in care.store.list()]
    items += [
        IntentOut(key=one.label, is_default=True, n_examples=one.n_examples, f1=one.f1)
        for one in care.default_intents()
    ]
    clashes = [_clash(clash) for clash in report.clashes]
    return IntentList(items=items, total=len(items), clashes=clashes, compared=report.is_complete)


@router.post("/intents", status_code=201)
def create(body: NewIntent, user: IntentWriter, services: ServicesDep) -> IntentOut:
    """Adds an intent; it is recognised from the next training on."""
    made = services.intents.store.create(body.draft(body.key), author=user.name)
    audit.record(services.engine, user.name, action="intent.create", target=made.key)
    return _own(made, None)


@router.post("/intents/train", status_code=202)
def train(user: IntentWriter, services: ServicesDep) -> JobQueued:
    """Retrains the intent head in the background; `GET /jobs/{id}` tells how far it is."""
    job_id = queue_intents(services.jobs, by=user.name, train=True)
    audit.record(services.engine, user.name, action="intents.train", target=job_id)
    return JobQueued(job_id=job_id)


@router.put("/intents/{key}")
def update(key: str, body: IntentChange, user: IntentWriter, services: ServicesDep) -> IntentOut:
    """Replaces all of an intent but its key."""
    changed = services.intents.store.update(key, body.draft(key), author=user.name)
    audit.record(services.engine, user.name, action="intent.update", target=key)
    return _own(changed, services.intents.last_f1().get(key))


@router.delete("/intents/{key}", status_code=204)
def delete(key: str, user: IntentWriter, services: ServicesDep) -> Response:
    """Takes an intent away with its examples."""
    services.intents.store.delete(key)
    audit.record(services.engine, user.name, action="intent.delete", target=key)
    return Response(status_code=204)


@router.get("/nlu/heads")
def list_heads(user: IntentReader, services: ServicesDep) -> HeadList:
    """Returns the retrained heads of all tasks with where they come from and how they compare."""
    registry = services.intents.registry
    found = [head for task in registry.tasks for head in registry.list(task)]
    items = [_head(head, registry.doubt(head)) for head in found]
    serving = {task: registry.serving_name(task) for task in registry.tasks}
    return HeadList(items=items, total=len(items), serving=serving)


@router.post("/nlu/{task}/promote")
def promote(task: str, body: Promotion, user: IntentWriter, services: ServicesDep) -> Serving:
    """Puts a head in force; the next message is read by it."""
    services.intents.registry.promote(task, body.name, by=user.name, reason=body.reason)
    services.heads.refresh()
    return Serving(task=task, serving=body.name)


@router.post("/nlu/{task}/rollback")
def rollback(task: str, user: IntentWriter, services: ServicesDep) -> Serving:
    """Puts in force what served before."""
    name = services.intents.registry.rollback(task, by=user.name)
    services.heads.refresh()
    return Serving(task=task, serving=name)


def _own(intent: CompanyIntent, f1: float | None) -> IntentOut:
    draft = intent.draft
    return IntentOut(
        key=intent.key,
        is_default=False,
        n_examples=len(draft.examples),
        f1=f1,
        name_zh=draft.name_zh,
        name_en=draft.name_en,
        description_zh=draft.description_zh,
        description_en=draft.description_en,
        examples_zh=list(draft.examples_zh),
        examples_en=list(draft.examples_en),
        enabled=draft.enabled,
        warnings=list(intent.warnings()),
        author=intent.author,
        created_at=intent.created_at,
        updated_at=intent.updated_at,
    )


def _clash(clash: Clash) -> ClashOut:
    return ClashOut.model_validate(clash)


def _head(head: RegisteredHead, doubt: str) -> HeadOut:
    record = head.record
    if record is None:
        return HeadOut(task=head.task, name=head.name, serves=head.serves, doubt=doubt)
    comparison = record.comparison and ComparisonOut.model_validate(record.comparison)
    return HeadOut(
        task=head.task,
        name=head.name,
        serves=head.serves,
        doubt="" if head.serves else doubt,
        author=record.author,
        created_at=record.created_at,
        comparison=comparison,
        lineage={k: v for k, v in record.lineage.items() if k != CROSS_VALIDATED},
    )
