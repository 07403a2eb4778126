"""A small OpenAI-compatible server for tests, run as a process of its own on a loopback port.

The model's name chooses its behavior: `echo` answers at once, `slow` writes a word every 20 ms,
`silent` never answers, `broken-off` closes the connection in the middle, `error` answers 500,
`error-midway` streams an error object, `garbage` streams no JSON, `odd` streams JSON of a wrong
shape. Every exchange is appended to the file named on the command line.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

KEY = "right-key"


def make_app(journal: Path) -> FastAPI:
    app = FastAPI()

    def note(**entry: object) -> None:
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        note(body=body)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"message": "bad key"}}, 401)
        if body["model"] == "error":
            return JSONResponse({"error": {"message": "out of memory"}}, 500)
        if body["model"] == "silent":
            await asyncio.sleep(60)
        return StreamingResponse(_events(body, request, note), media_type="text/event-stream")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "echo", "object": "model"}]}

    return app


async def _events(body: dict[str, Any], request: Request, note: Any) -> AsyncIterator[str]:
    words = body["messages"][-1]["content"].split(" ")[: body["max_tokens"]]
    n_all = len(body["messages"][-1]["content"].split(" "))
    if body["model"] == "garbage":
        yield "data: <html>\n\n"
    if body["model"] == "odd":
        yield 'data: {"choices": [17]}\n\n'
    yield ": a comment\n\n"
    try:
        for i, word in enumerate(words):
            if body["model"] == "slow":
                await asyncio.sleep(0.02)
            if body["model"] == "broken-off" and i == 2:
                raise ConnectionError("cut")
            if body["model"] == "error-midway" and i == 2:
                yield 'data: {"error": {"message": "out of memory"}}\n\n'
            yield _chunk(delta={"content": word if i == 0 else " " + word})
    except asyncio.CancelledError:
        note(cancelled=True)
        raise
    yield _chunk(delta={}, finish_reason="stop" if len(words) == n_all else "length")
    usage = {"prompt_tokens": 11, "completion_tokens": len(words)}
    yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _chunk(*, delta: dict[str, str], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


if __name__ == "__main__":
    uvicorn.run(make_app(Path(sys.argv[2])), port=int(sys.argv[1]), log_level="warning")
