"""`kill -9` in the middle of a streamed reply loses nothing that was said."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import Engine

from bot.database import open_database, upgrade
from bot.types import ConversationId, MessageStatus, Role
from tests.bot.chat_kit import Shop, first_sentence
from tests.fakes import FakeChatModel

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from bot.database import open_database
from bot.events import Token
from bot.types import ConversationId
from tests.bot.chat_kit import Shop
from tests.fakes import FakeChatModel

model = FakeChatModel(answer=lambda _: "退货运费 10 元。" * 2000, token_delay_s=0.005)
shop = Shop(open_database(sys.argv[1]), model)
turn = shop.chat.begin(ConversationId(sys.argv[2]), "退货运费多少", client_id="once")
n_tokens = 0
for event in shop.chat.stream(turn):
    n_tokens += isinstance(event, Token)
    if n_tokens == 40:
        sys.stdout.write("writing\\n")
        sys.stdout.flush()
"""


def killed_in_the_middle(url: str, conversation_id: ConversationId) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, url, conversation_id], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    time.sleep(0.1)
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    writer.stdout.close()


def reopened(url: str) -> Engine:
    engine = open_database(url)
    upgrade(engine)
    return engine


def test_killed_reply_is_there_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'kefu.db'}"
    before = Shop(reopened(url), FakeChatModel())
    conversation_id = before.start()
    before.engine.dispose()

    killed_in_the_middle(url, conversation_id)

    engine = reopened(url)
    shop = Shop(engine, FakeChatModel(answer=first_sentence))
    asked, cut = shop.conversations.messages(conversation_id)
    assert (asked.text, asked.status) == ("退货运费多少", MessageStatus.COMPLETE)
    assert (cut.role, cut.status) == (Role.BOT, MessageStatus.STREAMING)
    assert shop.conversations.mark_interrupted() == 1
    cut = shop.conversations.messages(conversation_id)[1]
    assert cut.status is MessageStatus.INTERRUPTED
    assert cut.text.startswith("退货运费 10 元。")

    events = list(
        shop.chat.stream(shop.chat.begin(conversation_id, "退货运费多少", client_id="once"))
    )
    answered = shop.conversations.messages(conversation_id)
    assert [message.status for message in answered] == [MessageStatus.COMPLETE] * 2
    assert answered[1].text == events[-1].reply.text  # type: ignore[union-attr]
    assert not shop.conversations.mark_interrupted()
    engine.dispose()
