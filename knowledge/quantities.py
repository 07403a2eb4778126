"""Reads the quantities of a text in comparable form: durations, amounts, dates, times, counts.

Where grounding asks whether a figure stands in a passage at all, the report of contradictions
asks whether two passages give the same figure in other words: 72 hours and three days, 九折 and
10 % off, 晚上十点半 and 22:30 are equal. Numbers that count nothing that can be told are not
read. Offsets are into the text as given.
"""

import re
import unicodedata
from collections.abc import Iterator

from knowledge.calendar_dates import calendar_dates, month_days
from knowledge.clock_times import clock_times
from knowledge.numerals import NUMBER, bounds_of, value_of
from knowledge.quantity import Quantity

_MINUTES = {"day": 1440.0, "week": 10080.0, "month": 43200.0, "year": 518400.0}
_PEOPLE = (
    "个?(?:人|孩子|小朋友|学员|顾客|客人|座位?|席位?|名额)|位(?! ?(?:数|编码|密码|验证码))"
    "|名(?!额)|席"
    "|people|persons?|guests?|members?|visitors?|participants?|attendees|children|kids|adults?"
    "|patients?|students?|seats?|seated|standing"
)

#: Dimension, unit, factor to its base unit, and the unit's names.
_UNITS: tuple[tuple[str, str, float, str], ...] = (
    ("duration", "workday", 1440.0, "个?工作日|working[ -]days?|business[ -]days?|workdays?"),
    ("duration", "second", 1 / 60, "秒钟?|seconds?|secs?"),
    ("duration", "quarter", 15.0, "刻钟"),
    ("duration", "minute", 1.0, r"分钟|分(?=半|\s?\d+\s?秒)|minutes?|mins?"),
    ("duration", "hour", 60.0, "个半(?:小时|钟头)|个?(?:小时|钟头)|hours?|hrs?|h"),
    ("duration", "day", _MINUTES["day"], "个?自然日|天|日(?![元期])|(?:calendar )?days?"),
    (
        "duration",
        "week",
        _MINUTES["week"],
        "周(?!岁|[一二三四五六日末年])|个?(?:星期|礼拜)(?![一二三四五六日天])|weeks?",
    ),
    ("duration", "fortnight", 2 * _MINUTES["week"], "fortnights?"),
    ("duration", "month", _MINUTES["month"], "个半月|个月|(?:calendar )?months?"),
    ("duration", "year", _MINUTES["year"], "周?年(?!级)|years?(?! old| of age)"),
    ("age", "age", 1.0, "周?岁|years? (?:old|of age)|or (?:older|over)|and (?:over|older)"),
    ("cny", "cny", 1.0, "元|块钱?(?!砖)|圆|人民币|yuan|rmb|cny"),
    ("eur", "eur", 1.0, "欧元|欧|euros?|eur|€"),
    ("gbp", "gbp", 1.0, "英镑|镑|pounds?|gbp|£"),
    ("gbp", "pence", 0.01, "便士|pence"),
    ("usd", "usd", 1.0, "美元|美金|dollars?|usd"),
    ("percent", "percent", 1.0, "%|个百分点|per ?cent"),
    ("percent", "tenth", 10.0, "成(?![人员分为年都品本功套交立熟])"),
    ("mass", "kg", 1000.0, "公斤|千克|kgs?|kilograms?|kilos?"),
    ("mass", "jin", 500.0, "斤"),
    ("mass", "g", 1.0, "克|grams?|g"),
    ("volume", "ml", 1.0, "毫升|ml|millilit(?:re|er)s?"),
    ("volume", "l", 1000.0, "升|l|lit(?:re|er)s?"),
    ("length", "mm", 1.0, "毫米|mm|millimet(?:re|er)s?"),
    ("length", "cm", 10.0, "厘米|公分|cm|centimet(?:re|er)s?"),
    ("length", "km", 1e6, "公里|千米|km|kilomet(?:re|er)s?"),
    ("length", "m", 1000.0, "米(?!饭)|m|met(?:re|er)s?"),
    ("length", "inch", 25.4, "英寸|inch(?:es)?"),
    ("area", "m2", 1.0, "平方米|平米|平方|㎡|square met(?:re|er)s?"),
    ("energy", "kwh", 1000.0, "千瓦时|度电|kwh|kilowatt[ -]hours?"),
    ("energy", "wh", 1.0, "瓦时|wh|watt[ -]hours?"),
    ("celsius", "celsius", 1.0, "摄氏度|度(?!数|过)|°c|℃|degrees?(?: celsius| c)?"),
    ("power", "kw", 1000.0, "千瓦|kw|kilowatts?"),
    ("power", "w", 1.0, "瓦|w|watts?"),
    ("voltage", "v", 1.0, "伏特?|v|volts?"),
    ("capacity", "mah", 1.0, "毫安时?|mah"),
    ("pressure", "pa", 1.0, "帕|pa"),
    ("noise", "db", 1.0, "分贝|db|decibels?"),
    ("points", "points", 1.0, "积分|points?"),
    ("factor", "factor", 1.0, "倍|x(?![a-z])"),
    ("count:digit", "digit", 1.0, "位(?:数字?|编码|密码|验证码)|digits?"),
    ("count:character", "character", 1.0, "个?(?:字符?|汉字)(?!典)|characters?|letters?|words?"),
    ("count:person", "person", 1.0, _PEOPLE),
    ("count:time", "time", 1.0, "次|回(?!来)|times"),
    ("count:instalment", "instalment", 1.0, "期|monthly instalments?|instal?lments?"),
    ("count:item", "item", 1.0, "件|items?|pieces?"),
    ("count:set", "set", 1.0, "台|套|units?|sets?"),
    ("count:class", "class", 1.0, "节|sessions?|classes|lessons?"),
    ("count:cup", "cup", 1.0, "杯|cups?"),
    ("count:card", "card", 1.0, "张|cards?"),
    ("count:order", "order", 1.0, "单|笔|orders?"),
    ("count:shop", "shop", 1.0, "家(?![人里具])|间|stores?|shops?|branches|showrooms?"),
    ("count:level", "level", 1.0, "级|档|levels?|stages?|settings?"),
    ("count:piece", "piece", 1.0, "[个只支份条瓶盒袋包把副枚片块颗根页层]"),
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
    rf"(?:[\s-]?(?P<more>多|余)?(?:{_UNIT})(?P<half>半| and a half)?)?"
)
_DISCOUNT = re.compile(
    r"(?<!\d)(?:(\d)\.?(\d)?|([一二三四五六七八九])([一二三四五六七八九])?)\s?折(?!旧|磨)"
)
_HALF_PRICE = re.compile(r"半价|\bhalf (?:the )?(?:price|fee)\b")
_SHARE = re.compile(rf"(?P<of>百|千|万)分之\s?(?P<n>{NUMBER})")
_OF = {"百": 1.0, "千": 0.1, "万": 0.01}
_AGE = re.compile(
    r"\b(?:aged?|ages|from(?: the age of)?|under|over)[ -](?P<n>\d{1,2})(?:s\b|(?= years))"
    r"|\b(?:under|over)[ -](?P<word>ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|eighteen)"
    r"(?=s\b|[,.;)]| (?:only|must|may|need|with|can|pay)|$)"
)
_CODE = re.compile(r"(?<![a-z0-9])(?:[a-z]{1,6}-?)+\d[a-z0-9-]*")
_PHONE = re.compile(r"(?<![\d.])\+?\d{2,4}(?:[ -]\d{3,4}){2,}(?!\d)|(?<![\d.,])\d{7,}(?!\d)")
_DAY_NUMBER = re.compile(r"第(?=\s?[\d一二三四五六七八九十]+\s?(?:天|周(?![一-日])|个月|年(?!级)))")

