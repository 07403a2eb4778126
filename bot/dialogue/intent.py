"""Recognises what a message is for, by rules in both languages.

Labels: `ask_for_person`, `greeting`, `thanks`, `goodbye`, `question`. Rules prefer `question`:
small talk must be the whole message, and a person must be asked for, not asked about, so that
人工费, "cleaning agent" and "Hello, how do I return this?" stay questions.
"""

import re

from bot.dialogue.language import to_simplified
from bot.types import Prediction

_CERTAIN = 1.0
_LIKELY = 0.9

_FILLER = r"(?:[\s,.!?~、，。！？～…:;)(-]|[\U0001F300-\U0001FAFF\u2600-\u27BF\uFE0F\u200D])*"


def _whole(*phrases: str) -> re.Pattern[str]:
    """Matches messages that consist of these phrases and nothing else."""
    return re.compile(rf"{_FILLER}(?:(?:{'|'.join(phrases)}){_FILLER})+", re.IGNORECASE)


_GREETING = _whole(
    "你好[呀啊吗]?|您好[呀啊]?|哈喽|哈啰|嗨|早上好|上午好|中午好|下午好|晚上好|早安|在吗|在不在",
    "有人在?吗|客服|亲|hello|hi|hey|hiya|good (?:morning|afternoon|evening|day)|there",
    "greetings|anyone (?:there|here)|how are you(?: today)?",
)
_THANKS = _whole(
    "(?:非常|十分|太|多)?(?:谢谢|感谢|多谢|谢了|谢啦)(?:你|您|你们|啦|了|哦|啊|呀)*|好的?[呀啊吧]?",
    "嗯+|知道了|明白了?|了解了?|收到|辛苦了|麻烦了|太好了|没(?:别的)?问题了",
    "(?:many |much )?thanks(?: a lot| so much| very much)?|thx|ty|cheers|great|perfect",
    "thank (?:you|u)(?: so much| very much)?|ok(?:ay)?|got it|understood|i see",
    "that(?:'s| is| was) (?:all|it|great|helpful|perfect)|for (?:your|the) help|very helpful",
    "much appreciated",
)
_GOODBYE = _whole(
    "再见|拜拜|回见|回头见|晚安|先这样吧?|就这样吧?|没事了|good ?bye|bye(?: bye)?|good night",
    "see (?:you|ya)(?: later)?|have a (?:nice|good|great) (?:day|evening|weekend|one)",
    "take care|that will be all",
)

_PERSON_ZH = re.compile(
    r"(?:转|找|接|换|叫|要|需要|想|请|给我|帮我|安排|联系|有没有|有|是否有|能|可以|跟|和|让|呼叫|切换)"
    r"[^，。！？,.!?]{0,8}?"
    r"(?:人工(?:客服|服务(?!费)|坐席|座席|专员|(?=$|[，。！？,.!?\s吗吧呢啊呀嘛了帮来回谢聊说沟跟和不好行]))"
    r"|真人(?!秀|照|试|模)(?:客服)?|活人|客服(?:专员|人员|小姐姐|小哥)(?=$|[，。！？,.!?\s吗吧呢来])"
    r"|(?:你们)?(?:经理|主管|领导|负责人)(?=$|[，。！？,.!?\s来出给跟说投]))"
)
_PERSON_ZH_WHOLE = re.compile(
    r"(?:我?(?:要|想|需要)?(?:转|找|联系|接|换|呼叫)?(?:一下|个)?)?"
    r"(?:人工|真人|人工客服|人工服务|真人客服|在线客服|客服人员)(?:吗|吧|呢|在吗|谢谢)?"
    r"|(?:请|我要|我想|帮我|给我|麻烦)?(?:转|找|接|叫|呼叫|联系)(?:一下|个)?客服(?:吗|吧|谢谢|来)?"
)
_NOT_PERSON_ZH = re.compile(
    r"(?:别(?!的)|无需|无须|不用|不想|不要|不需要|没必要|不必|不转|不找)[^，。！？,.!?]{0,4}(?:转|找|人工|真人|客服|经理)"
    r"|(?:人工|真人|客服|经理)[^，。！？,.!?]{0,6}"
    r"(?:几点|上班|下班|电话|号码|时间|收费|多少钱|费用|有什么区别|是什么|是谁|哪天|周末|节假日)"
    r"|(?:人工|真人)(?:智能|费|成本|草|湖|合成|授|智|审|检|校|处理要|处理多|安装|拆|维修|手工|造)"
    r"|(?:你是|你们是|是不是|还是)[^，。！？,.!?]{0,4}(?:人工|真人|机器)"
)

