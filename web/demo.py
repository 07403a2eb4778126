"""Loads the demo company: its documents and its texts; running it again changes nothing more."""

import tomllib
from importlib.resources import files
from pathlib import Path

from bot import audit
from bot.catalogue import LANGUAGES
from bot.company import CompanyProfile, CompanyTexts
from bot.settings import Settings
from knowledge.types import JobState
from web.console import CommandError, database, tell
from web.loading import find_files, submit, work_off


def load_demo(settings: Settings) -> None:
    """Brings documents and texts in and waits until they can be found.

    Raises:
        CommandError: a document could not be taken in.
    """
    from bot.assembly import open_company, open_stores

    folder = Path(str(files("knowledge").joinpath("demo")))
    with database(settings) as engine:
        save_texts(open_company(engine), folder / "company.toml")
        stores = open_stores(settings, engine)
        loaded = submit(stores, find_files([folder / "documents"]))
        tell("loading_demo", n=len(loaded))
        job_ids = [item.job_id for item in loaded if item.job_id is not None]
        jobs = work_off(settings, engine, stores, job_ids)
        audit.record(engine, "command line", action="demo.load")
    problems = [f"{item.path.name}: {item.error}" for item in loaded if item.error]
    problems += [str(job.error or job.stage) for job in jobs if job.state != JobState.SUCCEEDED]
    if problems:
        raise CommandError("; ".join(problems))
    tell("demo_loaded", n=len(loaded))


def save_texts(company: CompanyTexts, path: Path) -> None:
    """Saves the company's texts from a file of one table a field, in both languages."""
    texts = tomllib.loads(path.read_text(encoding="utf-8"))
    for language in LANGUAGES:
        profile = CompanyProfile(
            name=texts["name"][language],
            greeting=texts["greeting"][language],
            contact=texts["contact"][language],
            fallback=texts["fallback"][language],
            suggestions=tuple(texts["suggestions"][language]),
        )
        company.save(language, profile)
