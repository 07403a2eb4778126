"""Numbers as people write them: 1,280 · 十五 · 两百五十 · 1.5万 · thirty-six · two and a half."""

import re

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_UP_TO_NINETEEN = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_FROM_TWENTY = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: value for value, word in enumerate(_UP_TO_NINETEEN.split())}
_TENS = {word: 10 * value for value, word in enumerate(_FROM_TWENTY.split(), start=2)}
_LARGE = {"dozen": 12, "hundred": 100, "thousand": 1000}
_FIXED = {"a": 1.0, "an": 1.0, "half a": 0.5, "half an": 0.5, "quarter of an": 0.25}

_ONE = "|".join(sorted(_ONES, key=len, reverse=True))
_BELOW_HUNDRED = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{_ONE}))?|{_ONE})"
_LATIN = (
    rf"(?:(?:{_BELOW_HUNDRED}|a) (?:dozen|hundred|thousand)(?: (?:and )?{_BELOW_HUNDRED})?"
    rf"|(?:a )?quarter of an|half an?|{_BELOW_HUNDRED}(?: and a half)?|an?)"
)

#: A number in any of these forms, in lower-case text; it stands in no group.
NUMBER = (
    r"(?:(?<![\d.,])\d[\d,]*(?:\.\d+)?(?:\s?[百千万]| and a half|½)?"
    r"|(?<![第零一二两三四五六七八九十百千万几数])[零〇一二两三四五六七八九十百千万半]+"
    rf"|\b{_LATIN}\b)"
)


def value_of(number: str) -> float | None:
    """Returns the value of what `NUMBER` matched, None where it is no number after all."""
    number = number.strip().replace(",", "")
    half = 0.0
    for ending in (" and a half", "½"):
        if number.endswith(ending):
            number, half = number.removesuffix(ending), 0.5
    number = number.removeprefix("a ") if number.startswith("a quarter") else number
    if number in _FIXED:
        return _FIXED[number]
    if number.isascii() and number[:1].isalpha():
        value = _english(number)
        return None if value is None else value + half
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s?([百千万]?)", number)
    if match is not None:
        factor = {"": 1, "百": 100, "千": 1000, "万": 10_000}[match[2]]
        return float(match[1]) * factor + half
    return _chinese(number)


def bounds_of(number: str) -> tuple[float, float] | None:
    """Returns the least and the greatest value: 两三 is two to three, all others are exact."""
    digits = [_DIGITS.get(char, -1) for char in number.strip()]
    if len(digits) == 2 and 0 < digits[0] == digits[1] - 1:
        return float(digits[0]), float(digits[1])
    value = value_of(number)
    return None if value is None else (value, value)


def _english(numeral: str) -> float | None:
    total = 0
    for word in re.split(r"[ -]", numeral):
        if word in _LARGE:
            total = max(total, 1) * _LARGE[word]
        elif word in _ONES or word in _TENS:
            total += _ONES.get(word, 0) + _TENS.get(word, 0)
        elif word not in ("and", "a"):
            return None
    return float(total)


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
