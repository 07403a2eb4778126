"""Names of places, shops and products that a sentence is about, found by how they are written.

English names are capitalised within a sentence; Chinese ones end as places do: 西溪店, 嘉兴仓.
"""

import re

_EN = re.compile(r"(?<=[a-z0-9,)] )[A-Z][a-z]{2,}(?:-[A-Z]?[a-z]+)?(?:'s)?\b(?![A-Za-z ]{0,20}:)")
_EN_FIRST = re.compile(r"(?:^|(?<=[.!?:|] ))([A-Z][a-z]{2,})(?= [A-Z][a-z]+)")
_ZH = re.compile(
    r"([\u4e00-\u9fff]{2,3}?)"
    r"(?:旗舰店|分店|店(?![里内员铺])|馆(?![里内])|仓(?!库)|门诊部?|校区|分部|分院|站(?!点)"
    r"|市(?!场|面|区)|省(?!下|钱|去)|酒店)"
)
_NO_NAMES = """
january february march april may june july august september october november december monday
tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays
saturdays sundays please yes the and for you your our mr mrs ms
"""
_COMMON = frozenset(_NO_NAMES.split())
#: What stands before 店 where it is no name: 本店, 每家店, 到店.
_NO_NAME_ENDS = frozenset("本门各每到在去来进两家几分开国上下方们有商书网后新老")


def names_in(text: str) -> frozenset[str]:
    """Returns the names that a text gives, in lower case and without what kind of place it is."""
    found = {name.removesuffix("'s").lower() for name in _EN.findall(text)}
    found |= {name.lower() for name in _EN_FIRST.findall(text)}
    chinese = {match[1] for match in _ZH.finditer(text)}
    return frozenset(found - _COMMON) | frozenset(
        name[-2:] for name in chinese if name[-1] not in _NO_NAME_ENDS
    )
