"""Load generation for the benchmark: customers that ask over HTTP and time what they see."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Timing:
    """One answer as its customer saw it; times in seconds since the question was sent."""

    first_token_s: float
    answer_s: float
    n_tokens: int
    text: str
    message_id: str = ""
    model_first_token_s: float = 0.0  # as the server measured it; 0 where no model wrote

    @property
    def decode_tokens_per_s(self) -> float:
        """Speed after the first token; 0 for answers that came in one piece."""
        span = self.answer_s - self.first_token_s
        return (self.n_tokens - 1) / span if span > 0.01 and self.n_tokens > 1 else 0.0


CountTokens = Callable[[str], int]
Ask = Callable[[httpx.AsyncClient, str], Awaitable[Timing]]


def kefu_customer(base_url: str, count_tokens: CountTokens) -> Ask:
    """Returns a customer of Kefu who opens a new conversation for each question."""

    async def ask(client: httpx.AsyncClient, question: str) -> Timing:
        opened = await client.post(f"{base_url}/api/v1/conversations", json={})
        opened.raise_for_status()
        conversation = opened.json()
        url = f"{base_url}/api/v1/conversations/{conversation['id']}/messages"
        headers = {
            "Authorization": f"Bearer {conversation['token']}",
            "Accept": "text/event-stream",
        }
        return await _ask_kefu(client, url, headers, question, count_tokens)

    return ask


async def _ask_kefu(
    client: httpx.AsyncClient,
    url: str,
    headers: dict[str, str],
    question: str,
    count_tokens: CountTokens,
) -> Timing:
    started, first, shown = time.perf_counter(), None, ""
    body = {"text": question}
    async with client.stream("POST", url, json=body, headers=headers) as response:
        response.raise_for_status()
        async for event, data in _events(response):
            if event == "token":
                first = first or time.perf_counter()
                shown += data["text"]
            elif event == "final":
                ended = time.perf_counter()
                first_s = (first or ended) - started
                n_tokens = count_tokens(shown) if shown else 0
                model_ms = data["timings_ms"].get("model_first_token", 0.0)
                return Timing(
                    first_s, ended - started, n_tokens, data["text"], data["message_id"],
                    model_ms / 1000,
                )  # fmt: skip
            elif event == "failure":
                raise RuntimeError(f"Expected an answer, got the failure {data!r}.")
    raise RuntimeError("Expected a final event, but the stream ended without one.")


def openai_customer(
    base_url: str, model: str, *, max_tokens: int, count_tokens: CountTokens
) -> Ask:
    """Returns a customer of an OpenAI-compatible server; a question is a JSON message list."""

    async def ask(client: httpx.AsyncClient, question: str) -> Timing:
        body = {
            "model": model,
            "messages": json.loads(question),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stream": True,
        }
        started, first, text = time.perf_counter(), None, ""
        async with client.stream("POST", f"{base_url}/chat/completions", json=body) as response:
            response.raise_for_status()
            async for _, data in _events(response):
                piece = (data.get("choices") or [{}])[0].get("delta", {}).get("content")
                if piece:
                    first = first or time.perf_counter()
                    text += piece
        ended = time.perf_counter()
        return Timing((first or ended) - started, ended - started, count_tokens(text), text)

    return ask


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yields server-sent events whose data is JSON."""
    event = "message"
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:") and line[5:].strip() != "[DONE]":
            yield event, json.loads(line[5:])


async def closed_loop(ask: Ask, questions: Sequence[str], n_customers: int) -> list[Timing]:
    """Lets `n_customers` ask all `questions` between them, each waiting for its answer."""
    waiting = list(reversed(questions))
    timings: list[Timing] = []

    async def customer(client: httpx.AsyncClient) -> None:
        while waiting:
            timings.append(await ask(client, waiting.pop()))

    limits = httpx.Limits(max_connections=n_customers)
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, limits=limits) as client:
        await asyncio.gather(*(customer(client) for _ in range(n_customers)))
    return timings


async def open_loop(
    ask: Ask, questions: Sequence[str], *, n_customers: int, every_s: float, rounds: int
) -> list[Timing]:
    """Lets each customer send every `every_s` seconds, starting evenly spread."""
    timings: list[Timing] = []

    async def customer(client: httpx.AsyncClient, number: int) -> None:
        start = time.perf_counter() + number * every_s / n_customers
        for turn in range(rounds):
            await asyncio.sleep(max(0.0, start + turn * every_s - time.perf_counter()))
            question = questions[(number + turn * n_customers) % len(questions)]
            timings.append(await ask(client, question))

    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
        await asyncio.gather(*(customer(client, n) for n in range(n_customers)))
    return timings
