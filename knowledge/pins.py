"""Pinned passages: first among what was found, never part of what was not.

A pin is a person's word that this passage is the one to read when several say similar things. It
says nothing about which questions it answers, so a pinned passage has to be found like any other.
"""

from collections.abc import Collection, Sequence

#: How near a pinned passage must come to the best one, as a share of the way from the last
#: candidate's cosine to the best one's. A share, because cosines of one embedder spread wider
#: than those of another.
NEAR_ENOUGH = 0.5

Ranking = Sequence[tuple[int, float]]


def lift_pinned(
    fused: Ranking, pinned: Collection[int], *, cosines: Ranking, top_k: int
) -> list[tuple[int, float]]:
    """Returns `fused` with comparable pinned passages first, otherwise in the same order.

    A pinned passage is comparable when it is among the first `top_k` anyway and its cosine lies
    in the upper half of the candidates' range.

    Args:
        fused: (chunk id, score) pairs, best first.
        pinned: Which chunks are pinned.
        cosines: (chunk id, cosine) pairs of the dense candidates, best first.
        top_k: How many passages are returned in the end.
    """
    if not pinned or not cosines:
        return list(fused)
    best, last = cosines[0][1], cosines[-1][1]
    needed = last + NEAR_ENOUGH * (best - last)
    near = {id for id, cosine in cosines if cosine >= needed}
    lifted = [pair for pair in fused[:top_k] if pair[0] in pinned and pair[0] in near]
    return [*lifted, *(pair for pair in fused if pair not in lifted)]
