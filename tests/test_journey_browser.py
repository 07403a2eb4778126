"""The whole product in a real browser, with the real weights and the server as a real process.

A first admin logs in and must choose a password, uploads a Chinese and an English document,
a customer asks in both languages with a follow-up, opens the cited passage, and the
conversation is found in the transcripts.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.document_files import PdfLine, make_pdf
from tests.processes import free_port

pytestmark = pytest.mark.slow

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PASSWORD = "a-password-of-my-own-7"
ANSWER_MS = 60_000
WATCH_LIVE = """() => {
  window.seen = [];
  const live = document.querySelector("#k-live");
  new MutationObserver(() => {
    const text = live.querySelector(".k-text")?.textContent;
    if (text && !window.seen.includes(text)) window.seen.push(text);
  }).observe(live, { subtree: true, childList: true, characterData: true });
}"""
ZH_QUOTE = "退款在仓库收到退货后的五个工作日内原路退回"
EN_QUOTE = "The warranty on every kettle lasts 30 months from the day of delivery"


@dataclass
class Server:
    """A server process with what it has written so far."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str] = field(default_factory=list)

    def follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def password(self) -> str:
        """The first admin's one-time password, as the operator reads it once the server is up."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            written = "".join(self.lines)
            found = re.search(r"password of admin .*: (\S+)$", written, re.MULTILINE)
            if found and self._is_open():
                return found[1]
            time.sleep(0.1)
        raise AssertionError("no one-time password was printed:\n" + "".join(self.lines[-40:]))

    def _is_open(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", trust_env=False).is_success
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, packaged_weights: Path) -> Iterator[Server]:
    port = free_port()
    folder = tmp_path_factory.mktemp("journey")
    environment = {name: value for name, value in os.environ.items() if "KEFU" not in name}
    environment |= {
        "KEFU_DATA_DIR": str(folder / "data"),
        "KEFU_LLM__WEIGHTS": str(packaged_weights),
        "LANG": "en_US.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from web.cli import main; main()", "serve", "--port", str(port)],
        env=environment,
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Server(process, f"http://127.0.0.1:{port}")
    threading.Thread(target=server.follow, daemon=True).start()
    yield server
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for path in map(shutil.which, CHROMIUM) if path), None)
    if found is None:
        pytest.fail("This test needs Chromium: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


def open_page(browser: Browser, url: str, language: str, *, width: int = 1280) -> Page:
    """A page of a new visitor that records what it asks for and what goes wrong."""
    context = browser.new_context(locale=language, viewport={"width": width, "height": 844})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.asked = []  # type: ignore[attr-defined]
    page.on("request", lambda request: page.asked.append(request.url))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.asked.append(f"error {error}"))  # type: ignore[attr-defined]
    page.goto(url)
    return page


def assert_stayed_home(page: Page, server: Server) -> None:
    """Nothing was asked of another host, and no script failed."""
    own = (server.url, "data:", "blob:")
    assert [url for url in page.asked if not url.startswith(own)] == []  # type: ignore[attr-defined]


def documents() -> dict[str, bytes]:
    """Two files as a person would have written them just now."""
    chinese = [
        "商品签收后十四天内可以申请退货，商品应保持完好。",
        f"{ZH_QUOTE}。",
        "退货的运费由我们承担。",
    ]
    english = [f"{EN_QUOTE}.", "Descale the kettle once a month with citric acid."]
    return {
        "退货说明（2026）.pdf": make_pdf([_page("退货与退款", chinese)]),
        "kettle-handbook.pdf": make_pdf(
            [_page("Kettle handbook", ["Thank you for choosing us."]), _page("Warranty", english)]
        ),
    }


def _page(heading: str, lines: Sequence[str]) -> list[PdfLine]:
    body = [(60, 730 - 30 * place, 12, line) for place, line in enumerate(lines)]
    return [(60, 780, 20, heading), *body]


def ask(page: Page, question: str) -> None:
    """Types a question, sends it with Enter and waits for the whole answer."""
    answers = page.locator("#k-log .k-bot[data-message]")
    n_before = answers.count()
    page.evaluate(WATCH_LIVE)
    page.fill("#k-text", question)
    page.press("#k-text", "Enter")
    expect(answers).to_have_count(n_before + 1, timeout=ANSWER_MS)
    expect(page.locator("#k-send")).to_be_visible(timeout=ANSWER_MS)
    # A copied sentence is guessed ahead in one step, so a short answer may be a single piece.
    assert page.evaluate("window.seen"), "nothing was shown while the answer was written"


def open_last_sources(page: Page) -> str:
    """Opens each source of the newest answer; returns the highlighted passages, one a line."""
    opened = []
    for source in page.locator("#k-log .k-bot[data-message]").last.locator("[data-act=cite]").all():
        source.click()
        mark = page.locator("#k-panel mark")
        expect(mark).to_be_visible()
        opened.append(re.sub(r"\s+", " ", mark.inner_text()))
        page.keyboard.press("Escape")
        expect(page.locator("#k-panel")).to_be_hidden()
    return "\n".join(opened)


def test_from_first_login_to_transcript(server: Server, browser: Browser, tmp_path: Path) -> None:
    password = server.password()
    staff = open_page(browser, server.url + "/staff", "en-US")
    log_in_first_time(staff, password)
    upload(staff, tmp_path)

    customer = open_page(browser, server.url + "/", "zh-CN", width=390)
    expect(customer.locator("#k-log .k-bot")).to_be_visible()
    ask(customer, "退款多久能到账？")
    assert ZH_QUOTE[:8] in open_last_sources(customer)
    ask(customer, "运费呢？")
    customer.click(".k-switch")
    expect(customer.locator("html")).to_have_attribute("lang", "en")
    expect(customer.locator("#k-log .k-bot[data-message]")).to_have_count(2)
    ask(customer, "How long is the warranty on the kettle?")
    assert "30 months" in open_last_sources(customer)
    customer.click("#k-top [data-act=person]")
    expect(customer.locator(".k-system")).to_be_visible()
    customer.reload()
    expect(customer.locator(".k-system")).to_be_visible()
    assert "30 months" in open_last_sources(customer)
    assert customer.evaluate("document.documentElement.scrollWidth") <= 390

    read_transcript(staff, server)
    assert_stayed_home(customer, server)
    assert_stayed_home(staff, server)


def log_in_first_time(page: Page, password: str) -> None:
    """The one-time password only leads to choosing another one."""
    page.fill("[name=name]", "admin")
    page.fill("[name=password]", password)
    page.click("button[type=submit]")
    expect(page).to_have_url(re.compile("/auth/password"))
    fields = page.locator("input[type=password]")
    fields.nth(0).fill(password)
    for place in range(1, fields.count()):
        fields.nth(place).fill(PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_url(re.compile("/staff/knowledge"))


def upload(page: Page, folder: Path) -> None:
    """Both files at once, with a broken one between them that stops nothing."""
    files = documents() | {"broken.pdf": b"this is no PDF"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    page.set_input_files("#k-upload input[type=file]", [folder / name for name in files])
    expect(page.locator("#k-line .k-error")).to_contain_text("broken.pdf")
    ready = page.locator("#k-documents td:nth-child(2) .k-ok")
    expect(ready).to_have_count(2, timeout=60_000)
    for name in documents():
        expect(page.locator("#k-documents")).to_contain_text(name)


def read_transcript(page: Page, server: Server) -> None:
    """The conversation is found by its text and says how each answer came about."""
    page.goto(server.url + "/staff/transcripts")
    page.fill("[name=q]", "退款多久能到账")
    page.select_option("[name=handed_off]", "1")
    page.press("[name=q]", "Enter")
    expect(page.locator("#k-list td a")).to_have_count(1)
    page.click("#k-list td a")
    why = page.locator("#k-transcript .k-why")
    expect(why).to_have_count(3)
    why.nth(2).locator("summary").click()
    for text in ("kettle-handbook.pdf", "Rewritten question", "Prompt", " ms", "Dense"):
        expect(why.nth(2)).to_contain_text(text)
