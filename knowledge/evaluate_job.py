"""The evaluate job: asks labelled questions in the background and keeps the result.

Each question waits for customers' answers to go first. A job that is taken over starts anew; its
result is written together with its end, so there is one run a job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from knowledge.evaluation import (
    Measure,
    Question,
    Searching,
    evaluate,
    fingerprint,
    packed,
    relevant,
)
from knowledge.job_run import JobRun, SteadyProgress
from knowledge.jobs import EVALUATE, JobStore, succeed
from knowledge.store import DocumentStore
from knowledge.tables import EvalRunRow, JobRow
from knowledge.types import JobId


@dataclass(frozen=True, slots=True)
class EvaluationStep:
    """Carries out evaluate jobs.

    Args:
        retriever: Searches as it does for customers.
        documents: Where the passages stand.
        n_shown: Passages that an answer is written from.
    """

    retriever: Searching
    documents: DocumentStore
    n_shown: int

    def __call__(self, run: JobRun) -> None:
        """Evaluates and keeps the run.

        Raises:
            QuestionsRejected: a question's document or quote is gone.
            JobLost: the job was cancelled or taken over.
            WorkerStopping: the process is shutting down.
        """
        payload: Mapping[str, Any] = run.claim.payload
        questions = [Question(*values) for values in payload["questions"]]
        measure = Measure.by(self.retriever.settings.current(), n_shown=self.n_shown)
        report = evaluate(
            questions,
            self.retriever,
            self.documents,
            measure=measure,
            on_question=SteadyProgress(run, "evaluating"),
        )
        with Session(run.engine) as session, session.begin():
            session.add(
                EvalRunRow(
                    at=datetime.now(UTC),
                    source=str(payload["source"])[:255],
                    sha256=fingerprint(questions),
                    settings=settings_used(run.embedder.id, self.retriever, measure),
                    report=report,
                )
            )
            succeed(session, run.claim)
            session.get_one(JobRow, run.claim.job.id).payload = {"source": payload["source"]}


def queue_evaluation(
    jobs: JobStore, questions: Sequence[Question], documents: DocumentStore, *, source: str
) -> JobId:
    """Queues an evaluation of questions whose passages are all there.

    Raises:
        QuestionsRejected: a document or quote is not there.
    """
    for question in questions:
        if question.document is not None:
            relevant(question, documents)
    return jobs.add(EVALUATE, {"source": source, "questions": packed(questions)})


def settings_used(embedder: str, retriever: Searching, measure: Measure) -> dict[str, Any]:
    """Returns what is kept of the settings of a run."""
    live = asdict(retriever.settings.current())
    threshold = round(measure.threshold, 4)
    used = {"embedder": embedder, **live, "relevance_threshold": threshold}
    return used | ({"reranker": retriever.reranker} if retriever.reranker else {})
