"""Times of day as people write them: 16:00 · 4 p.m. · 下午四点半 · half past four · from nine."""

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from knowledge.numerals import value_of
from knowledge.quantity import HALF_DAY, Quantity

_PART = r"(?P<part>凌晨|清晨|早晨|早上|早|上午|中午|午后|下午|傍晚|晚上|晚间|夜里|晚)?"
_ZH_HOUR = r"(?:\d{1,2}|二?十?[一二三四五六七八九两]|二?十|零)"
_ZH = re.compile(
    rf"{_PART}\s?(?<!\d)(?P<hour>{_ZH_HOUR})\s?(?:点钟?(?!几)|时(?!间|长|段|候|效|限|常|装))"
    r"(?:(?P<half>半)|(?P<quarter>[一三])刻"
    r"|(?P<minute>\d{1,2}|[二三四五]?十[一二三四五六七八九]?)分?(?!钟|天|个|位|块|元))?"
)
_DIGITS = re.compile(
    rf"{_PART}(?<![\d:.])(?P<hour>\d{{1,2}})[:：](?P<minute>\d\d)(?![\d:])(?:\s?(?P<half>[ap])\.?m\b\.?)?"
)
_HALVES = re.compile(
    r"(?<![\d:.])(?P<hour>\d{1,2})(?:[.:](?P<minute>\d\d))?\s?(?P<half>[ap])\.?m\b\.?"
)
_NOON = re.compile(r"\b(?:(?P<noon>noon|midday)|midnight)\b")
_WORD = r"(?P<hour>one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2})"
_DAY_PART = r"(?: in the (?P<part>morning|afternoon|evening)| at (?P<night>night))"
_PAST = re.compile(
    r"\b(?:(?P<away>half|quarter|five|ten|twenty)(?: minutes)? (?P<side>past|to)) "
    rf"{_WORD}(?: o[’']clock)?{_DAY_PART}?\b"
)
_SPOKEN = re.compile(
    rf"\b{_WORD}(?= o[’']clock| in the (?:morn|after|even)| at night)(?: o[’']clock)?{_DAY_PART}?"
)
#: Read only beside another time, as `from nine` alone may count anything.
_BARE = (
    re.compile(rf"(?:(?<=from )|(?<=between )){_WORD}(?= (?:to|until|till|and|in) )"),
    re.compile(rf"(?:(?<=\bat )|(?<=until )|(?<=till )){_WORD}(?=[,.;)]|$| (?:and|on|every|or) )"),
)
_JOINED = re.compile(r"\s?(?:-|–|—|~|～|至|到|to|until|till)\s?(?:次日)?\s?")
_BETWEEN = re.compile(r"\s?and\s?")
_AWAY = {"half": 30.0, "quarter": 15.0, "five": 5.0, "ten": 10.0, "twenty": 20.0}
_LATE = ("下午", "傍晚", "晚上", "晚间", "夜里", "晚", "午后", "afternoon", "evening")
_EARLY = ("凌晨", "清晨", "早晨", "早上", "早", "上午", "morning")


def clock_times(plain: str) -> Iterator[Quantity]:
    """Yields the times of a lower-case text in its order, opening hours as one range."""
    found: list[Quantity] = []
    for pattern in (_DIGITS, _HALVES, _PAST, _SPOKEN, _ZH, _NOON):
        _collect(pattern, plain, found)
    if found:
        for pattern in _BARE:
            _collect(pattern, plain, found)
    found.sort(key=lambda one: one.start)
    skip = False
    for one, following in zip_longest(found, found[1:]):
        if skip:
            skip = False
        elif following and _is_range(plain, one, following):
            yield _joined(one, following)
            skip = True
        else:
            yield one


def _collect(pattern: re.Pattern[str], plain: str, found: list[Quantity]) -> None:
    for match in pattern.finditer(plain):
        if any(one.start < match.end() and match.start() < one.end for one in found):
            continue
        groups = match.groupdict()
        minutes = _minutes(groups)
        if minutes is not None:
            unit = "time" if _is_sure(groups, minutes, match[0]) else HALF_DAY
            found.append(Quantity("time", unit, minutes, minutes, *match.span()))


def _is_range(plain: str, one: Quantity, following: Quantity) -> bool:
    between = plain[one.end : following.start]
    if _JOINED.fullmatch(between):
        return True
    return bool(_BETWEEN.fullmatch(between)) and plain[: one.start].rstrip().endswith("between")


def _joined(one: Quantity, following: Quantity) -> Quantity:
    high = following.low
    if high <= one.low and high < 720 and (following.unit == HALF_DAY or one.low >= 720):
        high += 720  # nine to half past five; 21:00 to 2:00 wraps, too
    unit = one.unit if one.unit == following.unit else "time"
    return Quantity("time", unit, one.low, max(one.low, high), one.start, following.end)


def _is_sure(groups: Mapping[str, str | None], minutes: float, text: str) -> bool:
    if ":" in text or "：" in text or "noon" in groups or minutes >= 780:
        return True
    return bool(groups.get("part") or groups.get("night") or groups.get("half") in ("a", "p"))


def _minutes(groups: Mapping[str, str | None]) -> float | None:
    """Returns minutes after midnight; None where there is no such time."""
    if "noon" in groups:
        return 720.0 if groups["noon"] else 1440.0
    hour, minute = value_of(groups.get("hour") or ""), value_of(groups.get("minute") or "0")
    if hour is None or minute is None or hour > 24 or minute > 59:
        return None
    half, part = groups.get("half"), groups.get("part")
    if half in ("a", "p"):
        hour = hour % 12 + (12 if half == "p" else 0)
    elif half == "半":
        minute = 30.0
    elif groups.get("quarter"):
        minute = 15.0 if groups["quarter"] == "一" else 45.0
    late = part in _LATE or groups.get("night")
    if (late and hour < 12) or (part == "中午" and hour < 3):
        hour += 12
    away = _AWAY.get(groups.get("away") or "", 0.0)
    return hour * 60 + minute + (away if groups.get("side") == "past" else -away)
