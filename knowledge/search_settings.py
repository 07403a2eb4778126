"""The search settings in force: those of the environment until others are applied in the page.

Applied settings are stored, so every process sees them within a second and they outlive a
restart; taking them back returns to the environment's.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import Any, Literal

from sqlalchemy import Engine, delete, insert, select

from knowledge.cost import threshold_for
from knowledge.tables import SearchSettingsRow

_FRESH_S = 1.0
_ROW = 1
MAX_TOP_K = 50
MAX_CANDIDATES = 1000
MAX_RERANKED = 100
_MAX_WEIGHT = 10.0
MAX_HANDOFFS = 1000.0

FusionMethod = Literal["learned", "rank"]


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """How a search looks and what it gives back.

    Args:
        top_k: Passages returned when the caller does not say.
        candidates: Passages taken from each index before fusion.
        fusion: By learned weights, where the embedder has any, or by rank.
        word_weight: Multiplies what words count beside vectors; 0 leaves words out.
        per_document: Passages of one document among the hits before others are preferred; 0:
            any number.
        handoffs_per_wrong_answer: What a wrong answer costs; the threshold follows from it.
        relevance_threshold: Instead of the one that follows; None: none.
        rerank_candidates: The first of the fusion that a reranker scores again, where one is
            loaded; 0 leaves it out.
    """

    top_k: int
    candidates: int
    fusion: FusionMethod = "learned"
    word_weight: float = 1.0
    per_document: int = 0
    handoffs_per_wrong_answer: float = 1.0
    relevance_threshold: float | None = None
    rerank_candidates: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.top_k <= MAX_TOP_K and 1 <= self.candidates <= MAX_CANDIDATES):
            raise ValueError(
                f"Expected positive numbers, top_k up to {MAX_TOP_K} and candidates up to "
                f"{MAX_CANDIDATES}, got {self!r}."
            )
        if self.fusion not in ("learned", "rank"):
            raise ValueError(f"Expected fusion 'learned' or 'rank', got {self.fusion!r}.")
        if not 0 <= self.word_weight <= _MAX_WEIGHT or not 0 <= self.per_document <= MAX_TOP_K:
            raise ValueError(
                f"Expected word_weight in [0, {_MAX_WEIGHT:g}] and per_document in "
                f"[0, {MAX_TOP_K}], got {self!r}."
            )
        given = self.relevance_threshold
        if not 0 <= self.handoffs_per_wrong_answer <= MAX_HANDOFFS or not 0 <= (given or 0) <= 1:
            raise ValueError(
                f"Expected handoffs_per_wrong_answer in [0, {MAX_HANDOFFS:g}] and "
                f"relevance_threshold in [0, 1] or none, got {self!r}."
            )
        if not 0 <= self.rerank_candidates <= MAX_RERANKED:
            raise ValueError(f"Expected rerank_candidates in [0, {MAX_RERANKED}], got {self!r}.")

    @property
    def threshold(self) -> float:
        """The relevance below which nothing relevant was found, see `knowledge.cost`."""
        if self.relevance_threshold is not None:
            return self.relevance_threshold
        return threshold_for(self.handoffs_per_wrong_answer)


class SearchSettings:
    """Reads and applies the settings in force.

    Args:
        engine: The database.
        default: In force until others are applied.
    """

    def __init__(self, engine: Engine, default: RetrievalOptions) -> None:
        self._engine = engine
        self._default = default
        self._lock = Lock()
        self._current = default
        self._read_at = float("-inf")

    def current(self) -> RetrievalOptions:
        """Returns the settings in force as of at most a second ago."""
        with self._lock:
            if monotonic() - self._read_at > _FRESH_S:
                self._current = self._read()
                self._read_at = monotonic()
            return self._current

    def apply(self, options: RetrievalOptions | None, *, author: str) -> None:
        """Puts `options` in force for every process; None takes applied ones back."""
        with self._engine.begin() as connection:
            connection.execute(delete(SearchSettingsRow))
            if options is not None:
                row = {
                    "id": _ROW,
                    "values": asdict(options),
                    "author": author[:64],
                    "updated_at": datetime.now(UTC),
                }
                connection.execute(insert(SearchSettingsRow).values(row))
        with self._lock:
            self._read_at = float("-inf")

    def changed(self, values: Mapping[str, Any]) -> RetrievalOptions:
        """Returns the settings in force with some values changed.

        Raises:
            ValueError: a value is out of range.
        """
        return replace(self.current(), **values)

    def _read(self) -> RetrievalOptions:
        with self._engine.connect() as connection:
            values = connection.scalar(select(SearchSettingsRow.values))
        return self._default if values is None else replace(self._default, **values)
