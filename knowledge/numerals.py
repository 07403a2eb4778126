"""Numbers as people write them: 1,280 · 十五 · 两百五十 · 1.5万 · fifteen · half a."""

import re

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_WORDS = {
    word: float(value)
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {
    "a": 1.0,
    "an": 1.0,
    "half a": 0.5,
    "half an": 0.5,
    "a dozen": 12.0,
    "a hundred": 100.0,
    "one hundred": 100.0,
    "two hundred": 200.0,
    "thirty": 30.0,
    "forty": 40.0,
    "forty-five": 45.0,
    "fifty": 50.0,
    "sixty": 60.0,
    "seventy": 70.0,
    "eighty": 80.0,
    "ninety": 90.0,
}
_LATIN = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))

#: A number in any of these forms, in lower-case text; it stands in no group.
NUMBER = (
    r"(?:(?<![\d.,])\d[\d,]*(?:\.\d+)?\s?[百千万]?"
    r"|(?<![第零一二两三四五六七八九十百千万几数])[零〇一二两三四五六七八九十百千万半]+"
    rf"|\b(?:{_LATIN})\b)"
)


def value_of(number: str) -> float | None:
    """Returns the value of what `NUMBER` matched, None where it is no number after all."""
    number = number.strip().replace(",", "")
    if number in _WORDS:
        return _WORDS[number]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s?([百千万]?)", number)
    if match is not None:
        return float(match[1]) * {"": 1, "百": 100, "千": 1000, "万": 10_000}[match[2]]
    return _chinese(number)


def _chinese(numeral: str) -> float | None:
    if numeral == "半":
        return 0.5
    if "半" in numeral:
        return None
    if len(numeral) > 1 and all(char in _DIGITS for char in numeral):  # 二〇二六
        return float("".join(str(_DIGITS[char]) for char in numeral))
    total, below, digit, place = 0, 0, 0, 10
    for char in numeral:
        if char in _DIGITS:
            digit = _DIGITS[char]
            place = 10 if digit == 0 else place
            continue
        if char == "万":
            total, below, digit = (below + digit) * 10_000, 0, 0
            place = 1000
            continue
        below += (digit or 1) * _PLACES[char]
        digit, place = 0, _PLACES[char] // 10
    is_short = digit and numeral[-1] in _DIGITS and len(numeral) > 2 and place >= 10
    ends_open = is_short and numeral[-2] in "百千万"  # 两百五 is 250
    return float(total + below + digit * (place if ends_open else 1))
