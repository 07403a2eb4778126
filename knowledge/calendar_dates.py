"""Dates and days of the month as people write them: 24 May 2026 · 5月1日至3日 · 每月 18 日."""

import re
from collections.abc import Iterator

from knowledge.numerals import value_of
from knowledge.quantity import Quantity

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NAME = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_TH = r"(?:st|nd|rd|th)?"
_ZH_DAY = r"(?:\d{1,2}|[二三]?十[一二三四五六七八九]?|[一二三四五六七八九])"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<!\d)(?P<year>(?:19|20)\d\d)[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?!\d)",
        r"(?:(?<!\d)(?P<year>(?:19|20)\d\d|二[〇零][〇零一二三四五六七八九]{2})\s?年\s?)?"
        rf"(?<!\d)(?P<m>\d{{1,2}}|十[一二]?|[一二三四五六七八九])\s?月\s?(?P<d>{_ZH_DAY})\s?[日号]"
        rf"(?:\s?[-~～—至到]\s?(?P<last>{_ZH_DAY})\s?[日号])?",
        rf"(?<!\d)(?P<d>\d{{1,2}}){_TH}(?:\s?(?:-|–|to|and|until)\s?(?P<last>\d{{1,2}}){_TH})?"
        rf"(?: of)? {_NAME}(?:,? (?P<year>(?:19|20)\d\d))?(?![a-z])",
        rf"\b{_NAME} (?P<d>\d{{1,2}}){_TH}(?:\s?(?:-|–)\s?(?P<last>\d{{1,2}}){_TH})?"
        r"(?:,? (?P<year>(?:19|20)\d\d))?(?![\d:])",
    )
)
_MONTH_DAY = re.compile(
    rf"(?:每个?月的?|当月|次月|下月|上月)\s?(?P<zh>{_ZH_DAY})\s?[日号]"
    rf"|(?<![\d.])(?P<first>\d{{1,2}}){_TH}(?: or (?:the )?(?P<second>\d{{1,2}}){_TH})?"
    r"(?: day)? of (?:the|each|every|the following|the next) month"
)


def calendar_dates(plain: str) -> Iterator[Quantity]:
    """Yields the dates of a lower-case text, coded as year, month and day in one number."""
    taken: list[tuple[int, int]] = []
    for pattern in _DATES:
        for match in pattern.finditer(plain):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            groups = match.groupdict()
            month = (
                float(_MONTHS.index(groups["month"][:3]) + 1)
                if groups.get("month")
                else value_of(groups["m"])
            )
            day, year = value_of(match["d"]), value_of(match["year"]) if match["year"] else 0.0
            if month is None or day is None or year is None or not (1 <= month <= 12 and day <= 31):
                continue
            taken.append(match.span())
            coded = year * 10_000 + month * 100 + day
            last = value_of(groups["last"]) if groups.get("last") else day
            end = coded + max(0.0, (last or day) - day)
            yield Quantity("date", "date", coded, end, *match.span())


def month_days(plain: str) -> Iterator[Quantity]:
    """Yields days that come round every month."""
    for match in _MONTH_DAY.finditer(plain):
        for name in ("zh", "first", "second"):
            day = value_of(match[name]) if match[name] else None
            if day is not None and 1 <= day <= 31:
                yield Quantity("month day", "month day", day, day, *match.span(name))
