"""Loads the demo company: its documents and its texts; running it again changes nothing more."""

import json
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from bot import audit
from bot.catalogue import LANGUAGES
from bot.company import CompanyProfile, CompanyTexts
from bot.settings import Settings
from knowledge.chunk_questions import QuestionStore, checked_question
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
    entries = [_entry(path, n, line) for n, line in _numbered_lines(path)]
    asked: dict[ChunkId, list[str]] = {}
    for name in dict.fromkeys(entry.document for entry in entries):
        mine = [entry for entry in entries if entry.document == name]
        document = documents.find_by_name(name)
        quotes = [entry.quote for entry in mine]
        found = questions.find_passages(document.id, quotes) if document else [None] * len(mine)
        for entry, chunk_id in zip(mine, found, strict=True):
            if chunk_id is None:
                raise CommandError(
                    f"{path.name}: entry {entry.number} has no passage; check its quote."
                )
            asked.setdefault(chunk_id, []).extend(entry.questions)
    try:
        questions.add_all(asked, author="demo")
    except EditRejected as error:
        raise CommandError(f"{path.name}: {error}") from error
    return len(asked)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the file of attached questions."""

    number: int
    document: str
    quote: str
    questions: tuple[str, ...]


def _numbered_lines(path: Path) -> list[tuple[int, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(enumerate((line for line in lines if line.strip()), start=1))


def _entry(path: Path, number: int, line: str) -> _Entry:
    read = json.loads(line)
    try:
        asked = tuple(checked_question(text) for text in read["questions"])
    except EditRejected as error:
        raise CommandError(f"{path.name}: entry {number}: {error}") from error
    return _Entry(number, read["document"], read["quote"], asked)


def _attach_shipped(settings: Settings, path: Path) -> None:
    if not path.exists():
        return
    from bot.assembly import open_search, open_stores

    lines = _numbered_lines(path)
    with database(settings) as engine:
        search = open_search(settings, engine)
        tell("attaching_questions", n=sum(len(_entry(path, *one).questions) for one in lines))
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
