"""What the dial "a wrong answer costs N handoffs" does, as rows for people."""

from collections.abc import Mapping, Sequence
from typing import Any

#: The columns; their texts in the catalogue begin with `dial_`.
COLUMNS = ("handoffs", "threshold", "refused", "wrong")


def dial_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Returns a row a position; what could not be measured is a dash, and old runs have no row."""
    judged: Sequence[Mapping[str, Any]] = report.get("relevance", {}).get("dial", ())
    return [
        (
            f"{row['handoffs']:g}",
            f"{row['threshold']:.2f}",
            _percent(row["refused"]),
            _percent(row["wrongly_answered"]),
        )
        for row in judged
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
