"""Settings: documented, overridable, and refused in one clear line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from bot.errors import SettingsError
from bot.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]


def _defaults(model: BaseModel, prefix: str = "KEFU_") -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _defaults(value, f"{prefix}{name.upper()}__")
        else:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            text = str(plain).lower() if isinstance(plain, bool) else str(plain)
            text = "" if plain is None else text
            yield f"{prefix}{name.upper()}", text


def test_env_example_names_every_setting_and_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^# (KEFU_\w+)=(.*)$", text, re.MULTILINE))
    assert documented == dict(_defaults(Settings(_env_file=None)))  # type: ignore[call-arg]


def test_empty_threshold_follows_the_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_CHAT__RELEVANCE_THRESHOLD", "")
    assert load_settings().chat.relevance_threshold is None


def test_environment_overrides_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_LLM__MAX_NEW_TOKENS", "33")
    assert load_settings().llm.max_new_tokens == 33


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEFU_WEB__PORT", "0"),
        ("KEFU_WEB__PORT", "many"),
        ("KEFU_WEB__ROOT_PATH", "kefu/"),
        ("KEFU_CHAT__RELEVANCE_THRESHOLD", "1.5"),
        ("KEFU_LLM__BACKEND", "cloud"),
        ("KEFU_LOG__LEVEL", "LOUD"),
    ],
)
def test_bad_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_misspelt_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_LLM__MAX_TOKENS", "5")
    with pytest.raises(SettingsError, match="KEFU_LLM__MAX_TOKENS"):
        load_settings()


def test_remote_backend_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_LLM__BACKEND", "remote")
    with pytest.raises(SettingsError, match="KEFU_LLM__REMOTE_URL"):
        load_settings()


def test_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEFU_LLM__REMOTE_KEY", "sesame")
    assert "sesame" not in repr(load_settings())
