"""The README says what the product does: commands, settings, roles."""

import re
from pathlib import Path

import pytest
import typer

from bot.accounts import StaffRole
from web.cli import app
from web.security import ROLE_ACCESS, Access

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_documented() -> None:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert f"`kefu {name}" in README
        for inner in getattr(command, "commands", {}):
            assert re.search(rf"`(kefu {name} )?{inner}\b", README), f"kefu {name} {inner}"


def test_named_settings_exist() -> None:
    known = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"KEFU_[A-Z_]+", README))
    assert named
    assert all(f"# {name}=" in known for name in named)


@pytest.mark.parametrize(
    ("row", "access"),
    [
        ("knowledge: look and search", "documents.read"),
        ("knowledge: upload, replace, delete", "documents.write"),
        ("transcripts", "transcripts"),
        ("company", "company"),
        ("adapters", "adapters"),
    ],
)
def test_role_table_is_the_one_in_force(row: str, access: Access) -> None:
    line = next(line for line in README.splitlines() if line.startswith(f"| {row} |"))
    cells = [cell.strip() == "✓" for cell in line.strip("|").split("|")[1:]]
    roles = (None, StaffRole.AGENT, StaffRole.KNOWLEDGE, StaffRole.ADMIN)
    allowed = [role is not None and role in ROLE_ACCESS[access] for role in roles]
    assert cells == allowed


def test_readme_is_short() -> None:
    assert README.count("\n") <= 250
