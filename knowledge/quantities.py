"""Reads the quantities of a text in comparable form: durations, amounts, dates, times, counts.

Where grounding asks whether a figure stands in a passage at all, the report of contradictions
asks whether two passages give the same figure in other words: 72 hours and three days, 九折 and
10 % off, 晚上十点半 and 22:30 are equal. Numbers without a unit are not read: what they count
cannot be told. Offsets are into the text as given.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from knowledge.numerals import NUMBER, value_of

_MINUTES = {"day": 1440.0, "week": 10080.0, "month": 43200.0, "year": 518400.0}

#: Dimension, factor to its base unit, and the unit's names.
_UNITS: tuple[tuple[str, str, float, str], ...] = (
    ("duration", "workday", 1440.0, "个工作日|工作日|working[ -]days?|business[ -]days?|workdays?"),
    ("duration", "second", 1 / 60, "秒钟?|seconds?|secs?"),
    ("duration", "minute", 1.0, "分钟|minutes?|mins?"),
    ("duration", "hour", 60.0, "个?小时|个?钟头|hours?|hrs?|h"),
    ("duration", "day", _MINUTES["day"], "个?自然日|天|日(?![元期])|(?:calendar )?days?"),
    ("duration", "week", _MINUTES["week"], "周(?!岁|[一二三四五六日末年])|个?星期|个?礼拜|weeks?"),
    ("duration", "month", _MINUTES["month"], "个月|months?"),
    ("duration", "year", _MINUTES["year"], "周?年|years?(?! old| of age)"),
    ("age", "age", 1.0, "周?岁|years? (?:old|of age)|or (?:older|over)|and (?:over|older)"),
    ("cny", "cny", 1.0, "元|块钱?|圆|人民币|yuan|rmb|cny"),
    ("eur", "eur", 1.0, "欧元|欧|euros?|eur|€"),
    ("gbp", "gbp", 1.0, "英镑|镑|pounds?|gbp|£"),
    ("usd", "usd", 1.0, "美元|美金|dollars?|usd"),
    ("percent", "percent", 1.0, "%|个百分点|per ?cent"),
    ("mass", "kg", 1000.0, "公斤|千克|kgs?|kilograms?|kilos?"),
    ("mass", "jin", 500.0, "斤"),
    ("mass", "g", 1.0, "克|grams?|g"),
    ("volume", "ml", 1.0, "毫升|ml|millilit(?:re|er)s?"),
    ("volume", "l", 1000.0, "升|l|lit(?:re|er)s?"),
    ("length", "mm", 1.0, "毫米|mm|millimet(?:re|er)s?"),
    ("length", "cm", 10.0, "厘米|公分|cm|centimet(?:re|er)s?"),
    ("length", "km", 1e6, "公里|千米|km|kilomet(?:re|er)s?"),
    ("length", "m", 1000.0, "米|m|met(?:re|er)s?"),
    ("area", "m2", 1.0, "平方米|平米|平方|㎡|square met(?:re|er)s?"),
    ("celsius", "celsius", 1.0, "摄氏度|度|°c|℃|degrees?(?: celsius| c)?"),
    ("power", "kw", 1000.0, "千瓦|kw|kilowatts?"),
    ("power", "w", 1.0, "瓦|w|watts?"),
    ("voltage", "v", 1.0, "伏特?|v|volts?"),
    ("capacity", "mah", 1.0, "毫安时?|mah"),
    ("pressure", "pa", 1.0, "帕|pa"),
    ("noise", "db", 1.0, "分贝|db|decibels?"),
    ("points", "points", 1.0, "积分|points?"),
    ("factor", "factor", 1.0, "倍|x(?![a-z])"),
    ("count:person", "person", 1.0, "个?人|位|名|people|persons?|guests?|members?|visitors?"),
    ("count:time", "time", 1.0, "次|回(?!来)|times"),
    ("count:instalment", "instalment", 1.0, "期|monthly instalments?|instal?lments?"),
    ("count:item", "item", 1.0, "件|items?|pieces?"),
    ("count:set", "set", 1.0, "台|套|units?|sets?"),
    ("count:class", "class", 1.0, "节|sessions?|classes|lessons?"),
    ("count:cup", "cup", 1.0, "杯|cups?"),
    ("count:card", "card", 1.0, "张|cards?"),
    ("count:order", "order", 1.0, "单|笔|orders?"),
    ("count:shop", "shop", 1.0, "家|间|stores?|shops?|branches|showrooms?"),
    ("count:level", "level", 1.0, "级|档|levels?|stages?|settings?"),
    ("count:piece", "piece", 1.0, "[个只支份条瓶盒袋包把副枚片块]"),
)
_CURRENCY = {"€": "eur", "£": "gbp", "¥": "cny", "$": "usd"}
_ENDED = r"(?![a-z])"
_UNIT = "|".join(
    f"(?P<u{n}>(?:{names}){_ENDED if re.search('[a-z]', names) else ''})"
    for n, (_, _, _, names) in enumerate(_UNITS)
)
_DASH = r"\s?(?:-|–|—|~|～|至|到|\bto\b|\bor\b)\s?"
_QUANTITY = re.compile(
    rf"(?P<sign>[€£¥$])?\s?(?P<low>{NUMBER})(?:{_DASH}[€£¥$]?(?P<high>{NUMBER}))?"
    rf"(?:[\s-]?(?P<more>多|余)?(?:{_UNIT})(?P<half>半)?)?"
)
_DISCOUNT = re.compile(
    r"(?<!\d)(?:(\d)\.?(\d)?|([一二三四五六七八九])([一二三四五六七八九])?)\s?折"
)
_AGE = re.compile(
    r"\b(?:aged?|ages|from(?: the age of)?|under|over)[ -](?P<n>\d{1,2})(?:s\b|(?= years))"
)
_CODE = re.compile(r"(?<![a-z0-9])(?:[a-z]{1,6}-?)+\d[a-z0-9-]*")
_PHONE = re.compile(r"(?<![\d.])\+?\d{2,4}(?:[ -]\d{3,4}){2,}(?!\d)|(?<![\d.,])\d{7,}(?!\d)")

_PART = r"(?P<part>凌晨|清晨|早晨|早上|早|上午|中午|午后|下午|傍晚|晚上|晚间|夜里|晚)?"
_ZH_HOUR = r"(?:\d{1,2}|二?十?[一二三四五六七八九两]|二?十)"
_ZH_CLOCK = re.compile(
    rf"{_PART}\s?(?P<hour>{_ZH_HOUR})\s?(?:点钟?|时(?!间|长|段|候|效|限|常))"
    r"(?:(?P<half>半)|(?P<quarter>[一三])刻"
    r"|(?P<minute>\d{1,2}|[二三四五]?十[一二三四五六七八九]?)分?(?!钟|天|个|位))?"
)
_CLOCK = re.compile(
    rf"{_PART}(?<![\d:.])(?P<hour>\d{{1,2}})[:：](?P<minute>\d\d)(?![\d:])(?:\s?(?P<half>[ap])\.?m\b\.?)?"
)
_EN_CLOCK = re.compile(
    r"(?<![\d:.])(?P<hour>\d{1,2})(?:[.:](?P<minute>\d\d))?\s?(?P<half>[ap])\.?m\b\.?"
)
_LATE = ("午后", "下午", "傍晚", "晚上", "晚间", "夜里", "晚")
_NOON = re.compile(r"\b(?:(?P<noon>noon|midday)|midnight)\b")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<!\d)(?P<year>(?:19|20)\d\d)[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)",
        r"(?:(?<!\d)(?P<year>(?:19|20)\d\d|二[〇零][〇零一二三四五六七八九]{2})\s?年\s?)?(?<!\d)(?P<m>\d{1,2}|十?[一二三四五六七八九十])\s?月"
        r"\s?(?P<d>\d{1,2}|[二三]?十?[一二三四五六七八九十])\s?[日号]"
        r"(?:\s?[-~～—至到]\s?(?P<last>\d{1,2})\s?[日号])?",
        rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}"
        r"(?:,? (?P<year>(?:19|20)\d\d))?(?![a-z])",
        rf"\b{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>(?:19|20)\d\d))?(?![\d:])",
    )
)
_JOINED = re.compile(r"\s?(?:-|–|—|~|～|至|到|to|and|until|till)\s?(?:次日)?\s?")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure with its dimension, such as `duration`; a single value has `low == high`."""

    dimension: str
    unit: str
    low: float
    high: float
    start: int
    end: int

    def agrees(self, other: "Quantity") -> bool:
        """True where both may be the same fact; False also for different dimensions."""
        if self.dimension != other.dimension:
            return False
        if self.dimension == "date":
            return _same_date(self.low, other.low) and _same_date(self.high, other.high)
        both_ranges = self.low < self.high and other.low < other.high
        mine, theirs = self._bounds(other), other._bounds(self)
        if both_ranges:
            return _near(mine[0], theirs[0], self, other) and _near(mine[1], theirs[1], self, other)
        if self.dimension == "time":
            return any(a == b for a in mine for b in theirs)
        return (mine[0] <= theirs[1] and theirs[0] <= mine[1]) or any(
            _near(a, b, self, other) for a in mine for b in theirs
        )

    def _bounds(self, other: "Quantity") -> tuple[float, float]:
        """Working days last between that many days and half as many again, with a week end."""
        if self.unit == "workday" and other.unit != "workday":
            return self.low, self.high * 1.4 + 2880
        return self.low, self.high


