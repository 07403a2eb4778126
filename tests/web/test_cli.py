import json
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from bot.assembly import KnowledgeStores
from bot.company import CompanyTexts
from bot.database import open_database
from bot.tables import AuditRow
from knowledge.errors import QuestionsRejected
from knowledge.evaluation import evaluate
from tests.fakes import FakeChatModel
from tests.web.kit import RETURNS, build_services, make_settings
from web import retrieval_eval
from web.cli import app
from web.console import CommandError, is_served, print_table, sole_server
from web.demo import save_texts
from web.loading import Loaded, find_files, submit
from web.serving import create_first_admin

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder that the commands use."""
    monkeypatch.setenv("KEFU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def kefu(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, web.cli; "
        "heavy = {'torch', 'faiss', 'gradio', 'transformers', 'sqlalchemy', 'fastapi', 'pydantic'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [["serve"], ["chat"], ["demo"], ["bench"], ["kb"], ["user"], ["db"], ["finetune"]]
)
def test_every_command_explains_itself(command: list[str]) -> None:
    shown = kefu(*command, "--help")
    assert shown.exit_code == 0
    assert "Usage" in shown.output


def test_wrong_usage_is_two() -> None:
    assert kefu("kb", "sing").exit_code == 2
    assert kefu("user", "add", "x", "--role", "king").exit_code == 2


def test_bad_setting_is_one_clear_line(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "web.cli", "serve"],
        cwd=ROOT,
        env={"KEFU_DATA_DIR": str(folder), "KEFU_WEB__PORT": "99999", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: KEFU_WEB__PORT")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"), [("KEFU_CHAT__PASSAGES", "many"), ("KEFU_WEB__ROOT_PATH", "x/")]
)
def test_server_names_the_bad_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert str(kefu("serve").exception).startswith(name)


def test_account_lives_through_the_command_line(folder: Path) -> None:
    added = kefu("user", "add", "lin", "--role", "agent")
    assert added.exit_code == 0
    token = kefu("user", "token", "lin").output.strip()
    assert len(token) > 30
    (account,) = json.loads(kefu("user", "list", "--json").output)
    assert (account["name"], account["role"], account["n_sessions"]) == ("lin", "agent", 1)
    assert "1" in kefu("user", "revoke", "lin").output
    assert kefu("user", "disable", "lin").exit_code == 0
    assert kefu("user", "reset", "lin").output != added.output
    engine = open_database(f"sqlite:///{folder / 'kefu.db'}")
    with engine.connect() as connection:
        actions = connection.scalars(select(AuditRow.action)).all()
    assert actions == ["user.add", "user.token", "user.revoke", "user.disable", "user.reset"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "token", "nobody"),
        ("user", "add", "bad name", "--role", "agent"),
        ("kb", "add", "missing.md"),
        ("kb", "remove", "missing.md"),
        ("db", "restore", "missing.tar", "--yes"),
    ],
)
def test_impossible_commands_fail_in_words(folder: Path, arguments: tuple[str, ...]) -> None:
    failed = kefu(*arguments)
    assert failed.exit_code == 1
    assert str(failed.exception)
    assert "\n" not in str(failed.exception)


def test_files_of_a_zip_are_loaded_one_by_one(tmp_path: Path) -> None:
    stores = build_services(make_settings(tmp_path), FakeChatModel())
    (tmp_path / "files").mkdir()
    with zipfile.ZipFile(tmp_path / "files" / "all.zip", "w") as archive:
        archive.writestr("help/returns.md", RETURNS)
        archive.writestr("help/run.exe", "MZ")
    (path,) = find_files([tmp_path / "files"])
    good, bad = submit(cast(KnowledgeStores, stores), [path])
    assert good == Loaded("help/returns.md", good.job_id)
    assert good.job_id is not None
    assert (bad.name, bad.job_id) == ("help/run.exe", None)
    assert "suffix '.exe'" in str(bad.error)


def test_backup_brings_everything_back(folder: Path) -> None:
    services = build_services(make_settings(folder.parent), FakeChatModel())
    services.ingestor.submit("returns.md", RETURNS.encode(), author="test")
    services.worker.run_until_idle()
    services.close()
    (folder / "relevance.json").write_text("{}")
    assert kefu("db", "backup", "saved.tar").exit_code == 0
    (folder / "relevance.json").unlink()
    assert (folder.parent / "saved.tar").stat().st_mode & 0o777 == 0o600
    assert kefu("kb", "remove", "returns.md").exit_code == 0
    assert json.loads(kefu("kb", "list", "--json").output) == []
    restored = kefu("db", "restore", "saved.tar", "--yes")
    assert restored.exit_code == 0, restored.exception
    (document,) = json.loads(kefu("kb", "list", "--json").output)
    assert document["name"] == "returns.md"
    assert list(folder.glob("before-restore-*/kefu.db"))
    assert (folder / "relevance.json").read_text() == "{}"
    assert [p for p in (folder / "uploads").rglob("*") if p.is_file()]


def test_backup_never_overwrites(folder: Path) -> None:
    Path("kept.tar").write_text("mine")
    assert kefu("db", "backup", "kept.tar").exit_code == 1
    assert Path("kept.tar").read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"not a tar", None])
def test_damaged_backup_changes_nothing(folder: Path, content: bytes | None) -> None:
    kefu("user", "add", "lin", "--role", "agent")
    archive = Path("bad.tar")
    if content is None:
        Path("manifest.json").write_text('{"format": 1}')
        Path("kefu.db").write_bytes(b"SQLite format 3\x00" + b"broken" * 100)
        with tarfile.open(archive, "w") as tar:
            tar.add("manifest.json")
            tar.add("kefu.db")
    else:
        archive.write_bytes(content)
    failed = kefu("db", "restore", "bad.tar", "--yes")
    assert isinstance(failed.exception, CommandError)
    assert "lin" in kefu("user", "list").output
    assert not list(folder.glob(".restore-*"))


def test_upgrade_can_be_repeated(folder: Path) -> None:
    assert kefu("db", "upgrade").exit_code == 0
    assert kefu("db", "upgrade").exit_code == 0


def test_lock_is_held_once(tmp_path: Path) -> None:
    assert not is_served(tmp_path)
    with sole_server(tmp_path):
        assert is_served(tmp_path)
        with pytest.raises(CommandError, match="already runs"), sole_server(tmp_path):
            pass
    assert not is_served(tmp_path)


def test_folders_are_searched_for_known_formats(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.md", "deep/b.PDF", "c.gif"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_files([tmp_path])] == ["a.md", "b.PDF"]


def test_demo_texts_fill_both_languages(folder: Path) -> None:
    services = build_services(make_settings(folder.parent), FakeChatModel())
    save_texts(services.company, ROOT / "knowledge" / "demo" / "company.toml")
    for language in ("zh", "en"):
        assert services.company.get(language).suggestions
    names = {CompanyTexts.get(services.company, language).name for language in ("zh", "en")}
    assert len(names) == 2
    services.close()


def test_tables_align_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "n"), [("退货", 1), ("abcd", 2)])
    assert capsys.readouterr().out == "name  n\n退货  1\nabcd  2\n"


def test_evaluation_scores_the_passage(folder: Path, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    services = build_services(settings, FakeChatModel())
    for name, text in {
        "returns.md": RETURNS,
        "parking.md": "# Parking\n\nFree at night.\n",
    }.items():
        services.ingestor.submit(name, text.encode(), author="test")
    services.worker.run_until_idle()
    questions = tmp_path / "questions.jsonl"
    rows = [
        {"query": "gift wrapping costs", "document": "returns.md", "quote": "3.20 euros",
         "language": "en"},
        {"query": "parking free at night", "document": "parking.md"},
        {"query": "something else", "document": None},
    ]  # fmt: skip
    questions.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    report = evaluate(
        retrieval_eval.file_questions(questions),
        services.retriever,
        services.documents,
        measure=retrieval_eval.measure(services.retriever, settings),
    )
    services.close()
    assert report["n_unanswerable"] == 1
    assert report["stages"]["fused"]["en"] == {
        "n": 1, "hit_at_k": 1.0, "mrr_at_10": 1.0, "ndcg_at_10": 1.0,
    }  # fmt: skip
    assert set(report["stages"]) == {"dense", "lexical", "fused"}
    assert len(retrieval_eval.rows(report)[0]) == 6


@pytest.mark.parametrize("line", ["{bad", "[]", "{}", '{"query": "x", "document": "none.md"}'])
def test_bad_question_file_is_explained(folder: Path, tmp_path: Path, line: str) -> None:
    services = build_services(make_settings(tmp_path), FakeChatModel())
    file = tmp_path / "q.jsonl"
    file.write_text(line)
    with pytest.raises(QuestionsRejected):
        evaluate(
            retrieval_eval.file_questions(file),
            services.retriever,
            services.documents,
            measure=retrieval_eval.measure(services.retriever, services.settings),
        )
    services.close()


def test_first_admin_is_made_once(tmp_path: Path) -> None:
    services = build_services(make_settings(tmp_path), FakeChatModel())
    password = create_first_admin(services.accounts)
    assert password is not None
    assert services.accounts.login("admin", password)
    assert create_first_admin(services.accounts) is None
    services.close()


def test_used_port_is_said_before_anything_is_loaded(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed = kefu("serve", "--port", str(port))
    assert f"port {port}" in str(failed.exception)
    assert not (folder / "kefu.db").exists()
