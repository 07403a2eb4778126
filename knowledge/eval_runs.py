"""Evaluations of retrieval, kept so that two can be compared and a regression shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, insert, select

from knowledge.bootstrap import interval
from knowledge.tables import EvalRunRow


@dataclass(frozen=True, slots=True)
class EvalRun:
    """One evaluation: of what, with which settings, with what result."""

    id: int
    at: datetime
    source: str  # the file's name, or what else the questions came from
    sha256: str  # of the questions
    settings: Mapping[str, Any]
    report: Mapping[str, Any]


class EvalRunStore:
    """Adds and reads evaluations; they are never changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, source: str, sha256: str, *, settings: Mapping[str, Any], report: Mapping[str, Any]
    ) -> int:
        """Keeps a run and returns its number."""
        row = {
            "at": datetime.now(UTC),
            "source": source[:255],
            "sha256": sha256,
            "settings": dict(settings),
            "report": dict(report),
        }
        with self._engine.begin() as connection:
            result = connection.execute(insert(EvalRunRow).values(row))
        key = result.inserted_primary_key
        return int(key[0]) if key else 0

    def list(self, *, limit: int = 50) -> list[EvalRun]:
        """Returns the newest runs, newest first."""
        query = select(EvalRunRow.__table__).order_by(EvalRunRow.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [EvalRun(**row._mapping) for row in connection.execute(query)]

    def get(self, number: int) -> EvalRun | None:
        """Returns one run, None when there is none of that number."""
        query = select(EvalRunRow.__table__).where(EvalRunRow.id == number)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else EvalRun(**row._mapping)


@dataclass(frozen=True, slots=True)
class Change:
    """How one stage's hits changed in one language; the interval is None for other questions."""

    stage: str
    language: str
    before: float
    after: float
    interval: tuple[float, float] | None

    @property
    def is_regression(self) -> bool:
        """True when the loss is more than chance explains."""
        return self.interval is not None and self.interval[1] < 0


def compare(before: EvalRun, after: EvalRun) -> list[Change]:
    """Returns the change of hit@k for every stage and language that both runs have.

    Only runs of the same questions are compared question by question.
    """
    is_paired = before.sha256 == after.sha256
    changes = []
    for stage, languages in after.report["stages"].items():
        for language, now in languages.items():
            then = before.report["stages"].get(stage, {}).get(language)
            if then is None:
                continue
            spread = None
            if is_paired:
                old = before.report["hits"][stage][language]
                new = after.report["hits"][stage][language]
                spread = _paired(old, new)
            changes.append(Change(stage, language, then["hit_at_k"], now["hit_at_k"], spread))
    return changes


def _paired(old: Sequence[float], new: Sequence[float]) -> tuple[float, float] | None:
    if len(old) != len(new):
        return None
    return interval([b - a for a, b in zip(old, new, strict=True)])
