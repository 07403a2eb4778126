"""Tells whether a message asks for something that words could answer.

A question word says so. The form of a question alone does not: a wish often has it ("Can I talk
to somebody?", 能不能叫个人来).
"""

import re
from typing import Literal

from bot.dialogue.language import to_simplified

Asking = Literal["no", "form", "words"]

_FORM = re.compile(
    r"[?？吗呢]|能不能|可不可以|能否|可否|是不是|有没有|要不要|行不行"
    r"|\b(?:can|could|may|would|will|do|does|is|are|have) (?:i|you|we|it|they|there|someone)\b",
    re.IGNORECASE,
)
_ASKING_ZH = re.compile(
    r"怎么(?!老是|总是|回事|都|还|这么|那么|又)|怎样|如何|咋(?!回事|还|老)|多少|多久|多长|多远|多大|几点|几天|几号|几楼|几位|"
    r"几个|几次|按几|什么|啥|哪里|哪儿|在哪|哪天|哪个|哪位|哪家|为何|为什么|是否|有没有(?!人|真人|活人|客服)|"
    r"能不能(?=退|换|用|开|查|改|取消|寄|发|修)|可以(?=退|换|用|开|查|改|取消|寄|发|修)"
)
_ASKING_EN = re.compile(
    r"\b(?:how (?:much|many|long|far|soon|often|do|does|can|to|is|are|big|late)|what(?:'s)?|when|"
    r"where|which|why|whose|until)\b",
    re.IGNORECASE,
)


def asking(text: str) -> Asking:
    """Returns `words` for a question word, `form` for a question's form only, else `no`."""
    plain = to_simplified(text)
    if _ASKING_ZH.search(plain) or _ASKING_EN.search(text):
        return "words"
    return "form" if _FORM.search(plain) else "no"