_ZH_PERIOD = "(?P<zh>天|日|周|个?星期|个?礼拜|个?月|个?季度|年|小时|分钟)"
_EN_PERIOD = "(?P<en>day|week|fortnight|month|quarter|year|hour|minute)"
_PERIODS = {
    "天": 1440.0, "日": 1440.0, "周": 10080.0, "星期": 10080.0, "礼拜": 10080.0, "月": 43200.0,
    "季度": 129600.0, "年": 518400.0, "小时": 60.0, "分钟": 1.0, "day": 1440.0, "week": 10080.0,
    "fortnight": 20160.0, "month": 43200.0, "quarter": 129600.0, "year": 518400.0, "hour": 60.0,
    "minute": 1.0,
}  # fmt: skip
_TIMES = {"once": 1.0, "twice": 2.0}
#: `n` periods go by between two times, or `k` times fall into one period.
_INTERVALS = (
    re.compile(rf"每隔?\s?(?P<n>{NUMBER})(?:{_DASH}(?P<to>{NUMBER}))?\s?{_ZH_PERIOD}"),
    re.compile(rf"隔\s?(?P<n>{NUMBER})(?:{_DASH}(?P<to>{NUMBER}))?\s?{_ZH_PERIOD}"),
    re.compile(rf"(?:每|一){_ZH_PERIOD}\s?(?P<k>{NUMBER})\s?[次回](?!来)"),
    re.compile(rf"每个?{_ZH_PERIOD}[\u4e00-\u9fff]{{0,3}}一[次回](?!来)"),
    re.compile(
        rf"(?P<n>{NUMBER})(?:{_DASH}(?P<to>{NUMBER}))?\s?{_ZH_PERIOD}"
        r"[\u4e00-\u9fff]{0,2}一(?:次|回(?!来)|换)"
    ),
    re.compile(rf"\bevery (?P<n>{NUMBER})(?:{_DASH}(?P<to>{NUMBER}))?[ -]{_EN_PERIOD}s?\b"),
    re.compile(rf"\bevery (?:(?P<other>other|second) )?{_EN_PERIOD}\b"),
    re.compile(
        rf"(?:\b(?P<often>once|twice)|(?P<k>{NUMBER}) times)"
        rf" (?:a|an|per|every|each|in a) {_EN_PERIOD}\b"
    ),
)
_PER = re.compile(
    r"(?:[\d%€£¥$.]|\b(?:pounds?|euros?|yuan|dollars?|pence|once|twice|times|guests?|visitors?"
    r"|people|points|each|kwh|wh|price|fee|charge|costs?|once|days?|weeks?|hours?|minutes?))\s*$"
)
_AS_PRICE = re.compile(
    r"(?:['’]s?|s['’])? ?(?:fee|rent|salary|wages|pay|price)\b|的?(?:租金|房租|会费|工资)"
)
_ELIDED = re.compile(
    rf"\b(?:for|after) (?P<one>{NUMBER})(?= and\b|[,.;])"
    rf"|[,;] (?:and )?(?P<other>{NUMBER})(?= (?:on|for) (?:the |a )?[a-z])"
)
_ELIDED_CHARS = 80
_LEADING = re.compile(rf"(?P<n>{NUMBER}) (?:and|or) $")
#: Half a day is twelve hours, or a morning's work.
_HALF_DAY, _WORKING_HALF = 720.0, 240.0
_DURATIONS = {name: factor for dimension, name, factor, _ in _UNITS if dimension == "duration"}
_HOLDS = re.compile(r"\b(?:seats|holds|sleeps|seating(?: for)?|room for)\s$")
_BARE_AMOUNT = re.compile(r"[一二两三四五六七八九]?[百千万][\u4e00-\u9fff]*|\d{1,3}(?:,\d{3})+")
_AMOUNT_ENDS = re.compile(r"[，。；、,;.！!？?）)的起送减就才以]|$")
_THINGS = re.compile(
    rf"(?<![\w£€¥$.,:-])(?P<low>{NUMBER})(?:{_DASH}(?P<high>{NUMBER}))?"
    r"\s(?:[a-z]+(?:-[a-z]+)?\s)?(?P<noun>[a-z]{3,}[^s\W]s)\b"
)
_VERBS = """
has was this its plus always costs takes lasts seats holds needs gets opens closes starts ends pays
makes comes goes does says works applies counts stays begins runs keeps
"""
_NO_THINGS = frozenset(_VERBS.split())


