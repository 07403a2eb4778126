"""How soon a person should look at a conversation: pure, from what its messages complain of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Minutes until a person should have answered, for severity 1 to 4.
SlaMinutes = Sequence[int]

#: Severity from which the bot offers a person beside its answer.
SERIOUS = 3
#: What a wish for a person without a complaint counts as.
ORDINARY = 1


@dataclass(frozen=True, slots=True)
class Priority:
    """The worst severity so far, and when a person should have answered; None: no hurry."""

    level: int | None = None
    due_at: datetime | None = None


def raised(current: Priority, severity: int, at: datetime, minutes: SlaMinutes) -> Priority:
    """Returns the priority once something of this severity came in; it never becomes less.

    Args:
        current: Before that.
        severity: 1 to 4.
        at: When it came in: the clock starts here, and an earlier due time stays.
        minutes: Time to answer by severity.
    """
    due = at + timedelta(minutes=minutes[severity - 1])
    return Priority(max(severity, current.level or 0), min(due, current.due_at or due))
