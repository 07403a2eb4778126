"""Lets passages of the other language come up beside those of the question's own.

Any passage of the question's own language is nearer to it than a passage of the other language
that says the same, by vector and still more by words, so an answer that stands only in the other
language comes behind the own language's best guesses. Against that, the other language's
candidates are lifted by a part of what its best lack to the own language's best. A knowledge base
of one language ranks as before.

On 80 Chinese questions to English passages of the demo company this lifted hit@5 from 0.51 to
0.60, on 85 English ones to Chinese passages from 0.40 to 0.47, before questions in the other
language were attached to its passages; within a language nothing changed. A larger part finds
more across languages and loses questions within one.
"""

from collections.abc import Collection, Sequence
from math import fsum

_N_BEST = 10
_PART = 0.4


def lift_other_language(
    fused: Sequence[tuple[int, float]], others: Collection[int]
) -> list[tuple[int, float]]:
    """Returns (id, score) pairs, best first; ties go to the smaller id.

    Args:
        fused: (id, score) pairs of all candidates, best first.
        others: Ids of passages that are not in the question's language.
    """
    foreign = [score for id, score in fused if id in others]
    own = [score for id, score in fused if id not in others]
    if not foreign or not own:
        return list(fused)
    lift = _PART * max(0.0, _mean(own[:_N_BEST]) - _mean(foreign[:_N_BEST]))
    lifted = [(id, score + lift if id in others else score) for id, score in fused]
    return sorted(lifted, key=lambda pair: (-pair[1], pair[0]))


def _mean(scores: Sequence[float]) -> float:
    return fsum(scores) / len(scores)
