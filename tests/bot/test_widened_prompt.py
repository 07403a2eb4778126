"""Small-to-big: the best passage is read with its neighbours, and these are cited exactly."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from bot.prompting import Prompt, PromptBuilder, PromptRequest
from bot.settings import ChatSettings
from bot.types import Reply
from knowledge.neighbors import NeighborFinder, Neighbors
from knowledge.types import Audience, Chunk, ChunkId, DocumentId, ScoredChunk
from tests.bot.chat_kit import SHOP, Shop, hits_of
from tests.fakes import FakeChatModel

COUNT = FakeChatModel().count_tokens
TEXTS = (
    "Parcels leave the warehouse at noon.",
    "The label costs six euros in the EU.",
    "We refund the price within five days.",
    "Gift cards are refunded as gift cards.",
    "Opened filters cannot be sent back.",
)

FOUND = "# Returns\n\nReturns are possible for 30 days. The price of a filter is never refunded."
REST = "We pay the money back within five working days of the arrival."


def run(texts: Sequence[str], *, first_id: int = 100) -> list[ScoredChunk]:
    """One passage after the other of the first document."""
    hits, start = [], 0
    for n, text in enumerate(texts):
        chunk = Chunk(ChunkId(first_id + n), DocumentId("doc1"), 1, text, start, start + len(text))
        hits.append(ScoredChunk(chunk, "returns.md", "Returns", 1.0, 1))
        start += len(text) + 1
    return hits


def build(best: int, texts: Sequence[str], *, bound: int, budget: int = 3000) -> Prompt:
    hits = run(texts)
    beside = Neighbors(tuple(hits[:best][::-1]), tuple(hits[best + 1 :]))
    request = PromptRequest("en", "What is refunded?", (hits[best], *hits_of(SHOP)), (), beside)
    builder = PromptBuilder(count_tokens=COUNT, budget_tokens=budget, neighbor_tokens=bound)
    return builder.build(request)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text("abc 客服。", min_size=1, max_size=80), min_size=1, max_size=6),
    best=st.integers(0, 5),
    bound=st.integers(0, 120),
    budget=st.integers(900, 1100),
)
def test_neighbours_never_exceed_their_bound(
    texts: list[str], best: int, bound: int, budget: int
) -> None:
    best = min(best, len(texts) - 1)
    plain = build(best, texts, bound=0, budget=budget)
    wider = build(best, texts, bound=bound, budget=budget)
    assert wider.n_tokens <= min(budget, plain.n_tokens + bound)
    assert wider.n_passages == plain.n_passages
    places = sorted([best, *(hit.chunk.id - 100 for hit in wider.neighbors)])
    assert places == list(range(places[0], places[-1] + 1))


def test_neighbours_stand_in_the_documents_order() -> None:
    prompt = build(2, TEXTS, bound=500)
    assert [hit.chunk.id - 100 for hit in prompt.neighbors] == [3, 1, 4, 0]
    assert "[1] Returns\n" + "\n".join(TEXTS) + "\n\n[2]" in prompt.messages[-1].content


def test_small_bound_takes_the_next_only() -> None:
    plain = build(2, TEXTS, bound=0)
    assert plain.neighbors == ()
    one = build(2, TEXTS, bound=COUNT(TEXTS[3]) + 2)
    assert [hit.chunk.text for hit in one.neighbors] == [TEXTS[3]]


def test_neighbour_that_is_read_anyway_is_not_repeated() -> None:
    hits = run(TEXTS)
    beside = Neighbors((), (hits[1], hits[2]))
    builder = PromptBuilder(count_tokens=COUNT, budget_tokens=3000, neighbor_tokens=500)
    prompt = builder.build(PromptRequest("en", "What?", (hits[0], hits[1]), (), beside))
    assert prompt.neighbors == ()
    assert prompt.messages[-1].content.count(TEXTS[1]) == 1


class Beside(NeighborFinder):
    """Gives the rest of the document as the passage after whatever was found."""

    rest = ""

    def around(self, hit: ScoredChunk, *, audience: Audience = Audience.CUSTOMER) -> Neighbors:
        start = hit.chunk.end + 1
        chunk = replace(
            hit.chunk, id=ChunkId(99), text=self.rest, start=start, end=start + len(self.rest)
        )
        return Neighbors((), (replace(hit, chunk=chunk),))


def ask_with_rest(engine: Engine, said: str, *, neighbor_tokens: int) -> tuple[Shop, Reply]:
    """Asks where the best passage ends before the sentence that answers."""
    finder = Beside(engine, reach=1)
    finder.rest = REST
    shop = Shop(
        engine,
        FakeChatModel(said),
        texts={"returns.md": FOUND},
        settings=ChatSettings(neighbor_tokens=neighbor_tokens),
        neighbors=finder,
    )
    return shop, shop.ask(shop.start("en"), "When is the price of returns refunded?")


def test_neighbour_is_cited_at_its_own_place(engine: Engine) -> None:
    shop, reply = ask_with_rest(engine, REST, neighbor_tokens=100)
    assert REST in shop.model.prompts[0][-1].content
    (cited,) = reply.citations
    assert (cited.chunk_id, cited.quote) == (99, REST)
    assert f"{FOUND}\n{REST}"[cited.start : cited.end] == REST
    assert reply.reason is None


def test_unread_neighbour_carries_nothing(engine: Engine) -> None:
    shop, reply = ask_with_rest(engine, REST, neighbor_tokens=0)
    assert REST not in shop.model.prompts[0][-1].content
    assert all(cited.chunk_id != 99 for cited in reply.citations)
