"""What public sets taught of sentiment, kept as numbers from which no text comes back."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bot.classifiers.dataset import Example, clean, read_examples
from bot.classifiers.features import Featurizer, normalize
from bot.classifiers.labels import Task
from bot.classifiers.sentiment_fitting import Base, fit_base

BASE = "sentiment_base.safetensors"


def learn_base(paths: Sequence[Path], featurizer: Featurizer) -> Base:
    """Reads the sets, each with its own way of labelling, and sums them up."""
    examples: list[Example] = []
    sources: list[str] = []
    for path in paths:
        found = clean(read_examples([path], Task.SENTIMENT)).examples
        examples += found
        sources += [str(path)] * len(found)
    features = featurizer.features([normalize(one.text) for one in examples])
    base = fit_base(features, [one.label for one in examples], sources=sources)
    named = [f"`{path.parent.name}/{path.stem}`, summed up in the base." for path in paths]
    return Base(base.tensors, {"n_examples": len(examples), "data": named})


def save_base(base: Base, path: Path) -> None:
    """Writes a base as one file."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    tensors = {name: np.ascontiguousarray(one) for name, one in base.tensors.items()}
    save_file(tensors, draft, metadata={"meta": json.dumps(dict(base.meta), ensure_ascii=False)})
    draft.replace(path)


def load_base(path: Path) -> Base:
    """Reads a base."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        meta = json.loads(file.metadata()["meta"])
    return Base(tensors, meta)