def quantities(text: str) -> list[Quantity]:
    """Returns the quantities of a text in its order; they do not overlap."""
    plain = _plain(text)
    found: list[Quantity] = []
    for reader in (_dates, _clocks, _discounts, _ages):
        fresh = list(reader(plain))
        found += fresh
        plain = _blanked(plain, [(one.start, one.end) for one in fresh])
    for pattern in (_PHONE, _CODE):
        plain = _blanked(plain, [match.span() for match in pattern.finditer(plain)])
    found += _measures(plain)
    return sorted(found, key=lambda one: one.start)


def _measures(plain: str) -> Iterator[Quantity]:
    for match in _QUANTITY.finditer(plain):
        low = value_of(match["low"])
        high = value_of(match["high"]) if match["high"] else low
        unit = next((n for n in range(len(_UNITS)) if match[f"u{n}"]), None)
        if low is None or high is None or (unit is None and not match["sign"]):
            continue
        if match["sign"]:
            name = _CURRENCY[match["sign"]]
            dimension, factor = name, 1.0
        elif unit is not None:
            dimension, name, factor, _ = _UNITS[unit]
        if name == "year" and 1900 <= low <= 2100:
            continue
        if match["half"] and dimension == "duration":
            low, high = low + 0.5, high + 0.5
        start, end = match.span("sign")[0] if match["sign"] else match.start("low"), match.end()
        low, high = sorted((low * factor, high * factor))
        yield Quantity(dimension, name, low, high, start, end)


