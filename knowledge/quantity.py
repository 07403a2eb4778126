"""A figure in comparable form, and when two of them may be the same fact."""

from dataclasses import dataclass, replace

#: A time of day that may be before or after noon.
HALF_DAY = "half day"
_NOON = 720.0
#: Working days last between that many days and half as many again, with a week end.
_WEEK_SHARE, _WEEK_END = 1.4, 2880.0


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure with its dimension, such as `duration`; a single value has `low == high`."""

    dimension: str
    unit: str
    low: float
    high: float
    start: int
    end: int

    def shifted(self, offset: int) -> "Quantity":
        """Returns it at another place of the text."""
        return replace(self, start=self.start + offset, end=self.end + offset)

    def agrees(self, other: "Quantity") -> bool:
        """True where both may be the same fact; False also for different dimensions."""
        if self.dimension != other.dimension:
            return False
        if self.dimension == "date":
            return _same_date(self.low, other.low) and _same_date(self.high, other.high)
        both_ranges = self.low < self.high and other.low < other.high
        if self.dimension == "time":
            return _same_time(self, other, both_ranges=both_ranges)
        if self.dimension == "percent" and abs(self.low + other.low - 100) < 1e-6:
            return True  # what is left to pay, and what is taken off
        mine, theirs = self._bounds(other), other._bounds(self)
        if both_ranges:
            return _near(mine[0], theirs[0], self, other) and _near(mine[1], theirs[1], self, other)
        return (mine[0] <= theirs[1] and theirs[0] <= mine[1]) or any(
            _near(a, b, self, other) for a in mine for b in theirs
        )

    def _bounds(self, other: "Quantity") -> tuple[float, float]:
        if self.unit == "workday" and other.unit != "workday":
            return self.low, self.high * _WEEK_SHARE + _WEEK_END
        return self.low, self.high


def _same_time(a: Quantity, b: Quantity, *, both_ranges: bool) -> bool:
    """A clock that does not say which half of the day may be either."""
    whole = _NOON if HALF_DAY in (a.unit, b.unit) else 2 * _NOON
    mine, theirs = (a.low % whole, a.high % whole), (b.low % whole, b.high % whole)
    if both_ranges:
        return mine == theirs
    return any(one == other for one in mine for other in theirs)


def _near(a: float, b: float, mine: Quantity, theirs: Quantity) -> bool:
    """Equal; where a month is held against weeks or days, as near as months are unequal."""
    if mine.dimension in ("duration", "interval") and mine.unit != theirs.unit:
        slack = 0.07 if {mine.unit, theirs.unit} == {"week", "month"} else 0.04
        return abs(a - b) <= slack * max(a, b)
    return abs(a - b) < 1e-6


def _same_date(a: float, b: float) -> bool:
    """A date without a year may be of any year."""
    if a % 10_000 != b % 10_000:
        return False
    return a == b or a < 10_000 or b < 10_000
