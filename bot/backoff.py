"""Growing waits after repeated failures, per key, in memory."""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta


def wait_after(n_failures: int, *, n_free: int, first_s: int, longest_s: int) -> timedelta:
    """Returns how long to wait after the n-th failure: nothing at first, then doubling."""
    if n_failures < n_free:
        return timedelta(0)
    doublings = min(n_failures - n_free, 30)
    return timedelta(seconds=min(longest_s, first_s * 2**doublings))


def seconds_until(moment: datetime | None, now: datetime) -> int:
    """Returns whole seconds from now to the moment, rounded up; 0 when it has passed."""
    return 0 if moment is None else max(0, math.ceil((moment - now).total_seconds()))


class Backoff:
    """Counts failures of keys such as addresses; forgets the oldest beyond `max_keys`."""

    def __init__(
        self,
        *,
        n_free: int,
        first_s: int,
        longest_s: int,
        clock: Callable[[], datetime],
        max_keys: int = 10_000,
    ) -> None:
        self._rule = {"n_free": n_free, "first_s": first_s, "longest_s": longest_s}
        self._clock = clock
        self._max_keys = max_keys
        self._failures: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def wait_s(self, key: str) -> int:
        """Returns the seconds this key must still wait; 0 when it may try."""
        _, until = self._failures.get(key, (0, None))
        return seconds_until(until, self._clock())

    def fail(self, key: str) -> None:
        """Counts one more failure."""
        n_failures = self._failures.pop(key, (0, None))[0] + 1
        self._failures[key] = (n_failures, self._clock() + wait_after(n_failures, **self._rule))
        while len(self._failures) > self._max_keys:
            self._failures.popitem(last=False)

    def clear(self, key: str) -> None:
        """Forgets the key's failures."""
        self._failures.pop(key, None)
