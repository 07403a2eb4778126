"""The built wheel works from any folder, without the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it; third-party libraries are borrowed from ours."""
    folder = tmp_path_factory.mktemp("install")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    # A path added by a .pth file is searched, but its own .pth files (our checkout) are not.
    Path(site.stdout.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    wheel = next(folder.glob("*.whl"))
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True, cwd=folder)
    return folder / "venv" / "bin"


def _run(bin_dir: Path, tmp_path: Path, *arguments: str, **env: str) -> str:
    done = subprocess.run(
        [bin_dir / "kefu", *arguments],
        cwd=tmp_path,
        env={**os.environ, "KEFU_DATA_DIR": str(tmp_path / "data"), **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_wheel_carries_everything_but_tests(installed: Path) -> None:
    code = "import bot, knowledge; from pathlib import Path as P;"
    code += "r = P(bot.__file__).parent.parent; print(r);"
    code += "assert (r / 'bot/migrations/versions/0001_initial.py').exists();"
    code += "assert (r / 'knowledge/demo/company.toml').exists();"
    code += "assert not (r / 'tests').exists() and not (r / 'alembic/versions').exists()"
    done = subprocess.run(
        [installed / "python", "-c", code], cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout


def test_wheel_migrates_a_database(installed: Path, tmp_path: Path) -> None:
    _run(installed, tmp_path, "db", "upgrade")
    assert (tmp_path / "data" / "kefu.db").stat().st_size > 0


@pytest.mark.slow
def test_wheel_answers_a_question(installed: Path, tmp_path: Path, packaged_weights: Path) -> None:
    page = tmp_path / "parking.md"
    page.write_text("# Parking\n\nParking at the Elm Street shop costs 2.40 euros an hour.\n")
    _run(installed, tmp_path, "db", "upgrade")
    _run(installed, tmp_path, "kb", "add", str(page), "--wait")
    done = subprocess.run(
        [installed / "kefu", "chat"],
        input="What does parking cost at Elm Street?\n",
        cwd=tmp_path,
        env={
            **os.environ,
            "KEFU_DATA_DIR": str(tmp_path / "data"),
            "KEFU_LLM__WEIGHTS": str(packaged_weights),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "2.40" in done.stdout
    assert "parking.md" in done.stdout
