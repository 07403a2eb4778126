"""The jobs of intents: embed what is to be compared, or retrain the head and put it in force.

The new head serves by itself only where no label lost more than is allowed; else it is kept with
its report for a person to force or discard. A job that is cancelled before that keeps nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from bot.classifiers.intents import Example, IntentStore
from bot.classifiers.registry import HeadRecord, HeadRegistry
from bot.classifiers.renewal import IntentLearning, Material, ServingHead, renew
from bot.errors import BotError
from knowledge.errors import StepFailed
from knowledge.job_run import JobRun, SteadyProgress
from knowledge.jobs import CHECK_INTENTS, TRAIN_INTENTS, JobStore, succeed
from knowledge.types import JobId, JobState

INTENT = "intent"
_PREPARING_SHARE = 0.5
_OPEN = (JobState.QUEUED, JobState.RUNNING)


#: Reads the messages that people gave another label, each with its correction's id.
Corrections = Callable[[], Sequence[tuple[int, Example]]]


@dataclass(frozen=True, slots=True)
class RenewalStep:
    """Carries out jobs of both kinds.

    Args:
        intents: The company's own.
        registry: Where the head is kept and put in force.
        learning: Trains and reads heads.
        corrections: What agents corrected; a head's lineage names those it has learned from.
    """

    intents: IntentStore
    registry: HeadRegistry
    learning: IntentLearning
    corrections: Corrections

    def __call__(self, run: JobRun) -> None:
        """Embeds what is new and, unless only that was asked for, trains.

        Raises:
            StepFailed: the examples cannot be learned from, or the head cannot be kept.
            JobLost: the job was cancelled or taken over.
            WorkerStopping: the process is shutting down.
        """
        try:
            self._prepare(run)
            if run.claim.job.kind == TRAIN_INTENTS:
                self._train(run)
        except (BotError, ValueError) as error:
            raise StepFailed(str(error)) from error
        with Session(run.engine) as session, session.begin():
            succeed(session, run.claim)

    def _prepare(self, run: JobRun) -> None:
        steady = SteadyProgress(run, "preparing")
        self.learning.prepare(
            [*self.learning.shipped(), *Material(self.intents.list()).own()],
            on_step=lambda share: steady(share * _PREPARING_SHARE),
        )

    def _train(self, run: JobRun) -> None:
        by = str(run.claim.payload.get("by", ""))
        corrections = self.corrections()
        material = Material(self.intents.list(), [example for _, example in corrections])
        name = self.registry.serving_name(INTENT)
        record = self.registry.get(INTENT, name).record if name else None
        serving = ServingHead(self.registry.serving(INTENT), name, record)
        steady = SteadyProgress(run, "training")
        renewed = renew(
            self.learning,
            material,
            serving=serving,
            on_step=lambda share: steady(_PREPARING_SHARE + share * (1 - _PREPARING_SHARE)),
        )
        run.report("saving", 0.99)
        numbers = [number for number, _ in corrections]
        lineage = {**renewed.lineage, "corrections": numbers, "job": run.claim.job.id}
        record = HeadRecord(by, lineage, renewed.comparison)
        saved = self.registry.save(INTENT, renewed.model.save, record=record)
        if renewed.comparison.is_better:
            self.registry.promote(INTENT, saved, by=by)


def queue_intents(jobs: JobStore, *, by: str, train: bool) -> JobId:
    """Queues a training, or only what comes before it, unless one has not ended yet."""
    kind = TRAIN_INTENTS if train else CHECK_INTENTS
    for job in jobs.newest(kind, limit=1):
        if job.state in _OPEN:
            return job.id
    return jobs.add(kind, {"by": by})
