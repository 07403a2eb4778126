"""Brings files into the knowledge base from a command: queue, then work or wait for the server.

Where a server runs on the data folder it does the work, and the command only watches the jobs
table; otherwise the command works the jobs off itself.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from knowledge.errors import KnowledgeError
from knowledge.types import Job, JobId, JobState, OnDuplicate
from web.console import CommandError, is_served

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from bot.assembly import KnowledgeStores
    from bot.settings import Settings

_POLL_S = 0.2
_DONE = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Loaded:
    """One file, or one of a ZIP, with its job or with why it was refused."""

    name: str
    job_id: JobId | None
    error: str | None = None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Returns the files of the paths; of a folder, all of a known format or ZIPs below it.

    Raises:
        CommandError: a path does not exist.
    """
    from knowledge.bundles import is_bundle
    from knowledge.parsing.registry import SUFFIXES

    def is_known(path: Path) -> bool:
        return path.suffix.lower() in SUFFIXES or is_bundle(path.name)

    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise CommandError(f"There is no file or folder {path}.")
        if path.is_dir():
            found += sorted(filter(is_known, path.rglob("*")))
        else:
            found.append(path)
    return found


def submit(
    stores: "KnowledgeStores",
    files: Iterable[Path],
    *,
    on_duplicate: OnDuplicate = OnDuplicate.KEEP,
) -> list[Loaded]:
    """Queues files; one that is refused does not stop the others."""
    loaded = []
    for path in files:
        try:
            data = path.read_bytes()
            found = stores.ingestor.submit_all(
                path.name, data, author="command line", on_duplicate=on_duplicate
            )
        except (KnowledgeError, OSError) as error:
            loaded.append(Loaded(path.name, None, str(error)))
            continue
        for one in found:
            refused = str(one.error) if one.error is not None else None
            loaded.append(Loaded(one.name, one.job_id, refused))
    return loaded


def work_off(
    settings: "Settings",
    engine: "Engine",
    stores: "KnowledgeStores",
    job_ids: Sequence[JobId],
) -> list[Job]:
    """Shows progress until all jobs have ended, working on them where no server does.

    Where no server would, it then goes on with the jobs that they have queued, such as the
    sentences of documents that can be searched already.
    """
    if not job_ids:
        return []
    if is_served(settings.data_dir):
        return _watch(stores, job_ids)
    from bot.assembly import open_search

    search = open_search(settings, engine)
    worker = threading.Thread(target=search.worker.run_until_idle, name="jobs", daemon=True)
    worker.start()
    try:
        jobs = _watch(stores, job_ids, worker)
        worker.join()
        return jobs
    finally:
        search.worker.stop(5)
        worker.join(10)
        search.indexes.close()


def _watch(
    stores: "KnowledgeStores", job_ids: Sequence[JobId], worker: threading.Thread | None = None
) -> list[Job]:
    with typer.progressbar(length=1000, label="", file=None) as bar:
        shown = 0
        while True:
            is_idle = worker is not None and not worker.is_alive()
            jobs = [stores.jobs.get(job_id) for job_id in job_ids]
            parts = [1.0 if job.state in _DONE else job.progress for job in jobs]
            reached = int(1000 * sum(parts) / len(parts))
            bar.update(max(0, reached - shown))
            shown = max(shown, reached)
            if is_idle or all(job.state in _DONE for job in jobs):
                return jobs
            time.sleep(_POLL_S)
