"""How a document is, in one word, for the person who looks after it."""

from datetime import datetime, timedelta
from enum import StrEnum

from knowledge.types import Document, DocumentStatus

_FEW_WORDS = 5


class Health(StrEnum):
    """The most urgent thing to know; FAILED and SKIPPED come with the document's error."""

    OK = "ok"
    PENDING = "pending"
    FAILED = "failed"
    SKIPPED = "skipped"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    EMPTY = "empty"
    STALE = "stale"


def health_of(document: Document, *, now: datetime, stale_after_days: int) -> Health:
    """Returns the first that applies, from what stops answers to what merely ages.

    Args:
        document: The document.
        now: The present moment.
        stale_after_days: A document not replaced for longer is stale.
    """
    stale_since = now - timedelta(days=stale_after_days)
    checks = (
        (document.archived_at is not None, Health.ARCHIVED),
        (document.status is DocumentStatus.FAILED, Health.FAILED),
        (document.status is DocumentStatus.SKIPPED, Health.SKIPPED),
        (document.expires_at is not None and document.expires_at <= now, Health.EXPIRED),
        (document.effective_from is not None and document.effective_from > now, Health.NOT_YET),
        (document.status is not DocumentStatus.READY, Health.PENDING),
        (document.n_words is not None and document.n_words <= _FEW_WORDS, Health.EMPTY),
        (document.updated_at < stale_since, Health.STALE),
    )
    return next((health for applies, health in checks if applies), Health.OK)
