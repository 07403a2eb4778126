"""Reads question and passage together: after the fusion, before the hits are chosen.

A cross-encoder judges a pair better than two vectors do, and costs a run of the model for each
passage, so only the first of the fusion are scored again. None is packaged: a folder or a hub id
in the settings switches it on. Heavy imports happen in `load_reranker`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from knowledge.embedding import MAX_INPUT_TOKENS
from knowledge.errors import RerankerUnavailable

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_BATCH = 8
_MAX_CHARS = 4 * MAX_INPUT_TOKENS  # cutting pairs of far longer texts takes seconds
_PATH_STARTS = ("/", ".", "~", "\\")
#: Heads that score a pair; with any other the library would make up a head of random weights.
_SCORING_HEADS = ("ForSequenceClassification", "ForCausalLM")


class Reranker:
    """Scores passages for a question with a `CrossEncoder`; safe to call from several threads.

    Args:
        model: The loaded cross-encoder, with one score a pair.
        id: Its name in the settings.
    """

    def __init__(self, model: "CrossEncoder", *, id: str) -> None:
        from torch.nn import Sigmoid

        if model.num_labels != 1:
            raise ValueError(f"expected one score for a pair, got {model.num_labels}")
        if model.max_seq_length is None or model.max_seq_length > MAX_INPUT_TOKENS:
            model.max_seq_length = MAX_INPUT_TOKENS
        self._model = model
        self._to_share = Sigmoid()
        self._id = id
        self._lock = Lock()  # a tokenizer that cuts its input serves one thread at a time

    @property
    def id(self) -> str:
        """Name of the weights."""
        return self._id

    def score(self, query: str, passages: Sequence[str]) -> list[float]:
        """Returns for each passage how well it answers, in [0, 1]; comparable within a question."""
        if not passages:
            return []
        pairs = [(_clean(query), _clean(passage)) for passage in passages]
        with self._lock:
            scores = self._model.predict(
                pairs,
                batch_size=_BATCH,
                show_progress_bar=False,
                activation_fn=self._to_share,
                convert_to_numpy=True,
            )
        return [float(score) for score in scores]


def load_reranker(name: str, *, device: str) -> Reranker:
    """Loads a cross-encoder from a folder or by its hub id.

    Args:
        name: A folder or a hub id.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        RerankerUnavailable: a library or the weights are missing, or they score no pairs.
    """
    if name.startswith(_PATH_STARTS) and not Path(name).expanduser().is_dir():
        raise _unavailable(name, "there is no such folder")
    from safetensors import SafetensorError

    try:
        from sentence_transformers import CrossEncoder

        place = str(Path(name).expanduser()) if name.startswith("~") else name
        model = CrossEncoder(place, device=None if device == "auto" else device)
        _check_head(model)
        return Reranker(model, id=name)
    except (ImportError, OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise _unavailable(name, str(error) or type(error).__name__) from error


def reranked(
    fused: Sequence[tuple[int, float]], scores: Mapping[int, float]
) -> list[tuple[int, float]]:
    """Returns `fused` with the scored ones first, best first; equal ones keep their order.

    Args:
        fused: (id, score) pairs, best first.
        scores: What the reranker gave to the first of them.
    """
    first = sorted((pair for pair in fused if pair[0] in scores), key=lambda p: -scores[p[0]])
    return [*first, *(pair for pair in fused if pair[0] not in scores)]


def _check_head(model: "CrossEncoder") -> None:
    heads = getattr(model.config, "architectures", None) or []
    if not any(head.endswith(_SCORING_HEADS) for head in heads) and len(model) == 1:
        raise ValueError(
            f"expected a cross-encoder that scores pairs, found {', '.join(heads) or 'no head'}"
        )


def _unavailable(name: str, reason: str) -> RerankerUnavailable:
    return RerankerUnavailable(
        f"The reranker {name!r} cannot be loaded ({reason}). "
        "Check KEFU_KNOWLEDGE__RERANKER; empty switches it off."
    )


def _clean(text: str) -> str:
    """Drops what tokenizers choke on, and the end of a text far beyond what a model reads."""
    return text[:_MAX_CHARS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
