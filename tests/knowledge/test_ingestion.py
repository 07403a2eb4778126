import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from knowledge.errors import (
    DocumentNotFound,
    DuplicateDocument,
    FileTooLarge,
    KnowledgeError,
    ParseFailed,
    UnsupportedFormat,
)
from knowledge.ingest_job import guess_language
from knowledge.ingestion import clean_file_name
from knowledge.tables import ChunkRow, DocumentRow, DocumentVersionRow, JobRow
from knowledge.types import DocumentId, DocumentStatus, JobState
from tests.knowledge_kit import LIMITS, KnowledgeBase, long_text


def count(kb: KnowledgeBase, table: type) -> int:
    with Session(kb.engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_upload_becomes_searchable(kb: KnowledgeBase) -> None:
    document_id, job_id = kb.submit("kettle.txt", long_text(5))
    assert kb.documents.get(document_id).status is DocumentStatus.QUEUED
    assert kb.found("kettle") == []
    assert kb.worker.run_until_idle() == 1
    job, document = kb.jobs.get(job_id), kb.documents.get(document_id)
    assert (job.state, job.progress, job.error) == (JobState.SUCCEEDED, 1.0, None)
    assert (document.status, document.version, document.language) == ("ready", 1, "en")
    assert document.n_chunks == len(kb.documents.chunks(document_id)) == len(kb.indexes) >= 5
    assert kb.found("kettle guide paragraph") == ["kettle.txt"]


def test_chunks_are_exact_slices_of_the_stored_text(kb: KnowledgeBase) -> None:
    text = "# 保修\r\n\r\n保修两年。😀\r\n\r\n" + long_text(3)
    document_id = kb.add("warranty.md", text)
    version = kb.documents.version(document_id)
    assert version.text == text
    for chunk in kb.documents.chunks(document_id):
        assert chunk.text == version.text[chunk.start : chunk.end]


def test_same_name_makes_a_new_version(kb: KnowledgeBase) -> None:
    document_id = kb.add("fees.txt", "Shipping costs five euros.")
    again, _ = kb.submit("fees.txt", "Shipping costs nine dollars.")
    assert again == document_id
    assert kb.retriever.search("shipping").hits[0].chunk.text == "Shipping costs five euros."
    kb.worker.run_until_idle()
    hits = kb.retriever.search("shipping costs").hits
    assert [hit.chunk.text for hit in hits] == ["Shipping costs nine dollars."]
    assert kb.documents.get(document_id).version == 2
    assert kb.documents.version(document_id, 1).text == "Shipping costs five euros."
    assert count(kb, ChunkRow) == len(kb.indexes) == 1


def test_replacing_takes_the_new_name(kb: KnowledgeBase) -> None:
    document_id = kb.add("old.txt", "The old shop opens at nine.")
    kb.submit("new.md", "The new shop opens at ten.", replace=document_id)
    kb.worker.run_until_idle()
    assert [document.name for document in kb.documents.list()] == ["new.md"]
    assert kb.documents.find_by_name("old.txt") is None
    assert kb.found("shop opens") == ["new.md"]


def test_replacing_refuses_a_taken_name_and_unknown_document(kb: KnowledgeBase) -> None:
    document_id = kb.add("one.txt", "First text.")
    kb.add("two.txt", "Second text.")
    with pytest.raises(DuplicateDocument, match=r"two\.txt"):
        kb.submit("two.txt", "Third text.", replace=document_id)
    with pytest.raises(DocumentNotFound):
        kb.submit("three.txt", "Third text.", replace=DocumentId("nowhere"))
    assert len(kb.documents.list()) == 2


def test_identical_bytes_are_done_at_once(kb: KnowledgeBase) -> None:
    document_id = kb.add("a.txt", "The same text.")
    again, job_id = kb.submit("a.txt", "The same text.")
    assert again == document_id
    assert kb.jobs.get(job_id).state is JobState.SUCCEEDED
    assert kb.worker.run_until_idle() == 0
    assert kb.documents.get(document_id).version == 1


def test_newest_of_several_waiting_uploads_wins(kb: KnowledgeBase) -> None:
    _, first = kb.submit("a.txt", "Version one of it.")
    _, second = kb.submit("a.txt", "Version two of it.")
    kb.worker.run_until_idle()
    assert kb.jobs.get(first).state is JobState.CANCELLED
    assert kb.jobs.get(second).state is JobState.SUCCEEDED
    assert [hit.chunk.text for hit in kb.retriever.search("version").hits] == ["Version two of it."]


def test_failure_keeps_the_old_version_and_says_why(kb: KnowledgeBase) -> None:
    document_id = kb.add("guide.html", "<h1>Guide</h1><p>Clean the kettle weekly.</p>")
    kb.submit("guide.html", "<html><body><script>1</script></body></html>")
    kb.worker.run_until_idle()
    document = kb.documents.get(document_id)
    assert kb.job_of(document_id).state is JobState.FAILED
    assert (document.status, document.version) == (DocumentStatus.READY, 1)
    assert document.error
    assert kb.found("kettle") == ["guide.html"]
    assert count(kb, DocumentVersionRow) == 1


def test_one_bad_file_does_not_stop_the_others(kb: KnowledgeBase) -> None:
    bad, _ = kb.ingestor.submit("bad.pdf", b"%PDF-1.4 broken", author="tests")
    good, _ = kb.submit("good.txt", "A good text about kettles.")
    kb.worker.run_until_idle()
    assert kb.documents.get(bad).status is DocumentStatus.FAILED
    assert kb.documents.get(bad).error
    assert kb.documents.get(good).status is DocumentStatus.READY


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.exe", b"MZ", UnsupportedFormat),
        ("a.txt", b"", ParseFailed),
        ("a.pdf", b"just text", KnowledgeError),
        ("a.txt", b"x" * (LIMITS.max_bytes + 1), FileTooLarge),
        ("../", b"text", UnsupportedFormat),
    ],
)
def test_bad_upload_is_refused_and_changes_nothing(
    kb: KnowledgeBase, name: str, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        kb.ingestor.submit(name, data, author="tests")
    assert kb.documents.list() == []
    assert count(kb, JobRow) == count(kb, DocumentRow) == 0
    assert not list(kb.uploads_dir.glob("*"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("returns.pdf", "returns.pdf"),
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\me\\退货 政策.docx", "退货 政策.docx"),
        ("a\x00b\r\n\u202ec.txt", "abc.txt"),
        ("e\u0301.md", "\u00e9.md"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
    ],
)
def test_file_names_are_made_safe(given: str, expected: str) -> None:
    assert clean_file_name(given) == expected


def test_removing_takes_everything_away_at_once(kb: KnowledgeBase) -> None:
    document_id = kb.add("a.txt", "A text about kettles.")
    kept = kb.add("b.txt", "A text about vacuum cleaners.")
    kb.documents.remove(document_id, actor="tests")
    assert kb.found("kettles text") == ["b.txt"]
    assert [document.id for document in kb.documents.list()] == [kept]
    assert count(kb, ChunkRow) == count(kb, DocumentVersionRow) == 1
    assert len(list(kb.uploads_dir.iterdir())) == 1
    for call in (kb.documents.get, kb.documents.chunks, kb.documents.version):
        with pytest.raises(DocumentNotFound):
            call(document_id)
    with pytest.raises(DocumentNotFound):
        kb.documents.remove(document_id, actor="tests")
    kb.indexes.refresh()
    assert len(kb.indexes) == 1


def test_removed_name_can_be_used_again(kb: KnowledgeBase) -> None:
    first = kb.add("a.txt", "Kettles are cheap.")
    kb.documents.remove(first, actor="tests")
    second = kb.add("a.txt", "Kettles are dear.")
    assert second != first
    assert [hit.chunk.text for hit in kb.retriever.search("kettles").hits] == ["Kettles are dear."]


def test_bytes_stay_while_another_document_uses_them(kb: KnowledgeBase) -> None:
    first = kb.add("a.txt", "The same text in two files.")
    second = kb.add("b.txt", "The same text in two files.")
    kb.documents.remove(first, actor="tests")
    assert len(list(kb.uploads_dir.iterdir())) == 1
    kb.documents.remove(second, actor="tests")
    assert not list(kb.uploads_dir.iterdir())


def test_unfinished_version_cannot_be_read(kb: KnowledgeBase) -> None:
    document_id, _ = kb.submit("a.txt", "Not yet read.")
    with pytest.raises(DocumentNotFound):
        kb.documents.version(document_id)
    assert kb.documents.chunks(document_id) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("保修两年", "zh"), ("two years", "en"), ("HG-K1702 电热水壶使用说明", "zh"), ("12 34", None)],
)
def test_language_is_what_the_text_has_more_of(text: str, expected: str | None) -> None:
    assert guess_language(text) == expected
