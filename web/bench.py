"""`kefu bench`: what a customer waits for, and the same prompts through another server.

Runs a real server (`kefu serve`) with the demo company in `<data>/bench` and asks it over HTTP.
Peers get the same weights, dtype, threads, prompts and warm-up, one after the other on the same
machine; ratios are ours against theirs in the same run, since machines differ and are noisy.
Prompts hold enough passages for about 600 tokens. The ratio of whole answers compares only
questions that both answered in 20 to 60 tokens, as a shorter answer is no quicker one.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn

from bot.llm.weights import resolve
from bot.settings import Settings
from web.load import Ask, CountTokens, Timing, closed_loop, kefu_customer, open_loop
from web.load import openai_customer as _openai_customer

Report = dict[str, object]
PEER_START_S = 180.0
_ANSWER_TOKENS = range(20, 61)  # answers whose whole time is compared
_SETTLE_S = 15.0  # the staff's pages are built in the first seconds after a start
_PASSAGES = 5  # of the demo company's: prompts of about 600 tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    n_idle: int
    n_per_load: int
    loads: tuple[int, ...]
    overhead_rounds: int


QUICK = Plan(n_idle=80, n_per_load=8, loads=(1, 8), overhead_rounds=3)
FULL = Plan(n_idle=120, n_per_load=24, loads=(1, 4, 8), overhead_rounds=12)


def run(settings: Settings, *, quick: bool) -> Report:
    """Measures everything and returns the report; takes 20 minutes quick, 60 in full."""
    plan = QUICK if quick else FULL
    weights = resolve(settings.llm.weights, settings.data_dir)
    folder = settings.data_dir / "bench"
    environment = _environment(settings, folder, weights)
    _kefu(["demo"], environment)
    count_tokens = _token_counter(weights)
    questions = _questions()
    report: Report = {"machine": _machine(), "plan": "quick" if quick else "full"}
    with _kefu_server(environment, report) as server:
        ask = kefu_customer(server.url, count_tokens)
        asked = asyncio.run(closed_loop(ask, questions[: plan.n_idle], 1))
        written = _written(folder, questions, asked)
        questions = [question for question, _ in written]
        ours, loads = _measure(ask, questions, plan)
        report["kefu"] = _figures(ours) | {"loads": loads, "peak_memory_mib": server.peak_mib()}
    prompts = [prompt for _, prompt in written]
    report["n_asked"], report["n_written"] = len(asked), len(written)
    report["prompt_tokens_median"] = statistics.median(count_tokens(p) for p in prompts)
    report["overhead_ms"] = _overhead(environment, questions, plan, count_tokens)
    peers: dict[str, dict[str, object]] = {
        "transformers_serve": _transformers_serve(
            weights, settings, plan, _Asked(prompts, ours, count_tokens)
        ),
        "llama_cpp": {"left_out": "llama-cpp-python's server is not installed"},
    }
    report["peers"] = peers
    report["ratios"] = {name: _ratios(report["kefu"], peer) for name, peer in peers.items()}
    return report


def render(report: Report) -> str:
    """The report for people: one `name: value` a line, nested names joined by dots."""
    return "\n".join(f"{name}: {value}" for name, value in _flatten(report))


def _flatten(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, round(value, 3) if isinstance(value, float) else value


def _measure(
    ask: Ask, questions: Sequence[str], plan: Plan
) -> tuple[list[Timing], dict[str, dict[str, float]]]:
    """Warms up, then asks one by one and under each load."""
    asyncio.run(closed_loop(ask, questions[-2:], 1))
    idle = asyncio.run(closed_loop(ask, questions, 1))
    loads = {}
    for n_customers in plan.loads:
        started = time.perf_counter()
        repeated = list(itertools.islice(itertools.cycle(questions), plan.n_per_load))
        timings = asyncio.run(closed_loop(ask, repeated, n_customers))
        span = time.perf_counter() - started
        loads[str(n_customers)] = {
            "answers_per_minute": 60 * len(timings) / span,
            "answer_p50_s": _percentile([t.answer_s for t in timings], 50),
            "answer_p95_s": _percentile([t.answer_s for t in timings], 95),
        }
    return idle, loads


def _figures(timings: Sequence[Timing]) -> dict[str, object]:
    decode = [t.decode_tokens_per_s for t in timings if t.decode_tokens_per_s]
    by_model = [t.model_first_token_s for t in timings if t.model_first_token_s]
    return {
        "model_first_token_p50_s": _percentile(by_model, 50) if by_model else 0.0,
        "first_token_p50_s": _percentile([t.first_token_s for t in timings], 50),
        "first_token_p95_s": _percentile([t.first_token_s for t in timings], 95),
        "answer_p50_s": _percentile([t.answer_s for t in timings], 50),
        "answer_p95_s": _percentile([t.answer_s for t in timings], 95),
        "answer_tokens_p50": _percentile([t.n_tokens for t in timings], 50),
        "decode_tokens_per_s": statistics.median(decode) if decode else 0.0,
    }


def _ratios(ours: object, theirs: dict[str, object]) -> dict[str, object]:
    """`ttft` and `answer`: our time over theirs; the others: our speed over theirs."""
    if "left_out" in theirs:
        return theirs
    assert isinstance(ours, dict)  # noqa: S101  # built above

    def ratio(name: str) -> float:
        return float(ours[name]) / float(theirs[name])  # type: ignore[arg-type]

    busiest = max(ours["loads"], key=int)
    our_load, their_load = ours["loads"][busiest], theirs["loads"][busiest]  # type: ignore[index]
    return {
        "ttft": ratio("first_token_p50_s"),
        "answer": theirs["answer_ratio"],
        "answer_of_any_length": ratio("answer_p50_s"),
        "decode": ratio("decode_tokens_per_s"),
        "throughput": our_load["answers_per_minute"] / their_load["answers_per_minute"],
    }


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    process: subprocess.Popen[bytes]

    def peak_mib(self) -> float:
        """The highest resident memory the server has had, from the kernel where it tells."""
        status = Path(f"/proc/{self.process.pid}/status")
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return float(psutil.Process(self.process.pid).memory_info().rss) / 2**20


@contextlib.contextmanager
def _running(command: Sequence[str], environment: dict[str, str], ready: str) -> Iterator[_Server]:
    """Runs a server until its `ready` URL answers, and ends it afterwards."""
    process = subprocess.Popen(  # noqa: S603  # our own arguments
        _with(environment, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(ready, process)
        yield _Server(ready.rsplit("/", 1)[0], process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _with(environment: dict[str, str], command: Sequence[str]) -> list[str]:
    """The command with further environment variables; only `bot.settings` reads ours."""
    return ["env", *(f"{name}={value}" for name, value in environment.items()), *command]


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PEER_START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Expected a server at {url}, but it ended ({process.returncode}).")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Expected a server at {url} within {PEER_START_S:.0f} s.")


@contextlib.contextmanager
def _kefu_server(environment: dict[str, str], report: Report) -> Iterator[_Server]:
    """Runs `kefu serve`; notes the time from its start to the end of its first answer."""
    port = _free_port()
    command = [sys.executable, "-m", "web.cli", "serve", "--port", str(port)]
    started = time.perf_counter()
    with _running(command, environment, f"http://127.0.0.1:{port}/readyz") as server:
        asyncio.run(closed_loop(kefu_customer(server.url, len), _questions()[:1], 1))
        report.setdefault("start_to_first_answer_s", time.perf_counter() - started)
        yield server


def _overhead(
    environment: dict[str, str], questions: Sequence[str], plan: Plan, count_tokens: CountTokens
) -> dict[str, float]:
    """Everything but the model: 20 customers every 5 s with a model that answers at once."""
    with _instant_model() as url:
        remote = {
            "KEFU_LLM__BACKEND": "remote",
            "KEFU_LLM__REMOTE_URL": url,
            "KEFU_LLM__REMOTE_MODEL": "instant",
        }
        with _kefu_server(environment | remote, {}) as server:
            ask = kefu_customer(server.url, count_tokens)
            asyncio.run(closed_loop(ask, questions[:4], 1))
            time.sleep(_SETTLE_S)
            rounds = plan.overhead_rounds
            timings = asyncio.run(
                open_loop(ask, questions, n_customers=20, every_s=5.0, rounds=rounds)
            )
    spent = [1000 * timing.answer_s for timing in timings]
    return {"p50": _percentile(spent, 50), "p95": _percentile(spent, 95), "n": float(len(spent))}


@contextlib.contextmanager
def _instant_model() -> Iterator[str]:
    """Serves an OpenAI-compatible model in its own process that answers at once."""
    port = _free_port()
    command = [sys.executable, "-m", "web.bench", str(port)]
    with _running(command, {}, f"http://127.0.0.1:{port}/v1/models") as server:
        yield server.url


def _copied(prompt: str) -> str:
    """The first sentence of the first passage, so that its citation is found as usual."""
    from bot.text import sentence_spans

    lines = prompt.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith("[1]")), -1)
    text = next((line for line in lines[first + 1 :] if line.strip()), prompt)
    return next((text[start:end] for start, end in sentence_spans(text)), text)


def _serve_instant_model(port: int) -> None:
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/v1/models")
    def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": "instant", "object": "model"}]}

    @app.post("/v1/chat/completions")
    def chat(body: dict[str, Any]) -> StreamingResponse:
        words = _copied(body["messages"][-1]["content"]).split(" ")
        words = [*(f"{word} " for word in words[:-1]), words[-1]]
        chunks = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        return StreamingResponse(iter(lines), media_type="text/event-stream")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def compare_answers(ours: Sequence[Timing], theirs: Sequence[Timing]) -> dict[str, object]:
    """Compares whole answers to the same questions, where both are of a like length.

    Returns:
        `answer_ratio`, the median of ours over the median of theirs (None without a pair), and
        `n_compared`, the number of pairs.
    """
    pairs = [
        (mine, other)
        for mine, other in zip(ours, theirs, strict=True)
        if mine.n_tokens in _ANSWER_TOKENS and other.n_tokens in _ANSWER_TOKENS
    ]
    if not pairs:
        return {"answer_ratio": None, "n_compared": 0}
    mine_s = statistics.median(mine.answer_s for mine, _ in pairs)
    other_s = statistics.median(other.answer_s for _, other in pairs)
    return {"answer_ratio": mine_s / other_s, "n_compared": len(pairs)}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a peer is asked, and how long we took for the same."""

    prompts: Sequence[str]
    ours: Sequence[Timing]
    count_tokens: CountTokens


