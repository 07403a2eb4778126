"""Puts together what understands messages and what keeps people's labels; part of the assembly."""

from sqlalchemy import Engine

from bot.classifiers.labels import LABELS, Task
from bot.label_store import LabelStore
from bot.settings import Settings
from bot.understanding import Analyzer, RuleAnalyzer


def open_analyzer(settings: Settings) -> Analyzer:
    """Opens what understands messages."""
    return RuleAnalyzer()


def open_labels(settings: Settings, engine: Engine) -> LabelStore:
    """Opens the labels that people overwrite."""
    return LabelStore(
        engine,
        intents=lambda: LABELS[Task.INTENT],
        sla_minutes=settings.chat.sla_by_severity,
    )
