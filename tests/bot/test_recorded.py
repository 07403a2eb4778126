"""Searches for customers are kept with the turn, found again and pruned."""

from sqlalchemy import Engine, delete, insert, select

from bot.recorded import RetrievalFilter, recent_retrievals, record_search, recorded_retrieval
from bot.recorded import SearchRecord as Record
from bot.settings import ChatSettings
from bot.tables import RetrievalRow
from bot.types import Reply
from knowledge.types import Candidate, ChunkId, Retrieval
from tests.bot.chat_kit import Shop
from tests.fakes import FakeChatModel

QUESTION = "What does the return label cost in the EU?"


def asked(engine: Engine, *questions: str) -> list[Reply]:
    shop = Shop(engine, FakeChatModel())
    started = shop.start("en")
    return [shop.ask(started, question) for question in questions]


def test_search_is_kept_with_its_turn(engine: Engine) -> None:
    reply = asked(engine, QUESTION)[0]
    recorded = recorded_retrieval(engine, reply.message_id)
    assert recorded is not None
    assert (recorded.question, recorded.action) == (QUESTION, reply.action.value)
    assert recorded.threshold == 0.5
    assert recorded.hits[0]["document"] == "returns.md"


def test_small_talk_leaves_no_search(engine: Engine) -> None:
    asked(engine, "hello")
    assert recent_retrievals(engine) == ([], 0)


def test_filters_narrow_the_list(engine: Engine) -> None:
    asked(engine, QUESTION, "Do penguins yodel loudly?")

    def found(wanted: RetrievalFilter) -> list[str]:
        return [one.question for one in recent_retrievals(engine, wanted)[0]]

    assert found(RetrievalFilter(q="LABEL")) == [QUESTION]
    assert found(RetrievalFilter(q="100%")) == []
    assert found(RetrievalFilter(language="zh")) == []
    assert found(RetrievalFilter(max_relevance=0.3)) == ["Do penguins yodel loudly?"]
    assert found(RetrievalFilter(action="refuse")) == ["Do penguins yodel loudly?"]
    assert found(RetrievalFilter(page_size=1, page=2)) == [QUESTION]


def test_every_candidate_comes_back(engine: Engine) -> None:
    reply = asked(engine, QUESTION)[0]
    both = Candidate(ChunkId(3), "a.md", 1, 0.5, 2, 0.75, 1, 12.5)
    one = Candidate(ChunkId(4), "b.md", 2, 0.25, None, None, 2, 3.0)
    found = Retrieval(QUESTION, (), 0.5, candidates=(both, one))
    with engine.begin() as connection:
        connection.execute(delete(RetrievalRow))
        record_search(connection, reply, Record(QUESTION, "en", found, 0.4, 10))
    recorded = recorded_retrieval(engine, reply.message_id)
    assert recorded is not None
    assert recorded.candidates == (both, one)


def test_oldest_searches_are_dropped(engine: Engine) -> None:
    shop = Shop(engine, FakeChatModel(), settings=ChatSettings(recorded_searches=1))
    started = shop.start("en")
    first = shop.ask(started, QUESTION)
    with engine.begin() as connection:
        row = dict(connection.execute(select(RetrievalRow.__table__)).one()._mapping)
        connection.execute(delete(RetrievalRow))
        connection.execute(insert(RetrievalRow), row | {"id": 99})
    shop.ask(started, QUESTION)
    with engine.connect() as connection:
        assert connection.scalars(select(RetrievalRow.id)).all() == [100]
    assert recorded_retrieval(engine, first.message_id) is not None
