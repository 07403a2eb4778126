"""Web sources over a real site: first fetch, changes, what vanishes, schedules, crashes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from knowledge.errors import SourceNotFound, SourceRejected
from knowledge.sources import enqueue_due
from knowledge.tables import JobRow, SourceRow
from knowledge.types import JobState, Schedule, Source, SourceId, SourceKind
from tests.knowledge_kit import KnowledgeBase
from tests.site_kit import Site, html, running_site


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        site.pages["/returns"] = html("Returns are free for thirty days.", title="Returns")
        site.pages["/shipping"] = html("Shipping takes two days in Europe.", title="Shipping")
        site.sitemap("/returns", "/shipping")
        yield site


def add(kb: KnowledgeBase, url: str, kind: SourceKind = SourceKind.PAGE) -> Source:
    source = kb.sources.add(url, kind=kind, author="tests")
    kb.worker.run_until_idle()
    return kb.sources.get(source.id)


def sync(kb: KnowledgeBase, source: Source) -> Source:
    kb.sources.sync(source.id)
    kb.worker.run_until_idle()
    return kb.sources.get(source.id)


def test_a_page_becomes_a_document(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    (document,) = kb.documents.list()
    assert document.title == "Returns"
    assert kb.found("returns free thirty days") == [document.name]
    assert (source.n_pages, source.n_changed, source.error) == (1, 1, None)
    assert source.last_fetched_at is not None


def test_a_sitemap_becomes_documents(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/sitemap.xml", SourceKind.SITEMAP)
    assert {document.title for document in kb.documents.list()} == {"Returns", "Shipping"}
    assert (source.n_pages, source.n_changed, source.n_failed) == (2, 2, 0)


def test_an_index_of_sitemaps_is_followed(kb: KnowledgeBase, site: Site) -> None:
    xml = f"<sitemapindex><sitemap><loc>{site.url}/sitemap.xml</loc></sitemap></sitemapindex>"
    site.pages["/index.xml"] = (200, {"Content-Type": "text/xml"}, xml.encode())
    assert add(kb, f"{site.url}/index.xml", SourceKind.SITEMAP).n_pages == 2


def test_pages_of_other_hosts_are_left_out(kb: KnowledgeBase, site: Site) -> None:
    xml = "<urlset><url><loc>http://other.test/</loc></url></urlset>"
    site.pages["/sitemap.xml"] = (200, {"Content-Type": "text/xml"}, xml.encode())
    source = add(kb, f"{site.url}/sitemap.xml", SourceKind.SITEMAP)
    assert "no page of its own site" in (source.error or "")


def test_unchanged_text_makes_no_version(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    status, headers, body = site.pages["/returns"]  # type: ignore[misc]
    site.pages["/returns"] = (status, headers, body.replace(b"<p>", b"<p data-nonce='2'>"))
    again = sync(kb, source)
    assert kb.documents.list()[0].version == 1
    assert again.n_changed == 0


def test_changed_text_makes_a_version(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    before = kb.documents.list()[0]
    site.pages["/returns"] = html("Returns are free for sixty days.", title="Returns")
    assert sync(kb, source).n_changed == 1
    (document,) = kb.documents.list()
    assert (document.id, document.version) == (before.id, 2)
    assert "sixty" in kb.documents.version(document.id).text


def test_conditional_requests_spare_the_body(kb: KnowledgeBase, site: Site) -> None:
    status, headers, body = html("Same as ever and always.")
    site.pages["/returns"] = (status, {**headers, "ETag": '"a"'}, body)
    source = add(kb, f"{site.url}/returns")
    again = sync(kb, source)
    assert (again.error, again.n_changed) == (None, 0)
    assert kb.documents.list()[0].version == 1


@pytest.mark.parametrize("way", ["gone", "unlisted"])
def test_a_vanished_page_keeps_its_document(kb: KnowledgeBase, site: Site, way: str) -> None:
    source = add(kb, f"{site.url}/sitemap.xml", SourceKind.SITEMAP)
    if way == "gone":
        del site.pages["/shipping"]
    else:
        site.sitemap("/returns")
    assert sync(kb, source).n_missing == 1
    gone = next(d for d in kb.documents.list() if d.title == "Shipping")
    assert gone.error is not None
    assert gone.n_chunks == 1
    site.pages["/shipping"] = html("Shipping takes two days in Europe.", title="Shipping")
    site.sitemap("/returns", "/shipping")
    assert sync(kb, source).n_missing == 0
    assert kb.documents.get(gone.id).error is None


def test_one_bad_page_does_not_stop_the_others(kb: KnowledgeBase, site: Site) -> None:
    site.pages["/shipping"] = (403, {}, b"")
    source = add(kb, f"{site.url}/sitemap.xml", SourceKind.SITEMAP)
    assert (source.n_pages, source.n_failed) == (2, 1)
    assert "403 Forbidden" in (kb.sources.pages(source.id)[0].error or "")
    assert len(kb.documents.list()) == 1


def test_a_failed_fetch_is_the_sources_reason(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/nowhere")
    assert "404" in (source.error or "")
    assert source.job_id is not None
    assert kb.jobs.get(source.job_id).state is JobState.FAILED


def test_a_removed_document_stays_away(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    kb.documents.remove(kb.documents.list()[0].id, actor="tests")
    site.pages["/returns"] = html("Something new.")
    assert "removed by a person" in (sync(kb, source).error or "")
    assert kb.documents.list() == []


def test_an_uploaded_file_of_that_name_is_left_alone(kb: KnowledgeBase, site: Site) -> None:
    mine = kb.add("127.0.0.1 returns.html", "<p>My own file.</p>")
    add(kb, f"{site.url}/returns")
    assert len(kb.documents.list()) == 2
    assert kb.documents.get(mine).version == 1


def test_an_interrupted_sync_goes_on(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/sitemap.xml", SourceKind.SITEMAP)
    with kb.engine.begin() as connection:  # as a killed worker leaves it, all pages done
        connection.execute(
            update(JobRow)
            .where(JobRow.id == source.job_id)
            .values(state=JobState.RUNNING, lease_owner="dead:1", lease_until=None)
        )
    kb.worker.run_until_idle()
    assert site.n_asked("/returns") == 1
    assert len(kb.documents.list()) == 2
    assert source.job_id is not None
    assert kb.jobs.get(source.job_id).state is JobState.SUCCEEDED


def test_due_sources_are_queued_once(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    kb.sources.reschedule(source.id, Schedule.HOURLY)
    assert enqueue_due(kb.engine) == 0
    past = datetime.now(UTC) - timedelta(minutes=1)
    with kb.engine.begin() as connection:
        connection.execute(update(SourceRow).values(next_fetch_at=past))
    assert [enqueue_due(kb.engine), enqueue_due(kb.engine)] == [1, 0]
    due = kb.sources.get(source.id).next_fetch_at
    assert due is not None
    assert due > datetime.now(UTC) + timedelta(minutes=50)
    assert kb.sources.reschedule(source.id, Schedule.OFF).next_fetch_at is None


def test_a_sync_under_way_is_not_started_twice(kb: KnowledgeBase, site: Site) -> None:
    source = kb.sources.add(f"{site.url}/returns", author="tests")
    assert kb.sources.sync(source.id) == source.job_id


def test_a_cancelled_sync_changes_nothing(kb: KnowledgeBase, site: Site) -> None:
    source = kb.sources.add(f"{site.url}/returns", author="tests")
    assert source.job_id is not None
    kb.jobs.cancel(source.job_id)
    kb.worker.run_until_idle()
    assert kb.documents.list() == []


def test_a_source_is_added_once(kb: KnowledgeBase, site: Site) -> None:
    kb.sources.add(f"{site.url}/returns#top", author="tests")
    with pytest.raises(SourceRejected, match="already"):
        kb.sources.add(f"{site.url}/returns", author="tests")


def test_removing_a_source_keeps_its_documents(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    kb.sources.remove(source.id)
    assert kb.sources.list() == []
    assert len(kb.documents.list()) == 1
    with pytest.raises(SourceNotFound):
        kb.sources.get(SourceId(source.id))


def test_the_worker_fetches_what_is_due(kb: KnowledgeBase, site: Site) -> None:
    source = add(kb, f"{site.url}/returns")
    site.pages["/returns"] = html("Returns are free for sixty days.", title="Returns")
    kb.sources.reschedule(source.id, Schedule.DAILY)
    with kb.engine.begin() as connection:
        connection.execute(update(SourceRow).values(next_fetch_at=datetime.now(UTC)))
    kb.worker.start()
    deadline = time.monotonic() + 10
    while kb.documents.list()[0].version == 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert kb.worker.stop(5)
    assert kb.documents.list()[0].version == 2
