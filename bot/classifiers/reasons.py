"""What makes a complaint severe, as names that a person reads beside its level."""

import re

_WORDS = {
    "legal_action": r"律师|起诉|法院|法律|12315|消协|工商|市场监管|举报|曝光|"
    r"lawyer|legal|sue\b|court|ombudsman|trading standards|small claims|"
    r"consumer (?:protection|rights)|report you",
    "safety": r"受伤|烫伤|漏电|触电|起火|冒烟|爆炸|过敏|中毒|住院|划伤|injur|burn(?:t|ed|s)?\b|"
    r"electric shock|caught fire|smok(?:e|ing)|explod|allerg|hospital|poison",
    "privacy": r"隐私|泄露|泄漏|个人信息|盗刷|诈骗|privacy|data (?:leak|breach)|leaked|hacked|"
    r"fraud|scam",
    "money": r"退款|赔偿|赔付|多扣|重复扣|扣了两次|refund|compensat|charged (?:me )?twice|"
    r"overcharg|double charge",
    "repeated_contact": r"第[二三四五六七八九十\d]+次|好几次|多次|一直没人|没人(?:回|理|管)|反复|"
    r"again and again|(?:second|third|fourth|fifth|\d+(?:nd|rd|th)) time|keep (?:asking|calling)|"
    r"no(?: one|body) (?:has )?(?:answer|repl|respond)|several times|still (?:no|not|nothing)",
    "long_wait": r"(?:等了?|过了?|拖了?)[^,，。]{0,8}(?:天|周|星期|个月|小时)|"
    r"(?:weeks|months|days) (?:now|ago|later)|"
    r"waiting (?:for )?(?:\w+ ){0,3}(?:days|weeks|months)",
    "strong_words": r"骗子|垃圾|恶心|无耻|黑心|坑人|滚|气死|忍无可忍|太过分|disgust|scammer|"
    r"rubbish|pathetic|outrageous|ridiculous|furious|unacceptable|appalling|worst",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _WORDS.items()}
REASONS = tuple(_WORDS)


def severity_reasons(text: str) -> tuple[str, ...]:
    """Returns the names of what the text says that makes a complaint severe."""
    return tuple(name for name, pattern in _PATTERNS.items() if pattern.search(text))
