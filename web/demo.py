"""Loads the demo company: its documents and its texts; running it again changes nothing more."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

from bot import audit
from bot.catalogue import LANGUAGES
from bot.company import CompanyProfile, CompanyTexts
from bot.settings import Settings
from knowledge.chunk_questions import QuestionStore
from knowledge.errors import EditRejected
from knowledge.store import DocumentStore
from knowledge.types import ChunkId, JobState
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
    problems = [f"{item.name}: {item.error}" for item in loaded if item.error]
    problems += [str(job.error or job.stage) for job in jobs if job.state != JobState.SUCCEEDED]
    if problems:
        raise CommandError("; ".join(problems))
    _attach_shipped(settings, folder / "attached.jsonl")
    tell("demo_loaded", n=len(loaded))


def attach_questions(documents: DocumentStore, questions: QuestionStore, path: Path) -> int:
    """Attaches questions to the passages that hold a quote; again changes nothing more.

    Args:
        documents: Where the documents have been taken in.
        questions: Where the questions go.
        path: JSON lines of `{document, quote, questions}`; `document` is a file's name.

    Returns:
        How many passages got questions.

    Raises:
        CommandError: a line names a document or quote that is not there, or a bad question.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    entries: dict[ChunkId, int] = {}  # the first of each passage
    asked: dict[ChunkId, list[str]] = {}  # a passage at a time: each costs an index change
    for number, entry in enumerate(map(json.loads, lines), start=1):
        document = documents.find_by_name(entry["document"])
        found = questions.find_passage(document.id, entry["quote"]) if document else None
        if found is None:
            raise CommandError(f"{path.name}: entry {number} has no passage; check its quote.")
        asked.setdefault(found, []).extend(entry["questions"])
        entries.setdefault(found, number)
    for chunk_id, texts in asked.items():
        try:
            questions.add(chunk_id, texts, author="demo")
        except EditRejected as error:
            raise CommandError(f"{path.name}: entry {entries[chunk_id]}: {error}") from error
    return len(asked)


def _attach_shipped(settings: Settings, path: Path) -> None:
    if not path.exists():
        return
    from bot.assembly import open_search, open_stores

    with database(settings) as engine:
        search = open_search(settings, engine)
        try:
            attach_questions(open_stores(settings, engine).documents, search.questions, path)
        finally:
            search.indexes.close()


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
