"""What a sentence claims, in comparable form: its words, and its figures with their units.

Grounding compares these between an answer and the passages, the report of contradictions
between passages. Words are lower-case stems for Latin script and character bigrams for Chinese;
figures must agree exactly, unit included.
"""

import re
import unicodedata
from dataclasses import dataclass


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UNITS: dict[str, str] = {}
for _unit, _names in {
    "workday": "个工作日 工作日 working-days working-day business-days business-day",
    "day": "天 日 days day",
    "week": "周 星期 个星期 weeks week",
    "month": "个月 月 months month",
    "year": "年 years year",
    "hour": "小时 个小时 hours hour h",
    "minute": "分钟 minutes minute mins min",
    "second": "秒 seconds second",
    "percent": "% 个百分点 percent",
    "cny": "元 块 块钱 人民币 yuan rmb cny",
    "eur": "欧元 欧 euros euro eur €",
    "gbp": "英镑 镑 pounds pound gbp £",
    "usd": "美元 dollars dollar usd",
    "kg": "公斤 千克 kg kilograms kilogram",
    "g": "克 g grams gram",
    "l": "升 l litres litre liters liter",
    "ml": "毫升 ml",
    "w": "瓦 w watts watt",
    "v": "伏 v volts volt",
    "mm": "毫米 mm",
    "cm": "厘米 cm",
    "m": "米 m metres metre meters meter",
    "celsius": "度 °c ℃",
    "times": "次 times",
    "points": "积分 分 points point",
}.items():
    _UNITS.update(dict.fromkeys((_name.replace("-", " ") for _name in _names.split()), _unit))

_CURRENCY = {"€": "eur", "£": "gbp", "¥": "cny", "￥": "cny", "$": "usd"}
_UNIT_NAMES = "|".join(
    re.escape(name) + (r"(?![a-z])" if name[-1].isascii() and name[-1].isalpha() else "")
    for name in sorted(_UNITS, key=len, reverse=True)
)
_FIGURE = re.compile(
    rf"(?P<currency>[€£¥$])?\s?(?<![\d.])(?P<number>\d[\d,]*(?:\.\d+)?)[\s-]?(?P<unit>{_UNIT_NAMES})?"
)
_CLOCK = re.compile(r"(?<!\d)(\d{1,2})(?::(\d{2}))?\s*([ap])\.?m\b\.?")
_TIME = re.compile(r"(?<![\d:])\d{1,2}:\d{2}(?![\d:])")
_CODE = re.compile(r"(?<![a-z0-9])(?:[a-z]{1,6}-?)+\d[a-z0-9-]*")
_ZH_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_ZH_NUMBER = re.compile(
    rf"[一二两三四五六七八九十百]+(?=\s?(?:{'|'.join(n for n in _UNITS if not n.isascii())}))"
)
_EN_NUMBERS = {
    word: value
    for value, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {
    "twelve": 12,
    "fourteen": 14,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "sixty": 60,
    "ninety": 90,
}
_EN_NUMBER = re.compile(rf"\b({'|'.join(list(_EN_NUMBERS)[2:])})\b(?=[\s-])")

_WORD = re.compile(r"(?<![a-z0-9])[a-z][a-z'’]+(?![a-z0-9])")
_HAN_RUN = re.compile(r"[\u3400-\u9fff]+")
_HAN_STOP = frozenset("的了吗呢吧啊呀嘛么是在和与及或就也都还您你我它这那请")
_STOP = _words_of(
    "the an and or but if then than that this these those it its is are was were be been being do "
    "does did have has had will would can could may might shall should must of to in on at by for "
    "from with without as into about you your we our they their there here not no yes any all so "
    "also just only please which who what when where how why"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, time or product code; `unit` is None where none stands beside it."""

    value: str
    unit: str | None = None

    def agrees(self, other: "Figure") -> bool:
        """True where the values are equal and the units do not contradict."""
        same_unit = self.unit == other.unit or self.unit is None or other.unit is None
        return self.value == other.value and same_unit


def figures(text: str) -> frozenset[Figure]:
    """Returns the numbers, times and codes of a text."""
    plain = _plain(text)
    plain = _CLOCK.sub(_as_24_hours, plain)
    found = {Figure(code[0], "code") for code in _CODE.finditer(plain)}
    plain = _CODE.sub(" ", plain)
    found |= {Figure(time[0].zfill(5), "time") for time in _TIME.finditer(plain)}
    plain = _TIME.sub(" ", plain)
    plain = _ZH_NUMBER.sub(lambda match: str(_zh_value(match[0])), plain)
    plain = _EN_NUMBER.sub(lambda match: str(_EN_NUMBERS[match[1]]), plain)
    for match in _FIGURE.finditer(plain):
        unit = _CURRENCY.get(match["currency"] or "") or _UNITS.get(match["unit"] or "")
        found.add(Figure(_canonical(match["number"]), unit))
    return frozenset(found)


def words(text: str) -> frozenset[str]:
    """Returns the content words of a text: stems, and bigrams of Chinese characters."""
    plain = _plain(text)
    found = {_stem(word) for word in _WORD.findall(plain) if word not in _STOP}
    for run in _HAN_RUN.findall(plain):
        found |= {
            run[i : i + 2]
            for i in range(len(run) - 1)
            if not (run[i] in _HAN_STOP or run[i + 1] in _HAN_STOP)
        }
    return frozenset(found)


def is_chinese(text: str) -> bool:
    """True where Chinese characters carry the sentence."""
    n_han = sum(map(len, _HAN_RUN.findall(text)))
    return n_han > 1.5 * len(_WORD.findall(text.lower()))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text.replace("￥", "¥")).lower()


def _stem(word: str) -> str:
    if len(word) < 4:
        return word
    for ending in ("'s", "ing", "ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e")


def _canonical(number: str) -> str:
    number = number.replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else (number.lstrip("0") or "0")


def _as_24_hours(match: re.Match[str]) -> str:
    hour = int(match[1]) % 12 + (12 if match[3] == "p" else 0)
    return f"{hour:02d}:{match[2] or '00'} "


def _zh_value(numeral: str) -> int:
    """Value of a numeral below a thousand: 十五, 二十, 一百."""
    total, digit = 0, 0
    for char in numeral:
        if char in _ZH_DIGITS:
            digit = _ZH_DIGITS[char]
        else:
            total += (digit or 1) * (10 if char == "十" else 100)
            digit = 0
    return total + digit