def quantities(text: str) -> list[Quantity]:
    """Returns the quantities of a text in its order; they do not overlap."""
    plain = _DAY_NUMBER.sub("\0", _plain(text))
    found: list[Quantity] = []
    readers = (calendar_dates, month_days, clock_times, _shares, _ages, _intervals)
    for reader in readers:
        fresh = list(reader(plain))
        found += fresh
        plain = _blanked(plain, [(one.start, one.end) for one in fresh])
    for pattern in (_PHONE, _CODE):
        plain = _blanked(plain, [match.span() for match in pattern.finditer(plain)])
    measures = list(_composed(plain, list(_measures(plain))))
    plain = _blanked(plain, [(one.start, one.end) for one in measures])
    elided = list(_elided(plain, measures))
    plain = _blanked(plain, [(one.start, one.end) for one in elided])
    found += measures + elided
    found += _things(plain)
    return sorted(found, key=lambda one: one.start)


def _measures(plain: str) -> Iterator[Quantity]:
    for match in _QUANTITY.finditer(plain):
        bounds = bounds_of(match["low"])
        high = value_of(match["high"]) if match["high"] else bounds and bounds[1]
        if bounds is None or high is None:
            continue
        low = bounds[0]
        unit = next((n for n in range(len(_UNITS)) if match[f"u{n}"]), None)
        start, end = match.span("sign")[0] if match["sign"] else match.start("low"), match.end()
        if match["sign"]:
            name = _CURRENCY[match["sign"]]
            dimension, factor = name, 1.0
        elif unit is not None:
            dimension, name, factor, _ = _UNITS[unit]
            if _is_no_figure(plain, match, dimension, name):
                continue
        elif _HOLDS.search(plain[:start]) and low > 1:
            dimension, name, factor = "count:person", "person", 1.0
        elif _is_amount(plain, match):
            dimension, name, factor = "cny", "cny", 1.0
        else:
            continue
        if dimension == "duration" and (match["half"] or "个半" in match[0]):
            low, high = low + 0.5, high + 0.5
        low, high = sorted((low * factor, high * factor))
        if name == "day" and low == high == _HALF_DAY:
            low = _WORKING_HALF
        yield Quantity(dimension, name, low, high, start, _stripped_end(plain, start, end))


