"""Whether the process lives and whether it can do its work."""

import logging

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from bot.database import is_current
from web.dependencies import ContextDep, WebContext

router = APIRouter(tags=["health"])
_log = logging.getLogger(__name__)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Says that the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(context: ContextDep) -> JSONResponse:
    """Says whether the database, the model and the index are ready; 503 with what is not."""
    checks = {
        "database": _is_database_ready(context),
        "model": bool(context.services.model.name),
        "index": _is_index_open(context),
        "intake": not context.lifecycle.is_stopping,
    }
    is_ready = all(checks.values())
    body = {"status": "ready" if is_ready else "not ready", "checks": checks}
    return JSONResponse(body, 200 if is_ready else 503)


def _is_database_ready(context: WebContext) -> bool:
    try:
        return is_current(context.services.engine)
    except SQLAlchemyError as error:
        _log.warning("the database does not answer: %s", type(error).__name__)
        return False


def _is_index_open(context: WebContext) -> bool:
    try:
        return len(context.services.indexes) >= 0
    except RuntimeError:
        return False
