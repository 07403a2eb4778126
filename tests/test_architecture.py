"""The rules that keep the code findable: import direction, light start, no stray output."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["knowledge", "bot", "finetune", "web"]
MODULES = sorted(path for name in ORDER for path in (ROOT / name).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_imports_point_to_the_right_only(path: Path) -> None:
    own = ORDER.index(path.relative_to(ROOT).parts[0])
    used = {name.split(".")[0] for name in _imports(path)} & set(ORDER)
    assert {name for name in used if ORDER.index(name) > own} == set()


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_environment_is_read_in_settings_only(path: Path) -> None:
    reads = "os.environ" in path.read_text(encoding="utf-8") or "getenv" in path.read_text()
    assert not reads or path == ROOT / "bot" / "settings.py"


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_module_is_documented_and_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source))
    assert source.count("\n") <= 500


def test_alembic_folder_does_not_hide_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_root_holds_the_agreed_entries_only() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    entries = {name.split("/")[0] for name in tracked if name and not name.startswith(".")}
    agreed = {"pyproject.toml", "README.md", "tests", "alembic", *ORDER}
    assert entries <= agreed


def test_command_line_starts_without_heavy_libraries() -> None:
    heavy = ["torch", "faiss", "gradio", "transformers", "sentence_transformers", "tantivy"]
    code = f"import sys, web.cli; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