def _dates(plain: str) -> Iterator[Quantity]:
    taken: list[tuple[int, int]] = []
    for pattern in _DATES:
        for match in pattern.finditer(plain):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            groups = match.groupdict()
            month = (
                float(_MONTHS.index(groups["month"]) + 1)
                if groups.get("month")
                else value_of(groups["m"])
            )
            day, year = value_of(match["d"]), value_of(match["year"]) if match["year"] else 0.0
            if month is None or day is None or year is None or not (1 <= month <= 12 and day <= 31):
                continue
            taken.append(match.span())
            coded = year * 10_000 + month * 100 + day
            last = coded + (float(groups["last"]) - day if groups.get("last") else 0)
            yield Quantity("date", "date", coded, last, *match.span())


def _clocks(plain: str) -> Iterator[Quantity]:
    found: list[Quantity] = []
    for pattern in (_CLOCK, _EN_CLOCK, _ZH_CLOCK, _NOON):
        for match in pattern.finditer(plain):
            if any(one.start < match.end() and match.start() < one.end for one in found):
                continue
            minutes = _minutes(match.groupdict())
            if minutes is not None:
                found.append(Quantity("time", "time", minutes, minutes, *match.span()))
    found.sort(key=lambda one: one.start)
    skip = False
    for one, following in zip_longest(found, found[1:]):
        if skip:
            skip = False
            continue
        if following and _JOINED.fullmatch(plain[one.end : following.start]):
            high = following.low + (720 if following.low <= one.low and following.low < 720 else 0)
            yield Quantity("time", "time", one.low, max(one.low, high), one.start, following.end)
            skip = True
        else:
            yield one


def _minutes(groups: dict[str, str | None]) -> float | None:
    """Returns minutes after midnight; None where there is no such time."""
    if "noon" in groups:
        return 720.0 if groups["noon"] else 1440.0
    hour, minute = value_of(groups["hour"] or ""), value_of(groups["minute"] or "0")
    if hour is None or minute is None or hour > 24 or minute > 59:
        return None
    half, part = groups.get("half"), groups.get("part")
    if half in ("a", "p"):
        hour = hour % 12 + (12 if half == "p" else 0)
    elif half == "半":
        minute = 30.0
    elif groups.get("quarter"):
        minute = 15.0 if groups["quarter"] == "一" else 45.0
    if (part in ("下午", "傍晚", "晚上", "晚间", "夜里", "晚", "午后") and hour < 12) or (
        part == "中午" and hour < 3
    ):
        hour += 12
    return hour * 60 + minute


def _discounts(plain: str) -> Iterator[Quantity]:
    """九折 and 8.5 折 say what is left to pay; what is taken off is compared."""
    for match in _DISCOUNT.finditer(plain):
        first, second = match[1] or match[3], match[2] or match[4]
        tens, ones = value_of(first), value_of(second) if second else 0.0
        if tens is None or ones is None:
            continue
        off = 100 - tens * 10 - ones
        yield Quantity("percent", "percent", off, off, *match.span())


def _ages(plain: str) -> Iterator[Quantity]:
    for match in _AGE.finditer(plain):
        age = float(match["n"])
        if re.match(r" years(?! of age| old)", plain[match.end() :]):
            continue
        yield Quantity("age", "age", age, age, *match.span("n"))


def _near(a: float, b: float, mine: Quantity, theirs: Quantity) -> bool:
    """Equal; where a month is held against days, as near as months are unequal."""
    if mine.dimension == "duration" and mine.unit != theirs.unit:
        return abs(a - b) <= 0.04 * max(a, b)
    return abs(a - b) < 1e-6


def _same_date(a: float, b: float) -> bool:
    """A date without a year may be of any year."""
    if a % 10_000 != b % 10_000:
        return False
    return a == b or a < 10_000 or b < 10_000


def _plain(text: str) -> str:
    """Lower case and half width, each character still at its place."""
    changed = (unicodedata.normalize("NFKC", char).lower() for char in text.replace("￥", "¥"))
    return "".join(new if len(new) == 1 else old for new, old in zip(changed, text, strict=True))


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + "\0" * (end - start) + text[end:]
    return text
