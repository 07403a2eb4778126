"""Turns a follow-up into a question that can be searched for on its own.

By rules, because another model call would cost more than a second. A message that has its own
subject is left as it is, so that a change of topic never drags the old topic into the search.
"""

import re
from collections.abc import Sequence

from bot.dialogue.language import to_simplified
from bot.dialogue.state import Exchange


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAX_QUERY_CHARS = 400
_CODE = re.compile(
    r"(?<![A-Za-z0-9-])(?:[A-Za-z]{1,5}-)?[A-Za-z]{1,5}-?\d{2,}[A-Za-z0-9-]*", re.ASCII
)
_CLAUSE_END = re.compile(r"[，。！？；,.!?;]|\b(?:and|but|because|so|when|if)\b")

_ZH_OPENING = re.compile(
    r"^(?:那么?(?!边|里|天|时|年|月)|还有|另外|然后|如果是|要是|换成|以及|而)[，,\s]*"
)
_ZH_NE = re.compile(r"(?:呢|又如何|怎么样|又怎么样)[？?！!。\s]*$")
_ZH_PRONOUN = re.compile(
    r"它们?|(?:这|那)(?:个|款|种|些|样|台|件|项|条|样子)(?!月|星期|礼拜|周|季度|小时|网|店|店铺|公司)"
    r"|其中|上面|刚才|刚刚说|前者|后者|上述|前面说|该(?:产品|商品|型号|款)|同样的?情况"
)
_ZH_EMPTY = re.compile(
    r"为什么|为啥|多久|多少钱?|多长时间|几天|几个|怎么(?:办|弄|做|用|算|收|办理|操作|说)?|如何|什么时候|"
    r"什么|哪里|哪儿|哪个|哪些|在哪|是不是|可以|可不可以|能不能|能|要不要|要|需要|会不会|会|有没有|有|"
    r"收费|免费|费用|价格|贵|便宜|到账|一般|大概|具体|详细|谁|出|付|我|你们?|您|请问|的话|的|了|吗|呢|"
    r"吧|啊|呀|嘛|是|也|都|还|再|就|那|这|么|一样|一下|说|讲|行|好|对|没|不|[？?！!。，,、\s]"
)
_MAX_ZH_NE_CHARS = 14

_EN_OPENING = re.compile(
    r"^(?:and|or|but|what about|how about|what if|also|then|so|in that case|"
    r"ok(?:ay)? (?:and|but))\b"
    r"[\s,]*", re.IGNORECASE,
)  # fmt: skip
_EN_EXPLETIVE = re.compile(
    r"\b(?:does|did|will|would|can|could)? ?it (?:take|takes|cost|costs) (?:to|me to|for)\b"
    r"|\b(?:is|was|will) it (?:be )?(?:possible|ok|okay|allowed|safe|true|necessary|normal)\b"
    r"|\b(?:long|much|many \w+) (?:does|will|would) it (?:take|cost)\b(?=.{12})"
    r"|\bit (?:is|says|seems)\b",
    re.IGNORECASE,
)
_EN_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|those|these|one|ones|the (?:same|other|former|latter)|"
    r"this(?! (?:week|month|year|morning|afternoon|evening|time|site|website|shop|store|company))|"
    r"that(?=\s*(?:[?.!,]|$|is\b|was\b|cost|take|work|for\b|apply|include|mean|too\b|one\b|again)))\b",
    re.IGNORECASE,
)
_EN_EMPTY = _words(
    "a about all also am an and any are as at be been but by can cost costs could did do does each "
    "ever exactly far for free from get got had has have how i if in is just long make many may me "
    "more most much my need next not of off often ok on only or our out please really same should "
    "so some soon still take takes than the then there time to too under until up us usually very "
    "was we well were what when where which who why will with without work works would yes no "
    "you your "
    "it its they them their those these this that one ones black white red blue green"
)
_EN_FRAGMENT_START = re.compile(r"^(?:for|in|to|with|from|on|at|by|without|after|before)\b", re.I)
_EN_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_MAX_EN_FRAGMENT_WORDS = 5
_MAX_EN_OPENING_WORDS = 9


