"""Small-to-big: the sentences of a passage, embedded beside it so that one of them can be found.

A passage of several facts lies between all of them, near to none. Each sentence with the
passage's place in its document gets a vector of its own; a search takes the best of them and
gives back the whole passage. On the demo company's development questions this lifts hit@5 by
meaning from 0.72 to 0.77, and leaves the two public sets that were tried
both ways as they were.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from knowledge.embedding import Embedder, Vectors, is_chinese

_SENTENCE_END = re.compile(r"(?<=[。！？!?；;])|(?<=\.)\s+|\n+")
#: Shorter pieces are joined with what follows: alone they say too little.
_MIN_CHARS = {True: 10, False: 25}
MAX_PARTS = 16
_GROUP = 8


def split_parts(body: str) -> list[str]:
    """Returns the sentences and lines of a passage, short ones joined with the next."""
    parts: list[str] = []
    held = ""
    for piece in _SENTENCE_END.split(body):
        if not piece.strip():
            continue
        held = f"{held} {piece.strip()}".strip()
        if len(held) >= _MIN_CHARS[is_chinese(held)]:
            parts.append(held)
            held = ""
    if held and parts:
        parts[-1] = f"{parts[-1]} {held}"
    elif held:
        parts.append(held)
    return parts


def part_texts(title: str, headings: Sequence[str], body: str) -> list[str]:
    """Returns what is embedded beside the passage itself: none when it is a single sentence."""
    parts = split_parts(body)[:MAX_PARTS]
    if len(parts) < 2:
        return []
    return [in_place(title, headings, part) for part in parts]


def in_place(title: str, headings: Sequence[str], part: str) -> str:
    """Returns what is embedded of a sentence: its place in the document, then itself."""
    place = " › ".join(line for line in dict.fromkeys([title, *headings]) if line)
    return f"{place}\n{part}" if place else part


def embed_parts(
    embedder: Embedder, texts: Sequence[Sequence[str]], *, pause: Callable[[], None]
) -> list[bytes | None]:
    """Returns what a chunk's row stores for each passage: (n, dim) float32, or None for none.

    Args:
        embedder: Makes the vectors.
        texts: `part_texts` of each passage.
        pause: Called between small batches; may wait, or raise to give up.
    """
    flat = [text for parts in texts for text in parts]
    made: list[Vectors] = []
    for first in range(0, len(flat), _GROUP):
        pause()
        made.append(embedder.embed_passages(flat[first : first + _GROUP]))
    rows = np.vstack(made) if made else np.empty((0, embedder.dim), np.float32)  # (n_parts, dim)
    stored: list[bytes | None] = []
    start = 0
    for parts in texts:
        end = start + len(parts)
        stored.append(np.ascontiguousarray(rows[start:end], "<f4").tobytes() if parts else None)
        start = end
    return stored


def all_vectors(whole: Vectors, parts: bytes | None) -> Vectors:
    """Returns (1 + n_parts, dim): the passage's own vector, then those of its parts."""
    if not parts:
        return whole.reshape(1, -1)
    below = np.frombuffer(parts, dtype="<f4").astype(np.float32).reshape(-1, whole.shape[-1])
    return np.vstack([whole.reshape(1, -1), below])
