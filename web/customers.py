"""Reads who the host page says its customer is."""

import json
from collections.abc import Mapping

import jwt

from web.errors import HttpProblem

_MAX_CHARS = 4096
_CLAIMS = ("sub", "name", "language")


def read_customer(given: str | Mapping[str, object] | None, key: str) -> dict[str, object] | None:
    """Returns what is kept with the conversation; `verified` only for a valid, signed token.

    A token must be HS256 under `key` with `sub` and `exp`. Anything else is kept as the
    customer's own claim, which never authorises a tool.

    Raises:
        HttpProblem: 422 when it is longer than 4096 characters.
    """
    if not given:
        return None
    if len(given if isinstance(given, str) else json.dumps(given)) > _MAX_CHARS:
        raise HttpProblem("invalid", f"customer: at most {_MAX_CHARS} characters")
    if isinstance(given, str) and key:
        try:
            claims = jwt.decode(
                given, key, algorithms=["HS256"], options={"require": ["sub", "exp"]}
            )
        except jwt.InvalidTokenError as error:
            return {"verified": False, "claim": given, "problem": type(error).__name__}
        return {"verified": True} | {name: claims[name] for name in _CLAIMS if name in claims}
    return {"verified": False, "claim": given if isinstance(given, str) else dict(given)}
