"""Guesses the next tokens from what the text already says, and notices when it runs in circles."""

from collections import Counter
from collections.abc import Sequence

_NGRAM_LENGTHS = (3, 2)  # tried in this order
_LOOP_LENGTH = 12
_LOOP_TIMES = 3


class TokenHistory:
    """The tokens of a prompt and of the answer so far, indexed by their n-grams.

    Source: prompt lookup decoding (A. Saxena, 2023): what followed the last occurrence of the
    current n-gram is a good guess where answers copy from the prompt. Kept as an index, so that a
    guess costs the same for any prompt length.
    """

    def __init__(self, prompt: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}  # n-gram → position after its last occurrence
        self._pending: list[tuple[tuple[int, ...], int]] = []
        self._loops: Counter[tuple[int, ...]] = Counter()
        self._n_prompt = len(prompt)
        for token in prompt:
            self._push(token)

    @property
    def n_new(self) -> int:
        """Tokens of the answer."""
        return len(self._tokens) - self._n_prompt

    @property
    def last(self) -> int:
        """The newest token."""
        return self._tokens[-1]

    def append(self, token: int) -> bool:
        """Adds a token of the answer; False when the answer has begun to repeat itself."""
        self._push(token)
        if self.n_new < _LOOP_LENGTH:
            return True
        ngram = tuple(self._tokens[-_LOOP_LENGTH:])
        self._loops[ngram] += 1
        return self._loops[ngram] < _LOOP_TIMES

    def draft(self, n_tokens: int) -> list[int]:
        """Up to `n_tokens` tokens that followed the current n-gram the last time."""
        if n_tokens <= 0:
            return []
        for length in _NGRAM_LENGTHS:
            start = self._after.get(tuple(self._tokens[-length:]))
            if start is not None:
                return self._tokens[start : start + n_tokens]
        return []

    def _push(self, token: int) -> None:
        # The n-grams that end with the newest token are indexed one token later, so that looking
        # them up finds an earlier occurrence and never themselves.
        for ngram, position in self._pending:
            self._after[ngram] = position
        self._tokens.append(token)
        self._pending = [
            (tuple(self._tokens[-length:]), len(self._tokens))
            for length in _NGRAM_LENGTHS
            if len(self._tokens) >= length
        ]
