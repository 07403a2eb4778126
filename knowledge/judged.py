"""How well relevance judged the questions of an evaluation, and what the dial does on them."""

from dataclasses import asdict, dataclass, field
from typing import Any

from knowledge.cost import auc, brier, calibration_error, dial_table


@dataclass(slots=True)
class Judged:
    """The relevance of every question of an evaluation, gathered one by one."""

    answerable: list[float] = field(default_factory=list)
    unanswerable: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)  # of the answerable ones: their passage was
    refused: list[bool] = field(default_factory=list)  # of the unanswerable ones

    def report(self) -> dict[str, Any]:
        """Returns `{auc, ece, brier, dial: [{handoffs, threshold, refused, wrongly_answered}]}`."""
        values = [*self.answerable, *self.unanswerable]
        outcomes = [*self.found, *([False] * len(self.unanswerable))]
        return {
            "auc": auc(self.answerable, self.unanswerable),
            "ece": calibration_error(values, outcomes),
            "brier": brier(values, outcomes),
            "dial": [asdict(row) for row in dial_table(self.answerable, self.unanswerable)],
        }