def contextualize(text: str, history: Sequence[Exchange]) -> str:
    """Returns the stand-alone question of a message.

    Args:
        text: the message in normal form.
        history: earlier exchanges, oldest first; those without a query are small talk.
    """
    asked = [exchange for exchange in history if exchange.query]
    if not asked or not is_follow_up(text):
        return text
    swapped = _swap_code(text, asked[-1].query)
    if swapped:
        return swapped
    parts = [_root(asked)]
    last = asked[-1]
    if _has_pronoun(text) and last.question != parts[0]:
        parts.append(last.question)
    parts.append(_without_opening(text))
    return _join(parts)


def is_follow_up(text: str) -> bool:
    """True where the message cannot be understood without what came before."""
    plain = to_simplified(text).strip()
    if any("\u4e00" <= char <= "\u9fff" for char in plain):
        return _is_zh_follow_up(plain)
    return _is_en_follow_up(plain)


def _is_zh_follow_up(plain: str) -> bool:
    if _points_back(_ZH_PRONOUN, plain):
        return True
    n_chars = len(plain)
    if n_chars <= _MAX_ZH_NE_CHARS and (_ZH_NE.search(plain) or _ZH_OPENING.match(plain)):
        return True
    return len(_ZH_EMPTY.sub("", plain)) <= 1


def _is_en_follow_up(plain: str) -> bool:
    words = _EN_WORD.findall(plain)
    if _EN_OPENING.match(plain) and len(words) <= _MAX_EN_OPENING_WORDS:
        return True
    if _points_back(_EN_PRONOUN, _EN_EXPLETIVE.sub(" ", plain)):
        return True
    if _EN_FRAGMENT_START.match(plain) and len(words) <= _MAX_EN_FRAGMENT_WORDS:
        return True
    return not _CODE.search(plain) and all(word.lower() in _EN_EMPTY for word in words)


def _points_back(pronoun: re.Pattern[str], plain: str) -> bool:
    """True where a pronoun stands whose noun is not in an earlier clause of the message."""
    found = pronoun.search(plain)
    if not found:
        return False
    ends = [match for match in _CLAUSE_END.finditer(plain, 0, found.start()) if match.start() > 0]
    return not ends or not _has_content(plain[: ends[-1].start()])


def _has_content(clause: str) -> bool:
    if any("\u4e00" <= char <= "\u9fff" for char in clause):
        return len(_ZH_EMPTY.sub("", clause)) > 1
    return any(word.lower() not in _EN_EMPTY for word in _EN_WORD.findall(clause))


def _has_pronoun(text: str) -> bool:
    return bool(_ZH_PRONOUN.search(to_simplified(text)) or _EN_PRONOUN.search(text))


def _swap_code(text: str, query: str) -> str:
    """`HG-K1702 多少钱？` and then `HG-C2020 呢？`: the same question about another product."""
    new, old = _CODE.findall(text), _CODE.findall(query)
    rest = _CODE.sub("", _without_opening(text))
    rest = _ZH_EMPTY.sub("", rest) if not rest.isascii() else rest
    has_own_words = any(word.lower() not in _EN_EMPTY for word in _EN_WORD.findall(rest))
    if len(new) != 1 or len(set(old)) != 1 or has_own_words or len(rest.strip(" ?.!")) > 12:
        return ""
    return query.replace(old[0], new[0])


def _root(asked: Sequence[Exchange]) -> str:
    """The latest question that was searched as the customer wrote it."""
    for exchange in reversed(asked):
        if exchange.query == exchange.question:
            return exchange.query
    return asked[-1].query


def _without_opening(text: str) -> str:
    stripped = _EN_OPENING.sub("", _ZH_OPENING.sub("", text))
    return stripped if len(stripped) > 1 else text


def _join(parts: Sequence[str]) -> str:
    """Joins questions, the oldest giving way first where they grow too long."""
    kept = [part.strip() for part in parts]
    while len(kept) > 1 and sum(map(len, kept)) > _MAX_QUERY_CHARS:
        kept.pop(0)
    return " ".join(part if part[-1:] in "？?。.!！" else f"{part}?" for part in kept[:-1]) + (
        f" {kept[-1]}" if len(kept) > 1 else kept[-1]
    )
