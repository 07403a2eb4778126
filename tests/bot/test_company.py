"""The company's own words."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from bot.catalogue import load_catalogue
from bot.company import CompanyTexts


def test_texts_are_built_in_until_edited(engine: Engine) -> None:
    company = CompanyTexts(engine, load_catalogue())
    assert company.get("zh").greeting != company.get("en").greeting
    assert len(company.get("en").suggestions) == 3


def test_edit_of_one_language_leaves_the_other(engine: Engine) -> None:
    company = CompanyTexts(engine, load_catalogue())
    english = company.get("en")
    edited = replace(
        company.get("zh"),
        name=" 和光\u0000 ",
        suggestions=("包邮吗？", " ", "包邮吗？", "多久\n到"),
    )
    company.save("zh", edited)
    assert company.get("zh-Hant").name == "和光"
    assert company.get("zh").suggestions == ("包邮吗？", "多久 到")
    assert company.get("en") == english


def test_empty_text_returns_to_the_built_in_one(engine: Engine) -> None:
    company = CompanyTexts(engine, load_catalogue())
    built_in = company.get("en")
    company.save("en", replace(built_in, name="Heguang", suggestions=()))
    company.save("en", replace(built_in, name="", suggestions=()))
    assert company.get("en").name == built_in.name
    assert company.get("en").suggestions == ()


def test_limits_of_texts(engine: Engine) -> None:
    company = CompanyTexts(engine, load_catalogue())
    profile = company.get("en")
    with pytest.raises(ValueError, match="suggestions"):
        company.save("en", replace(profile, suggestions=tuple("abcdefghi")))
    with pytest.raises(ValueError, match="contact"):
        company.save("en", replace(profile, contact="x" * 5000))