def _transformers_serve(
    weights: Path, settings: Settings, plan: Plan, asked: _Asked
) -> dict[str, object]:
    """Measures `transformers serve` with the same weights on the same prompts."""
    if importlib.util.find_spec("openai") is None:
        return {"left_out": "not installed; run pip install 'kefu[bench]'"}
    command = Path(sys.executable).with_name("transformers")
    port = _free_port()
    threads = str(settings.llm.threads or os.cpu_count() or 1)
    environment = {"OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    arguments = ["serve", str(weights), "--port", str(port), "--dtype", "auto"]
    with _running([str(command), *arguments], environment, f"http://127.0.0.1:{port}/health"):
        ask = _openai_customer(
            f"http://127.0.0.1:{port}/v1",
            str(weights),
            max_tokens=settings.llm.max_new_tokens,
            count_tokens=asked.count_tokens,
        )
        idle, loads = _measure(ask, asked.prompts, plan)
    return _figures(idle) | {"loads": loads} | compare_answers(asked.ours, idle)


def _environment(settings: Settings, folder: Path, weights: Path) -> dict[str, str]:
    """Settings of the benchmark's servers: a folder of their own, no limits per address."""
    return {
        "KEFU_DATA_DIR": str(folder),
        "KEFU_LLM__WEIGHTS": str(weights),
        "KEFU_LLM__THREADS": str(settings.llm.threads),
        "KEFU_LLM__PROMPT_BUDGET_TOKENS": "1200",
        "KEFU_CHAT__PASSAGES": str(_PASSAGES),
        "KEFU_KNOWLEDGE__TOP_K": str(_PASSAGES),
        "KEFU_WEB__CONVERSATIONS_PER_MINUTE": "1000000",
        "KEFU_WEB__MESSAGES_PER_MINUTE": "1000000",
        "KEFU_LOG__LEVEL": "WARNING",
    }


def _kefu(arguments: Sequence[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "web.cli", *arguments]
    subprocess.run(_with(environment, command), check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def _questions() -> list[str]:
    """Answerable questions about the demo company, Chinese and English in turn."""
    text = files("knowledge").joinpath("demo", "questions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    by_language = [
        [row["query"] for row in rows if row["document"] and row["language"] == language]
        for language in ("zh", "en")
    ]
    return [query for pair in zip(*by_language, strict=False) for query in pair]


def _written(
    folder: Path, questions: Sequence[str], timings: Sequence[Timing]
) -> list[tuple[str, str]]:
    """The questions that the model was asked to answer, each with its prompt as stored.

    Questions that the search alone refused have none, and would make us look quicker.
    """
    from bot.conversations import ConversationStore
    from bot.database import open_database
    from bot.types import MessageId

    engine = open_database(f"sqlite:///{folder.absolute() / 'kefu.db'}")
    store = ConversationStore(engine)
    prompts = [store.message(MessageId(timing.message_id)).prompt for timing in timings]
    engine.dispose()
    return [
        (question, prompt)
        for question, prompt in zip(questions, prompts, strict=False)
        if prompt is not None
    ]


def _token_counter(weights: Path) -> CountTokens:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights)
    return lambda text: len(tokenizer(text)["input_ids"])


def _machine() -> dict[str, object]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": psutil.virtual_memory().total / 2**30,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


if __name__ == "__main__":
    _serve_instant_model(int(sys.argv[1]))
