"""Two embedders at once: the one whose vectors are searched, and the one that is to take over.

After a change of the embedder the vectors in the database are still the old one's. Search and
ingestion go on with it while `knowledge.rebuild_job` makes the new vectors beside the old ones;
when all are there they are switched in one transaction, and then this process switches too.
"""

import logging
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from knowledge import live_chunks
from knowledge.embedding import Embedder, Vectors
from knowledge.errors import EmbedderUnavailable

logger = logging.getLogger(__name__)


class SwitchingEmbedder:
    """An `Embedder` that is `current` until `switch`, and `target` from then on."""

    def __init__(self, current: Embedder, target: Embedder) -> None:
        if current.id == target.id:
            raise ValueError(f"Expected two embedders, got {target.id!r} twice.")
        self._current = current
        self.target = target

    @property
    def is_switched(self) -> bool:
        """True once the target has taken over."""
        return self._current is self.target

    @property
    def id(self) -> str:
        """Name of the weights in use."""
        return self._current.id

    @property
    def dim(self) -> int:
        """Length of each vector."""
        return self._current.dim

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of questions."""
        return self._current.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Returns (n, dim) float32 unit vectors of passages."""
        return self._current.embed_passages(texts)

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens the model in use reads for `text`."""
        return self._current.count_tokens(text)

    def switch(self) -> None:
        """Lets the target take over, for good."""
        logger.info("embedder %s takes over from %s", self.target.id, self._current.id)
        self._current = self.target


def target_of(embedder: Embedder) -> Embedder:
    """Returns the embedder that vectors are to be made with in the end."""
    return embedder.target if isinstance(embedder, SwitchingEmbedder) else embedder


def serving_embedder(
    engine: Engine, wanted: Embedder, *, load: Callable[[str], Embedder]
) -> Embedder:
    """Returns what to search and ingest with: `wanted`, or the old embedder until a rebuild.

    Where the old one cannot be loaded any more, `wanted` it is: passages without its vectors are
    then found by their words only.

    Args:
        engine: The database.
        wanted: The embedder that the settings name.
        load: Loads an embedder by the id that chunks remember.
    """
    in_use = live_chunks.embedders_in_use(engine)
    if not in_use:
        return wanted
    old = max(in_use, key=lambda id: (in_use[id], id == wanted.id))
    n_foreign = sum(in_use.values()) - in_use.get(wanted.id, 0)
    if old == wanted.id:
        if n_foreign:
            logger.warning("%d passages lack vectors of %s: run `kefu kb rebuild`", n_foreign, old)
        return wanted
    try:
        current = load(old)
    except EmbedderUnavailable as error:
        logger.warning(
            "%d passages were embedded with %s, which cannot be loaded any more (%s): they are "
            "found by their words only until `kefu kb rebuild` is done",
            n_foreign, old, error,
        )  # fmt: skip
        return wanted
    logger.warning(
        "%d passages were embedded with %s, which goes on serving until `kefu kb rebuild` has "
        "embedded them with %s",
        n_foreign, old, wanted.id,
    )  # fmt: skip
    return SwitchingEmbedder(current, wanted)
