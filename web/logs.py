"""Structured logs: one JSON object a line, one line a request.

Never in a log line: message text, query strings, tokens, cookies. A request is known by its
`reference`, which its error response carries too.
"""

import json
import logging
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.settings import LogSettings
from web.errors import problem_response

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_QUIET = (
    "uvicorn.access",
    "httpx",
    "httpx2",
    "httpcore",
    "alembic",
    "faiss",
    "sentence_transformers",
    "gradio",
)
_log = logging.getLogger("web.request")


class JsonFormatter(logging.Formatter):
    """Writes a record and its extra fields as one JSON object, times in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line; line breaks inside values are escaped by JSON."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logs(settings: LogSettings) -> None:
    """Sends all logs to standard error in the chosen format and level."""
    output = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        output.setFormatter(JsonFormatter())
    else:
        output.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(settings.level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class RequestLog:
    """Outermost middleware: gives each request a reference, logs it, answers unexpected errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on; an exception becomes a 500 that names the log line."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reference = uuid.uuid4().hex[:12]
        scope.setdefault("state", {})["reference"] = reference
        started = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            _log.exception("request failed", extra={"reference": reference})
            if status:  # too late for another answer: the server cuts the connection
                raise
            await problem_response(scope, kind="internal")(scope, receive, watch)
        finally:
            _log.info(
                "request",
                extra={
                    "reference": reference,
                    "method": scope["method"],
                    "route": _template(scope),
                    "status": status,
                    "ms": round((time.perf_counter() - started) * 1000, 1),
                },
            )


def _template(scope: Scope) -> str:
    """The route's pattern, so that no id or text from a path reaches the log."""
    return str(getattr(scope.get("route"), "path", "(other)"))
