"""Traditional Chinese characters as simplified ones, so that either finds the other.

OpenCC converts by phrase, so 乾淨 becomes 干净 while 乾隆 stays. The converter is loaded at the
first character that needs it.
"""

import re
from functools import lru_cache
from typing import Any

_HAN = re.compile(r"[\u3400-\u9fff]")


def to_simplified(text: str) -> str:
    """Returns `text` with traditional characters simplified; other text comes back as it was."""
    return str(_converter().convert(text)) if _HAN.search(text) else text


@lru_cache(maxsize=1)
def _converter() -> Any:  # OpenCC has no types
    import opencc

    return opencc.OpenCC("t2s")
