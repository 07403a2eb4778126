"""Tells the language of a message by its script and its function words.

Labels: `zh-Hans`, `zh-Hant`, `en`, `mixed` (Chinese and English in one sentence) and `other`.
Product codes, brand names and single borrowed words do not make a Chinese sentence mixed.
"""

import re
import unicodedata


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Common characters that differ, traditional over simplified, position by position.
_TRADITIONAL = (
    "這個們來時說對會還沒為麼請問買賣貨單運費錢發處當後過開關機電話員務"
    "區號碼網頁帳戶訂購換維壞聯繫經轉專線領導係應該東類質優惠點積級場廣"
    "從給動現實產業門間長見種體樣幾週歲雙學習邊讓認識講謝幫選擇樓層壓鍋"
    "熱爐燈鐘鋼鐵銀鏡設備檢測試驗證據價格單總額稅號圖書館國際臺灣區內"
    "氣淨濾網風製塵掃紅藍綠黃顏飲養嬰兒軟體複雜簡嗎無與並將於較據傳輸"
    "遞裝損傷賠償補償遲達擊確訊錯誤須顧滿諮詢歡樂聽寫讀貴"
)
_SIMPLIFIED = (
    "这个们来时说对会还没为么请问买卖货单运费钱发处当后过开关机电话员务"
    "区号码网页账户订购换维坏联系经转专线领导系应该东类质优惠点积级场广"
    "从给动现实产业门间长见种体样几周岁双学习边让认识讲谢帮选择楼层压锅"
    "热炉灯钟钢铁银镜设备检测试验证据价格单总额税号图书馆国际台湾区内"
    "气净滤网风制尘扫红蓝绿黄颜饮养婴儿软体复杂简吗无与并将于较据传输"
    "递装损伤赔偿补偿迟达击确讯错误须顾满咨询欢乐听写读贵"
)
_TO_SIMPLIFIED = {
    ord(old): new for old, new in zip(_TRADITIONAL, _SIMPLIFIED, strict=True) if old != new
}
_ONLY_TRADITIONAL = frozenset(map(chr, _TO_SIMPLIFIED))
_ONLY_SIMPLIFIED = frozenset(_TO_SIMPLIFIED.values()) - frozenset("系后几周台于面范复制准里")

_ENGLISH = _words(
    "a an and any are at be by can cannot could did do does for from get had has have how i if in "
    "is it its many much my need no not of on or our out please should so take than that the "
    "their there they this to us want was we what when where which who why will with would you "
    "your don't doesn't can't isn't didn't i'm it's what's hi hello thanks thank yes ok"
)
_FOREIGN = _words(
    # French, German, Spanish, Italian, Portuguese, Dutch, Polish, Indonesian, Vietnamese
    "le la les des du une est et je vous nous mon ma mes votre pour avec dans comment combien "
    "bonjour merci pas puis-je puis quand où sont der die das ein eine ist und ich sie wir mein "
    "meine für mit wie kann nicht wann wo sind haben guten danke bitte el los las un una es y mi "
    "para con cómo como cuánto cuando dónde puedo hola gracias por qué il lo gli sono e come "
    "posso quanto ciao grazie não você meu minha quando olá obrigado het een hoe kan ik wat "
    "waar niet jest nie jak czy gdzie apa bagaimana saya dan tidak xin chào tôi không là của"
) - {"die", "es", "e", "y", "no", "wat"}
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_MIN_MIXED_WORDS = 2


def detect_language(text: str, default: str) -> str:
    """Returns the label of the text; `default` (zh or en) decides where there are no letters."""
    han = [char for char in text if _is_han(char)]
    words = _latin_words(text)
    others = sum(char.isalpha() and not _is_han(char) and not _is_latin(char) for char in text)
    if others > len(han) / 4 + len(words):  # kana, hangul, Cyrillic, Arabic …
        return "other"
    if han:
        return "mixed" if _is_mixed(words, len(han)) else _chinese(han)
    if words:
        return "other" if _is_foreign(words) else "en"
    return "zh-Hans" if default.startswith("zh") else "en"


def reply_language(label: str, text: str, default: str) -> str:
    """Returns zh or en, the language to answer in; the grammar decides for `mixed`."""
    if label.startswith("zh"):
        return "zh"
    if label == "en":
        return "en"
    if label == "mixed":
        n_han = sum(map(_is_han, text))
        return "en" if 2 * len(_latin_words(text)) > n_han else "zh"
    return "zh" if default.startswith("zh") else "en"


def to_simplified(text: str) -> str:
    """Returns the text with common traditional characters simplified, for matching rules."""
    return text.translate(_TO_SIMPLIFIED)


def _chinese(han: list[str]) -> str:
    n_traditional = sum(char in _ONLY_TRADITIONAL for char in han)
    n_simplified = sum(char in _ONLY_SIMPLIFIED for char in han)
    return "zh-Hant" if n_traditional > n_simplified else "zh-Hans"


def _is_mixed(words: list[str], n_han: int) -> bool:
    lower = [word for word in words if word.islower() and len(word) > 1]
    if any(word in _ENGLISH for word in lower):
        return True
    return len(lower) >= _MIN_MIXED_WORDS or (bool(lower) and n_han <= _MIN_MIXED_WORDS)


def _is_foreign(words: list[str]) -> bool:
    lowered = [word.lower().replace("’", "'") for word in words]
    n_english = sum(word in _ENGLISH for word in lowered)
    n_foreign = sum(word in _FOREIGN for word in lowered)
    has_marks = any(not char.isascii() and char.isalpha() for word in words for char in word)
    return n_foreign > n_english and (n_foreign >= 2 or has_marks or len(words) <= 2)


def _latin_words(text: str) -> list[str]:
    """Words in Latin letters that are no part of a code such as HG-K1702."""
    plain = re.sub(r"\S*\d\S*", lambda code: " " if code[0].isascii() else code[0], text)
    plain = "".join(char if not _is_han(char) else " " for char in plain)
    return [word for word in _WORD.findall(plain) if _is_latin(word[0])]


def _is_latin(char: str) -> bool:
    return char.isascii() or "LATIN" in unicodedata.name(char, "")


def _is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf" or char == "々"
