"""The one catalogue of user-facing text, in Chinese and English.

Texts live in `bot/texts/*.toml`, one table a text: `[chat.nothing_found]` with `zh` and `en`.
Placeholders are `str.format` fields and must be the same in both languages.
"""

import string
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal

UiLanguage = Literal["zh", "en"]
LANGUAGES: tuple[UiLanguage, ...] = ("zh", "en")


class Catalogue:
    """Looks texts up by key and language; complete in both languages by construction."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        for key, variants in texts.items():
            if set(variants) != set(LANGUAGES):
                raise ValueError(f"Text {key!r} needs zh and en, has {sorted(variants)}.")
            if len({_fields(text) for text in variants.values()}) != 1:
                raise ValueError(f"Text {key!r} has different placeholders in zh and en.")
        self._texts = texts

    def text(self, key: str, language: str, /, **values: object) -> str:
        """Returns the text with its placeholders filled; any language but zh reads English.

        Raises:
            KeyError: there is no such text.
        """
        variant = self._texts[key]["zh" if language.startswith("zh") else "en"]
        return variant.format(**values) if values else variant

    def keys(self) -> frozenset[str]:
        """All keys, for tests that look for unused or missing ones."""
        return frozenset(self._texts)


def load_catalogue() -> Catalogue:
    """Reads the texts that ship beside the code.

    Raises:
        ValueError: a text lacks a language, its placeholders differ, or two files have its name.
    """
    texts: dict[str, Mapping[str, str]] = {}
    for file in sorted(files("bot").joinpath("texts").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".toml"):
            continue
        for group, entries in tomllib.loads(file.read_text(encoding="utf-8")).items():
            for name, variants in entries.items():
                if (key := f"{group}.{name}") in texts:
                    raise ValueError(
                        f"Expected each text once, found {key!r} again in {file.name}."
                    )
                texts[key] = variants
    return Catalogue(texts)


def _fields(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)
