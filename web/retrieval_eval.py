"""What the command and the page of evaluations share: where questions come from, what is kept."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bot.confirmed import ConfirmedAnswer
from bot.settings import Settings
from knowledge.errors import DocumentNotFound
from knowledge.evaluation import Measure, Question, read_questions
from knowledge.retrieval import HybridRetriever
from knowledge.store import DocumentStore
from knowledge.types import DocumentId
from web.console import CommandError

CONFIRMED = "confirmed conversations"


def file_questions(path: Path) -> list[Question]:
    """Returns a file's questions.

    Raises:
        CommandError: the file cannot be read.
        QuestionsRejected: it is not as expected.
    """
    try:
        return read_questions(path.read_bytes(), path.name)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def measure(retriever: HybridRetriever, settings: Settings) -> Measure:
    """Returns what results are held against: the settings that customers are answered by."""
    return Measure.by(retriever.settings.current(), n_shown=settings.chat.passages)


def confirmed_questions(
    answers: Iterable[ConfirmedAnswer], documents: DocumentStore
) -> Iterator[Question]:
    """Yields liked answers as questions; those whose passage is gone are left out."""
    for answer in answers:
        try:
            document = documents.get(DocumentId(answer.document_id))
        except DocumentNotFound:
            continue
        if answer.quote in documents.version(document.id).text:
            yield Question(answer.query, document.name, answer.quote, answer.language)


def rows(report: dict[str, Any]) -> list[tuple[object, ...]]:
    """Returns the report as rows of a table."""
    return [
        (stage, language, m["n"], *(f"{m[name]:.3f}" for name in list(m)[1:]))
        for stage, languages in report["stages"].items()
        for language, m in languages.items()
    ]
