from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from knowledge import search_filter
from knowledge.search_filter import SearchFilter
from knowledge.tables import DocumentRow
from knowledge.types import Audience, DocumentId
from tests.knowledge_kit import KnowledgeBase, long_text

NOW = datetime.now(UTC)


def change(kb: KnowledgeBase, document_id: DocumentId, **values: object) -> None:
    with Session(kb.engine) as session, session.begin():
        session.execute(update(DocumentRow).where(DocumentRow.id == document_id).values(**values))


@pytest.fixture
def filled(kb: KnowledgeBase) -> KnowledgeBase:
    kb.submit("kettle.md", "# Kettle\n\nThe kettle is cleaned monthly.")
    kb.submit("returns.txt", "The kettle can be returned within thirty days.")
    kb.submit("水壶.txt", "水壶 kettle 每月除垢一次，然后用清水冲净。")
    kb.worker.run_until_idle()
    kettle = kb.documents.find_by_name("kettle.md")
    assert kettle is not None
    change(kb, kettle.id, tags=["Care", "kitchen"], updated_at=NOW - timedelta(days=40))
    return kb


def found(kb: KnowledgeBase, only: SearchFilter, *, query: str = "kettle") -> set[str]:
    return {hit.document for hit in kb.retriever.search(query, only=only).hits}


@pytest.mark.parametrize(
    ("only", "documents"),
    [
        (SearchFilter(), {"kettle.md", "returns.txt", "水壶.txt"}),
        (SearchFilter(tags=("care",)), {"kettle.md"}),
        (SearchFilter(tags=("nothing",)), set()),
        (SearchFilter(languages=("zh",)), {"水壶.txt"}),
        (SearchFilter(languages=("en", "zh")), {"kettle.md", "returns.txt", "水壶.txt"}),
        (SearchFilter(formats=(".TXT",)), {"returns.txt", "水壶.txt"}),
        (SearchFilter(formats=("txt",), languages=("en",)), {"returns.txt"}),
        (SearchFilter(changed_to=NOW - timedelta(days=30)), {"kettle.md"}),
        (SearchFilter(changed_from=NOW - timedelta(days=30)), {"returns.txt", "水壶.txt"}),
    ],
)
def test_only_allowed_documents_are_found(
    filled: KnowledgeBase, only: SearchFilter, documents: set[str]
) -> None:
    assert found(filled, only) == documents


def test_ids_choose_documents(filled: KnowledgeBase) -> None:
    returns = filled.documents.find_by_name("returns.txt")
    assert returns is not None
    assert found(filled, SearchFilter(document_ids=(returns.id,))) == {"returns.txt"}


@pytest.mark.parametrize("few", [search_filter.FEW, 0])
def test_filter_does_not_starve_the_result(
    kb: KnowledgeBase, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(search_filter, "FEW", few)
    kb.add("big.txt", long_text(60))
    kb.add("small.md", "A person wipes windows.\n\n" + long_text(1, topic="window"))
    only = SearchFilter(formats=("md",))
    assert found(kb, only, query="kettle guide part number cleaned with care") == {"small.md"}


def test_filter_keeps_the_audience(filled: KnowledgeBase) -> None:
    kettle = filled.documents.find_by_name("kettle.md")
    assert kettle is not None
    change(filled, kettle.id, visibility="staff")
    only = SearchFilter(document_ids=(kettle.id,))
    assert found(filled, only) == set()
    hits = filled.retriever.search("kettle", only=only, audience=Audience.STAFF).hits
    assert {hit.document for hit in hits} == {"kettle.md"}


def test_close_comparison_ranks_as_the_index_does(filled: KnowledgeBase) -> None:
    everything = SearchFilter(formats=("md", "txt"))
    plain = filled.retriever.search("kettle returned thirty days").hits
    inside = filled.retriever.search("kettle returned thirty days", only=everything).hits
    assert [hit.chunk.id for hit in plain] == [hit.chunk.id for hit in inside]
    assert [hit.dense_score for hit in plain] == pytest.approx([h.dense_score for h in inside])


def test_too_many_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 50 tags"):
        SearchFilter(tags=tuple("abc" * 20))
