"""A whole Kefu over a folder, real but for the weights; also a server process of its own."""

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from bot.accounts import AccountStore, StaffRole
from bot.assembly import Services, assemble
from bot.settings import Settings, load_settings
from bot.understanding import Analyzer, RuleAnalyzer
from knowledge.types import JobState
from tests.fakes import FakeChatModel, FakeEmbedder
from tests.nlu_kit import WordLearning
from tests.shared import migrated_database, word_splitter

RETURNS = "# Returns\n\nGift wrapping costs 3.20 euros per book. Returns are free for 30 days.\n"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def make_settings(folder: Path, **groups: dict[str, Any]) -> Settings:
    """Small limits for files, none for addresses; every passage counts as relevant."""
    web = {"conversations_per_minute": 1000, "messages_per_minute": 1000} | groups.pop("web", {})
    chat = {"relevance_threshold": 0.0} | groups.pop("chat", {})
    knowledge = {"max_upload_mb": 3, "max_unpacked_mb": 5} | groups.pop("knowledge", {})
    return load_settings(
        data_dir=folder / "data", web=web, chat=chat, knowledge=knowledge, **groups
    )


def build_services(
    settings: Settings, model: FakeChatModel, analyzer: Analyzer | None = None
) -> Services:
    """Assembles everything as the product does, around fake weights and quick passwords."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not (settings.data_dir / "kefu.db").exists():
        shutil.copy(migrated_database(), settings.data_dir / "kefu.db")
    services = assemble(
        settings,
        embedder=FakeEmbedder(),
        model=model,
        words=word_splitter(),
        learning=WordLearning(),
        analyzer=analyzer or RuleAnalyzer(),
    )
    hours = settings.web.login_hours
    accounts = AccountStore(services.engine, login_hours=hours, hasher=QUICK)
    return replace(services, accounts=accounts)


def serve(folder: Path, port: int, token_delay_s: float) -> None:
    """Runs a server process over a seeded folder whose model writes a long answer slowly."""
    from web.app import create_app
    from web.console import sole_server
    from web.lifecycle import make_server
    from web.logs import configure_logs

    settings = make_settings(folder, web={"port": port, "shutdown_s": 4})
    configure_logs(settings.log)
    said = "Gift wrapping costs 3.20 euros per book. " * 20
    model = FakeChatModel(answer=lambda _: said, token_delay_s=token_delay_s)
    services = assemble(settings, embedder=FakeEmbedder(), model=model)
    app = create_app(services, pages=False)
    with sole_server(settings.data_dir):
        make_server(app, app.state.context.lifecycle, services).run()


def staff_token(services: Services, role: str = "admin") -> str:
    """An API token of a new account of that role."""
    if role not in {account.name for account in services.accounts.list()}:
        services.accounts.add(role, StaffRole(role))
    return services.accounts.token(role)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def start(client: TestClient, **body: Any) -> tuple[str, dict[str, str]]:
    """A new conversation's path and headers."""
    made = client.post("/api/v1/conversations", json=body).json()
    return f"/api/v1/conversations/{made['id']}", bearer(made["token"])


def upload(
    client: TestClient, token: str, name: str = "returns.md", text: str = RETURNS
) -> dict[str, str]:
    """Uploads a file and works until it can be found."""
    files = {"file": (name, text.encode())}
    made = client.post("/api/v1/documents", files=files, headers=bearer(token)).json()
    settle(client.app.state.context.services)  # type: ignore[attr-defined]  # a FastAPI app
    job = client.get(f"/api/v1/jobs/{made['job_id']}", headers=bearer(token)).json()
    assert job["state"] == "succeeded", job
    return made


def settle(services: Services) -> None:
    """Works until no job is left, also none that the application's own worker has in hand."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        services.worker.run_until_idle()
        if not any(
            services.jobs.list(state=state) for state in (JobState.QUEUED, JobState.RUNNING)
        ):
            return
        time.sleep(0.02)
    raise AssertionError("jobs are left")


def is_problem(response: Any, status: int) -> bool:
    """True for a problem+json response of that status with all five members."""
    body = response.json()
    return (
        response.status_code == status
        and response.headers["content-type"] == "application/problem+json"
        and set(body) == {"type", "title", "status", "detail", "reference"}
        and body["status"] == status
        and bool(body["reference"])
    )


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
