"""Chooses tokens from logits: greedily, or by nucleus sampling with a seed of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bot.llm.base import GenerationParams

_FIRST_CUT = 512  # most nuclei are smaller, so that a full sort is rarely needed


class Sampler:
    """Chooses the tokens of one answer.

    Args:
        banned: (n,) int64, token ids that are never chosen.
    """

    def __init__(self, params: GenerationParams, banned: Tensor) -> None:
        self._params = params
        self._banned = banned
        self._random = torch.Generator(banned.device)
        if params.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(params.seed)

    @torch.inference_mode()
    def choose(self, logits: Tensor, draft: Sequence[int]) -> list[int]:
        """The draft tokens that the model would have chosen itself, and one token more.

        Exact for sampling too: a draft that is one fixed guess has all its probability in one
        token, so that drawing from the model's own distribution and going on while the draw equals
        the guess gives the model's distribution. Every token takes one draw, with or without draft.

        Args:
            logits: (1 + len(draft), vocabulary), of the positions before each draft token and
                after the last; changed in place.
            draft: the guesses whose logits these are.

        Returns:
            1 to 1 + len(draft) tokens.

        Source: speculative sampling (Leviathan et al. 2023), for a point-mass draft.
        """
        logits.index_fill_(-1, self._banned, float("-inf"))
        if self._params.temperature == 0:
            best = logits.argmax(-1).tolist()
            return best[: 1 + _n_equal(best, draft)]
        chosen: list[int] = []
        for position, row in enumerate(logits):
            chosen.append(self._draw(row.float()))
            if position < len(draft) and chosen[-1] != draft[position]:
                break
        return chosen

    def _draw(self, logits: Tensor) -> int:
        probabilities = torch.softmax(logits / self._params.temperature, -1)  # (vocabulary,)
        top, ids = probabilities.topk(min(_FIRST_CUT, len(probabilities)))
        if float(top.sum()) < self._params.top_p:
            top, ids = probabilities.sort(descending=True)
        before = top.cumsum(-1) - top
        nucleus = torch.where(before < self._params.top_p, top, 0.0)
        nucleus[0] = top[0]  # top_p 0 still leaves the best token
        return int(ids[torch.multinomial(nucleus, 1, generator=self._random)])


def _n_equal(chosen: Sequence[int], draft: Sequence[int]) -> int:
    for position, (ours, guess) in enumerate(zip(chosen, draft, strict=False)):
        if ours != guess:
            return position
    return len(draft)