_NOUN_EN = (
    r"(?:human(?: being)?s?|(?:real |actual |live |different )?(?:person|people|someone|somebody)"
    r"(?: real)?|(?:live |human |support |service |real |customer service |customer support |"
    r"customer care )?(?:agent|representative|rep|operator|adviser|advisor|assistant)|supervisor|"
    r"(?:your |the |a )?manager|(?:member of (?:your )?)?staff(?: member)?|"
    r"(?:customer (?:service|support|care)|(?:your |the )?support team))"
)
_ARTICLE_EN = r"(?:an?|the|some|your|one of your|any)?\s*(?:real|actual|live)?\s*"
_PERSON_EN = re.compile(
    r"\b(?:(?:speak|speaking|talk|talking|chat|chatting)\s+(?:to|with)|"
    r"(?:connect|transfer|hand|pass|switch|escalate|forward|redirect|put|get)\s+(?:me|this|us)?\s*"
    r"(?:(?:over|through|on)\s*)?(?:to|with)|(?:connected|transferred)\s+(?:to|with)|escalate\s+to)"
    rf"\s+{_ARTICLE_EN}{_NOUN_EN}\b"
    rf"|\b(?:want|need|get me|give me|is there|are there|can i have|can i get|i'd like|would like|"
    rf"prefer|let me have)\s+{_ARTICLE_EN}"
    r"(?:human|real (?:person|human|people)|actual person|live (?:person|agent|chat)|human agent|"
    r"support agent|customer service (?:agent|rep(?:resentative)?)|representative|supervisor|"
    r"person|agent|(?:real )?someone|manager|people)"
    r"(?=\s*(?:$|[.!?,;]|please|now|instead|to (?:talk|speak|help|answer|assist|look|chat|call)|"
    r"i can (?:talk|speak)|here|who can help|available|on the phone))",
    re.IGNORECASE,
)
_PERSON_EN_WHOLE = re.compile(
    r"(?:an? |the )?(?:real |live |actual )?(?:human|person|agent|representative|operator|"
    r"live chat|customer service|customer support|human support|talk to support)"
    r"(?: please| now)*",
    re.IGNORECASE,
)
_NOT_PERSON_EN = re.compile(
    r"\b(?:don't|do not|doesn't|didn't|no need|never|rather not|without|instead of)\b[^.!?,]{0,20}"
    r"(?:to |with |speaking|talking|want|need|an? )[^.!?]{0,24}"
    r"\b(?:human|person|agent|representative|someone|staff|manager)\b"
    r"|\b(?:do|would|will|must|should) i (?:have|need) to\b"
    r"|\b(?:cleaning|descaling|rinsing|estate|travel|shipping|delivery|bleaching|anti\S*) agents?\b"
    r"|\bare you (?:an? )?(?:real|human|bot|robot|actual|person)",
    re.IGNORECASE,
)


def detect_intent(text: str) -> Prediction:
    """Returns the label with 1.0 where the whole message says it, 0.9 where a part does."""
    plain = to_simplified(text).replace("’", "'").strip()
    bare = re.sub(r"^[\W_]+|[\W_]+$", "", plain)
    if _asks_for_person(plain, bare):
        return Prediction("ask_for_person", _LIKELY)
    if _GOODBYE.fullmatch(plain) or _ends_with_goodbye(plain):
        return Prediction("goodbye", _CERTAIN)
    if _GREETING.fullmatch(plain):
        return Prediction("greeting", _CERTAIN)
    if _THANKS.fullmatch(plain):
        return Prediction("thanks", _CERTAIN)
    return Prediction("question", _LIKELY)


def _asks_for_person(plain: str, bare: str) -> bool:
    if _PERSON_ZH_WHOLE.fullmatch(bare) or _PERSON_EN_WHOLE.fullmatch(bare):
        return True
    if _PERSON_ZH.search(plain) and not _NOT_PERSON_ZH.search(plain):
        return True
    return bool(_PERSON_EN.search(plain)) and not _NOT_PERSON_EN.search(plain)


def _ends_with_goodbye(plain: str) -> bool:
    """True for thanks and a goodbye together: "Thanks, bye"."""
    parts = [part for part in re.split(r"[,.!，。！\s]+", plain) if part]
    goodbyes = [part for part in parts if _GOODBYE.fullmatch(part)]
    rest = " ".join(part for part in parts if part not in goodbyes)
    return bool(goodbyes) and bool(_THANKS.fullmatch(rest))
