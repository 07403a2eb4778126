"""What messages are for, by rules."""

import pytest

from bot.dialogue.intent import detect_intent


@pytest.mark.parametrize(
    "text",
    [
        "转人工", "人工", "人工客服", "我要找人工客服", "有人工吗", "可以转人工吗？",
        "請幫我轉人工",
        "转接真人", "能不能换个人工客服跟我说", "叫你们经理来", "联系客服", "需要人工",
        "human", "agent please", "I want to talk to a human", "Can I speak to an agent?",
        "Get me a real person", "connect me to customer service", "escalate to a manager",
        "I'd like to speak with someone", "is there a real person I can talk to",
        "This is useless, let me talk to a person!",
    ],
)  # fmt: skip
def test_request_for_a_person(text: str) -> None:
    assert detect_intent(text).label == "ask_for_person"


@pytest.mark.parametrize(
    "text",
    [
        "人工费多少钱", "安装要人工费吗", "人工智能是什么", "人工客服几点上班？", "要人工审核吗",
        "需要人工安装吗", "你是真人吗", "不用转人工", "订单由客服在 2 小时内人工处理吗",
        "怎么联系客服退款", "cleaning agent price", "which descaling agent do I need",
        "How do I contact customer service?", "do I have to talk to a person to return it",
        "can someone help me with my order", "I need a person to install it",
        "are you a real person?", "I don't want to talk to a human",
        "hello, how do I return my kettle?", "你好，怎么退货", "Thanks, but where is my parcel?",
        "谢谢，那运费呢", "The person who received the gift wants a refund",
    ],
)  # fmt: skip
def test_question_is_not_taken_for_anything_else(text: str) -> None:
    assert detect_intent(text).label == "question"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("你好", "greeting"), ("您好，在吗？", "greeting"), ("Hello!", "greeting"),
        ("hi there 👋", "greeting"), ("谢谢", "thanks"), ("好的，谢谢您", "thanks"),
        ("Thank you so much!", "thanks"), ("ok", "thanks"), ("再见", "goodbye"),
        ("Thanks, bye", "goodbye"), ("谢谢，拜拜", "goodbye"),
    ],
)  # fmt: skip
def test_small_talk_is_the_whole_message(text: str, label: str) -> None:
    assert detect_intent(text).label == label
