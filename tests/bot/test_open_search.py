"""Opening the search after the settings name another embedder."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.assembly import open_search, open_stores
from knowledge.embedding import Embedder
from knowledge.errors import EmbedderUnavailable
from knowledge.rebuild_job import request_rebuild
from tests.fakes import FakeEmbedder
from tests.web.kit import make_settings


def lost(id: str) -> Embedder:
    raise EmbedderUnavailable(f"no {id}")


@pytest.mark.parametrize("load_old", [lambda id: FakeEmbedder(id=id), lost])
def test_search_opens_with_another_embedder(
    tmp_path: Path, engine: Engine, load_old: object
) -> None:
    settings = make_settings(tmp_path)
    stores = open_stores(settings, engine)
    stores.ingestor.submit("kettle.txt", b"The kettle holds two litres.", author="tests")
    first = open_search(settings, engine, embedder=FakeEmbedder())
    first.worker.run_until_idle()
    first.indexes.close()
    new = FakeEmbedder(id="new", dim=32)
    again = open_search(settings, engine, embedder=new, load_old=load_old)  # type: ignore[arg-type]
    before = again.retriever.search("kettle litres").hits
    request_rebuild(stores.jobs)
    again.worker.run_until_idle()
    after = again.retriever.search("kettle litres").hits
    again.indexes.close()
    assert [hit.document for hit in before] == [hit.document for hit in after] == ["kettle.txt"]
    assert (before[0].dense_score is None) == (load_old is lost)
    assert after[0].dense_score is not None
    assert again.embedder is new
