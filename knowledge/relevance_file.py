"""Relevance as a company fitted it on its own questions, else as it is shipped.

The file may come, change or go while a server runs: it is looked at again after a second.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from time import monotonic

from knowledge.relevance import RelevanceModel

logger = logging.getLogger(__name__)

NAME = "relevance.json"
_FRESH_S = 1.0


class RelevanceFile:
    """Predicts by the newest content of a file.

    Args:
        path: Where `RelevanceModel.save` wrote; need not be there.
        embedder: Id of the embedder in use; a file of another one is passed over.
    """

    def __init__(self, path: Path, *, embedder: str) -> None:
        self._path = path
        self._used_with = embedder
        self._shipped = RelevanceModel.load()
        self._lock = Lock()
        self._seen: tuple[int, int] | None = None
        self._model = self._shipped
        self._looked_at = float("-inf")

    @property
    def embedder(self) -> str:
        """Id of the embedder that the model was fitted on."""
        return self.current().embedder

    def predict(self, values: Sequence[float]) -> float:
        """Returns the probability in [0, 1] that the best passages answer the query."""
        return self.current().predict(values)

    def current(self) -> RelevanceModel:
        """Returns the model in force as of at most a second ago."""
        with self._lock:
            if monotonic() - self._looked_at > _FRESH_S:
                self._look()
                self._looked_at = monotonic()
            return self._model

    def _look(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._model = None, self._shipped
            return
        if self._seen == (stat.st_mtime_ns, stat.st_size):
            return
        self._seen, self._model = (stat.st_mtime_ns, stat.st_size), self._read()

    def _read(self) -> RelevanceModel:
        """Returns what the file holds; a search goes on by the shipped model where it is no use."""
        try:
            model = RelevanceModel.load(self._path)
        except (ValueError, KeyError, TypeError, OSError) as error:
            logger.warning("%s is passed over: %s; run `kefu kb calibrate`", self._path, error)
            return self._shipped
        if model.embedder != self._used_with:
            logger.warning("%s was fitted for embedder %s", self._path, model.embedder)
            return self._shipped
        return model