def _composed(plain: str, found: list[Quantity]) -> Iterator[Quantity]:
    """6 分 30 秒 and 2 hours 15 minutes are one duration each."""
    held: Quantity | None = None
    for one in found:
        if held is not None and _continues(plain, held, one):
            low, high = held.low + one.low, held.high + one.high
            held = Quantity("duration", held.unit, low, high, held.start, one.end)
            continue
        if held is not None:
            yield held
        held = one
    if held is not None:
        yield held


def _continues(plain: str, held: Quantity, one: Quantity) -> bool:
    between = plain[held.end : one.start].strip()
    return held.dimension == one.dimension == "duration" and between == "" and one.high < held.low


def _elided(plain: str, measures: list[Quantity]) -> Iterator[Quantity]:
    """`Two years on the frame, three on the motor`: the second has the unit of the first."""
    for one in measures:
        lead = _LEADING.search(plain[: one.start])
        value = value_of(lead["n"]) if lead and one.dimension == "duration" else None
        if lead and value is not None and lead["n"] not in ("a", "an"):
            length = value * _DURATIONS[one.unit]
            yield Quantity("duration", one.unit, length, length, *lead.span("n"))
    for match in _ELIDED.finditer(plain):
        name = "one" if match["one"] else "other"
        value, start = value_of(match[name]), match.start(name)
        before = [q for q in measures if q.end <= start <= q.end + _ELIDED_CHARS]
        if value is None or match[name] in ("a", "an") or not before:
            continue
        last = before[-1]
        if last.dimension == "duration":
            length = value * _DURATIONS[last.unit]
            yield Quantity("duration", last.unit, length, length, start, match.end(name))


def _is_no_figure(plain: str, match: re.Match[str], dimension: str, name: str) -> bool:
    """True for years, `a card`, `£5 an hour` and `the third time`, which say no quantity."""
    number = match["low"].strip()
    before = plain[: match.start("low")]
    if name == "year" and match["high"] is None and 1900 <= (value_of(number) or 0) <= 2100:
        return True
    if dimension == "duration" and _AS_PRICE.match(plain[match.end() :]):
        return True
    if number in ("a", "an") and dimension == "duration" and _PER.search(before):
        return True
    if dimension.startswith("count:") and number in ("a", "an", "一") and match["high"] is None:
        return True
    return dimension != "duration" and before.rstrip().endswith("第")


