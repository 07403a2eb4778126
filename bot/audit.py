"""Records what members of staff and commands changed; never message text."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Engine, insert

from bot.tables import AuditRow


def record(
    engine: Engine,
    actor: str,
    *,
    action: str,
    target: str = "",
    detail: Mapping[str, object] | None = None,
) -> None:
    """Adds one row, such as `lin` · `document.remove` · the document's id."""
    row = {
        "at": datetime.now(UTC),
        "actor": actor[:64],
        "action": action[:64],
        "target": target[:255],
        "detail": dict(detail or {}),
    }
    with engine.begin() as connection:
        connection.execute(insert(AuditRow).values(row))
