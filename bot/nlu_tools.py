"""What commands and pages need to train, judge and explain heads; part of the assembly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.classifiers.dataset import Example, read_examples
from bot.classifiers.explanation import Explainer, Explanation
from bot.classifiers.features import Features, Featurizer
from bot.classifiers.files import HeadRejected, head_folder, load_head
from bot.classifiers.head import Head
from bot.classifiers.labels import Task
from bot.classifiers.registry import HeadRecord, HeadRegistry
from bot.classifiers.remembered import RememberedEmbedder
from bot.classifiers.sentiment_base import BASE, learn_base, load_base, save_base
from bot.classifiers.training import Trained, TrainingFiles, keep, shipped_paths, train
from bot.settings import Settings

_ACTOR = "command line"
_OWN_DATA = (
    "Our own labelled messages, shipped in `bot/classifiers/examples`; licence of the project."
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A trained head and where it was put."""

    place: str
    trained: Trained


class NluTools:
    """Trains, opens and explains heads of a data folder."""

    def __init__(
        self,
        featurizer: Featurizer,
        embedder: RememberedEmbedder,
        registry: HeadRegistry,
        packaged: Path,
    ) -> None:
        self._featurizer = featurizer
        self._registry = registry
        self._packaged = packaged
        self._explainer = Explainer(
            featurizer, embedder.embed_queries, lambda task: _shipped(Task(task))
        )
        self.features: Callable[[Sequence[str]], Features] = featurizer.features

    def train(
        self,
        task: Task,
        data: Sequence[Path],
        *,
        out: Path | None,
        held_out: Sequence[Path],
        on_step: Callable[[str], None],
    ) -> Kept:
        """Trains a task's head and keeps it in `out`, or in the data folder."""
        base = load_base(self._base()) if task is Task.SENTIMENT and self._base().exists() else None
        files = TrainingFiles(tuple(data), tuple(held_out))
        trained = train(task, files, featurizer=self._featurizer, base=base, on_step=on_step)
        command = " ".join(
            ["kefu nlu train --task", task.value, *(f"--data {p.name}" for p in data)]
        )
        named = [f"`{path.name}`, given by its path." for path in data]
        own = [_OWN_DATA] if task is Task.SENTIMENT or not data else []
        told = [*own, *named, *(base.meta["data"] if base else ())]

        def write(folder: Path) -> None:
            keep(trained, folder, command=command, data=told)

        if out is not None:
            write(out)
            return Kept(str(out), trained)
        record = HeadRecord(author=_ACTOR, lineage={"files": [path.name for path in data]})
        return Kept(self._registry.save(task.value, write, record=record), trained)

    def learn_base(self, paths: Sequence[Path]) -> None:
        """Sums up public sets of sentiment, for the head that ships to start from."""
        save_base(learn_base(paths, self._featurizer), self._base())

    def has(self, task: Task, model: Path | None) -> bool:
        """True where there is a head of the task."""
        folder = head_folder(model, task.value) if model else self._registry.serving(task.value)
        return folder.is_dir() and load_head(folder).task == task.value

    def head(self, task: Task, model: Path | None) -> Head:
        """Opens a head: of a folder, or the one that serves.

        Raises:
            HeadRejected: there is none, or it was made by another encoder.
        """
        folder = head_folder(model, task.value) if model else self._registry.serving(task.value)
        head = load_head(folder, task=task.value)
        n_dense = len(head.tensors["dense_weight"])
        n_here = self._featurizer.features([""]).dense.shape[1]
        if n_dense != n_here:
            raise HeadRejected(
                f"{folder}: the head reads {n_dense} values a message and the embedding model in "
                f"use gives {n_here}. Train it again with `kefu nlu train`."
            )
        return head

    def explain(self, text: str, label: str, head: Head) -> Explanation:
        """Returns the words that pushed a label and the shipped examples nearest to the text."""
        return self._explainer.explain(text, label, head)

    def _base(self) -> Path:
        return self._packaged / BASE


def open_nlu_tools(settings: Settings) -> NluTools:
    """Loads the embedders; takes seconds."""
    from bot.classifiers.english import load_english
    from bot.nlu_assembly import SHIPPED_HEADS
    from knowledge.embedding import load_embedder

    cache = settings.data_dir / "cache"
    embedder = load_embedder(settings.knowledge.embedder, device=settings.llm.device)
    remembered = RememberedEmbedder(embedder, cache)
    featurizer = Featurizer(remembered, RememberedEmbedder(load_english(), cache))
    registry = HeadRegistry(
        settings.data_dir / "nlu", packaged=SHIPPED_HEADS, tasks=[task.value for task in Task]
    )
    return NluTools(featurizer, remembered, registry, SHIPPED_HEADS)


def _shipped(task: Task) -> list[Example]:
    return read_examples(shipped_paths(task), task)