def _is_amount(plain: str, match: re.Match[str]) -> bool:
    """三千 and 4,800 without a unit are amounts where nothing is counted by them."""
    number = match["low"].strip()
    follows = plain[match.end() : match.end() + 1]
    in_chinese = any("\u3400" <= char <= "\u9fff" for char in plain)
    return bool(
        in_chinese
        and match["high"] is None
        and _BARE_AMOUNT.fullmatch(number)
        and (value_of(number) or 0) >= 100
        and _AMOUNT_ENDS.match(follows)
        and not plain[: match.start("low")].rstrip().endswith(("第", "约", "近"))
    )


def _things(plain: str) -> Iterator[Quantity]:
    """`24 racks`: a number before an English plural counts it."""
    for match in _THINGS.finditer(plain):
        low = value_of(match["low"])
        high = value_of(match["high"]) if match["high"] else low
        if low is None or high is None or match["noun"] in _NO_THINGS or low < 2:
            continue
        low, high = sorted((low, high))
        noun = match["noun"].rstrip("s").rstrip("e")
        yield Quantity("count:piece", noun, low, high, match.start("low"), match.end("noun"))


def _shares(plain: str) -> Iterator[Quantity]:
    """九折 and 8.5 折 say what is left to pay; what is taken off is compared."""
    for match in _DISCOUNT.finditer(plain):
        first, second = match[1] or match[3], match[2] or match[4]
        tens, ones = value_of(first), value_of(second) if second else 0.0
        if tens is not None and ones is not None:
            off = 100 - tens * 10 - ones
            yield Quantity("percent", "percent", off, off, *match.span())
    for match in _HALF_PRICE.finditer(plain):
        yield Quantity("percent", "percent", 50.0, 50.0, *match.span())
    for match in _SHARE.finditer(plain):
        value = value_of(match["n"])
        if value is not None:
            share = value * _OF[match["of"]]
            yield Quantity("percent", "percent", share, share, *match.span())


def _ages(plain: str) -> Iterator[Quantity]:
    for match in _AGE.finditer(plain):
        age = value_of(match["n"] or match["word"])
        if age is None or re.match(r" years(?! of age| old)", plain[match.end() :]):
            continue
        yield Quantity("age", "age", age, age, *match.span("n" if match["n"] else "word"))


def _intervals(plain: str) -> Iterator[Quantity]:
    taken: list[tuple[int, int]] = []
    for pattern in _INTERVALS:
        for match in pattern.finditer(plain):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            bounds = _interval(match.groupdict())
            if bounds is not None:
                taken.append(match.span())
                yield Quantity("interval", *bounds, *match.span())


def _interval(groups: dict[str, str | None]) -> tuple[str, float, float] | None:
    name = (groups.get("zh") or groups.get("en") or "").removeprefix("个")
    bounds = bounds_of(groups.get("n") or "1")
    low, high = bounds or (None, None)
    high = value_of(groups.get("to") or "0") or high
    often = _TIMES.get(groups.get("often") or "") or value_of(groups.get("k") or "1")
    if low is None or high is None or not often:
        return None
    if groups.get("other"):
        low = high = 2.0
    length = _PERIODS[name] / often
    low, high = sorted((low * length, high * length))
    return (
        ("week" if name in ("周", "星期", "礼拜") else "month" if name == "月" else name),
        low,
        high,
    )


def _plain(text: str) -> str:
    """Lower case and half width, each character still at its place."""
    changed = (unicodedata.normalize("NFKC", char).lower() for char in text.replace("￥", "¥"))
    return "".join(new if len(new) == 1 else old for new, old in zip(changed, text, strict=True))


def _stripped_end(plain: str, start: int, end: int) -> int:
    return start + len(plain[start:end].rstrip())


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + "\0" * (end - start) + text[end:]
    return text
