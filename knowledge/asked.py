"""What a figure answers: the question, the limit and the unit of reckoning its sentence gives.

`You can return it within 7 days` answers `you can return it within how long`. Two figures are
of one thing where these questions are near, whatever the figures.
"""

import re
from dataclasses import dataclass

from knowledge.claims import is_chinese
from knowledge.quantity import Quantity

#: What stands in a figure's place, in Chinese and English.
_QUESTIONS = {
    "duration": ("多久", "how long"),
    "interval": ("多久一次", "how often"),
    "age": ("几岁", "what age"),
    "cny": ("多少钱", "how much money"),
    "eur": ("多少钱", "how much money"),
    "gbp": ("多少钱", "how much money"),
    "usd": ("多少钱", "how much money"),
    "percent": ("百分之几", "what percentage"),
    "date": ("几月几号", "what date"),
    "month day": ("几号", "what day"),
    "time": ("几点", "what time"),
    "mass": ("多重", "how heavy"),
    "volume": ("多少升", "how many litres"),
    "length": ("多长", "how far"),
    "celsius": ("多少度", "what temperature"),
    "points": ("多少积分", "how many points"),
    "count:person": ("几个人", "how many people"),
    "count:time": ("几次", "how many times"),
}
_OTHER = ("多少", "how many")

_UNIT_ENDS = r"(?<=[天月年时日钟周点\d])"
_ROLES = {
    "least": r"至少|不少于|起(?!来|诉)|满|以上|最少|最短|不低于|够|达到"
    r"|\bat least\b|minimum|\bor more\b|\bover\b|more than|\babove\b|\bfrom\b",
    "most": rf"最多|不超过|以内|之内|{_UNIT_ENDS}内|以下|最长|最迟|封顶|至多|上限|最晚|顶多"
    r"|up to|at most|no more than|\bwithin\b|maximum|\bunder\b|\bbelow\b|\bor less\b|\buntil\b"
    r"|\blongest\b|\blimit",
    "before": rf"提前|之前|以前|{_UNIT_ENDS}前"
    r"|\bbefore|ahead|in advance|\bprior\b|\bearly\b|\bearlier\b",
    "after": rf"之后|以后|{_UNIT_ENDS}后|\bafter\b|\blater\b",
}
_ROLE = {name: re.compile(pattern) for name, pattern in _ROLES.items()}
_ZH_PER = re.compile(
    r"每(?:一)?(?:个)?(小时|天|日|周|月|年|次|人|位|台|件|张|颗|单|笔|班|节|杯|公斤|千克|项|副|层|页|趟|晚)"
    r"|一(颗|张|副|台|件|位|年|次|个人|节)"
)
_EN_PER = re.compile(
    r"(?:\b(?:per|each|every)|/|(?<=\d )an?|(?<=pounds )an?|(?<=euros )an?|(?<=yuan )an?)\s?"
    r"(hour|day|week|month|year|time|person|head|guest|item|piece|order|parcel|page|night"
    r"|session|visit|room|card|seat)"
)
_PER_NAMES = {
    "小时": "hour", "天": "day", "日": "day", "周": "week", "月": "month", "年": "year",
    "次": "time", "人": "person", "位": "person", "个人": "person", "head": "person",
    "guest": "person", "件": "item", "piece": "item", "单": "order", "笔": "order",
    "张": "card", "晚": "night", "节": "session", "页": "page",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One figure's question; `clause` is the part of the sentence that the figure stands in."""

    quantity: Quantity
    question: str
    clause: str
    roles: frozenset[str]
    per: frozenset[str]


def question_of(text: str, quantity: Quantity, others: tuple[Quantity, ...]) -> str:
    """Returns the sentence with the figure asked for and all others left out."""
    word = _QUESTIONS.get(quantity.dimension, _OTHER)[0 if is_chinese(text) else 1]
    for one in sorted(others, key=lambda one: -one.start):
        shown = f" {word} " if one == quantity else "…"
        text = f"{text[: one.start]}{shown}{text[one.end :]}"
    return " ".join(text.split())


def roles_of(clause: str) -> frozenset[str]:
    """Returns which limits a lower-case clause names."""
    return frozenset(name for name, pattern in _ROLE.items() if pattern.search(clause))


def per_of(clause: str) -> frozenset[str]:
    """Returns what a lower-case clause reckons by: per hour, per person."""
    found = [match[1] or match[2] for match in _ZH_PER.finditer(clause)]
    found += [match[1] for match in _EN_PER.finditer(clause)]
    return frozenset(_PER_NAMES.get(name, name) for name in found)
