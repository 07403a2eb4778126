"""The benchmark measures real servers, and its ratios say what they claim."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from tests.fakes import FakeChatModel
from tests.processes import free_port, wait_for_port
from tests.web.kit import RETURNS, build_services, make_settings
from web import bench
from web.app import create_app
from web.load import Timing, closed_loop, kefu_customer, open_loop, openai_customer


def count_words(text: str) -> int:
    return len(text.split())


def test_openai_customer_times_a_streamed_answer() -> None:
    question = json.dumps([{"role": "user", "content": "[1] Page\nIt is here. More."}])
    with bench._instant_model() as url:
        ask = openai_customer(url, "instant", max_tokens=9, count_tokens=count_words)
        timings = asyncio.run(closed_loop(ask, [question] * 5, 2))
    assert [timing.text for timing in timings] == ["It is here."] * 5
    assert all(0 < timing.first_token_s <= timing.answer_s < 5 for timing in timings)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Kefu on a port of its own, in a thread, that knows how gifts are wrapped."""
    port = free_port()
    services = build_services(make_settings(folder), FakeChatModel())
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.worker.run_until_idle()
    config = uvicorn.Config(create_app(services, pages=False), port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def test_kefu_customers_ask_on_time(tmp_path: Path) -> None:
    with served(tmp_path) as url:
        ask = kefu_customer(url, count_words)
        timings = asyncio.run(
            open_loop(ask, ["How are gifts wrapped?"], n_customers=3, every_s=0.3, rounds=2)
        )
    assert len(timings) == 6
    assert all(timing.message_id and timing.text for timing in timings)


def test_decode_speed_leaves_out_the_first_token() -> None:
    assert Timing(1.0, 3.0, 21, "").decode_tokens_per_s == pytest.approx(10)
    assert Timing(1.0, 1.0, 21, "").decode_tokens_per_s == 0


def test_ratios_are_ours_against_theirs() -> None:
    ours = {
        "first_token_p50_s": 1.0,
        "answer_p50_s": 2.0,
        "decode_tokens_per_s": 30.0,
        "loads": {"1": {"answers_per_minute": 10.0}, "8": {"answers_per_minute": 40.0}},
    }
    theirs = {
        "first_token_p50_s": 2.0,
        "answer_p50_s": 8.0,
        "answer_ratio": 0.4,
        "decode_tokens_per_s": 10.0,
        "loads": {"1": {"answers_per_minute": 9.0}, "8": {"answers_per_minute": 20.0}},
    }
    assert bench._ratios(ours, theirs) == {
        "ttft": 0.5,
        "answer": 0.4,
        "answer_of_any_length": 0.25,
        "decode": 3.0,
        "throughput": 2.0,
    }


def test_answers_of_like_length_are_compared() -> None:
    ours = [Timing(1.0, 2.0, 30, ""), Timing(1.0, 9.0, 90, ""), Timing(1.0, 2.0, 40, "")]
    theirs = [Timing(1.0, 8.0, 20, ""), Timing(1.0, 2.0, 25, ""), Timing(1.0, 1.0, 5, "")]
    assert bench.compare_answers(ours, theirs) == {"answer_ratio": 0.25, "n_compared": 1}


def test_no_like_answers_give_no_ratio() -> None:
    ours, theirs = [Timing(1.0, 2.0, 30, "")], [Timing(1.0, 2.0, 5, "")]
    assert bench.compare_answers(ours, theirs) == {"answer_ratio": None, "n_compared": 0}


def test_missing_peer_is_left_out_with_its_reason() -> None:
    assert bench._ratios({}, {"left_out": "not installed"}) == {"left_out": "not installed"}


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(n) for n in range(1, 21)]
    assert bench._percentile(values, 50) == 10
    assert bench._percentile(values, 95) == 19
    assert bench._percentile([7.0], 95) == 7


def test_report_reads_as_names_and_values() -> None:
    assert bench.render({"a": {"b": 1.23456}, "c": "x"}) == "a.b: 1.235\nc: x"
