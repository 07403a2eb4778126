"""How many requests an address may make, counted in memory over a sliding window."""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable


class RateLimiter:
    """Allows `limit` events per key in any `window_s`; forgets the oldest beyond `max_keys`."""

    def __init__(
        self,
        limit: int,
        *,
        window_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        max_keys: int = 20_000,
    ) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._max_keys = max_keys
        self._events: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str) -> int:
        """Counts one event and returns 0, or returns the whole seconds to wait."""
        with self._lock:
            now = self._clock()
            events = self._events.setdefault(key, deque(maxlen=self._limit))
            self._events.move_to_end(key)
            if len(events) == self._limit and now - events[0] < self._window_s:
                return max(1, math.ceil(self._window_s - (now - events[0])))
            events.append(now)
            if len(self._events) > self._max_keys:
                self._events.popitem(last=False)
            return 0
