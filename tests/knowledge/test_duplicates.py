"""Documents that say the same: found by the worker, kept, replaced or skipped."""

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from knowledge.document_edits import DocumentChange, DocumentEditor
from knowledge.duplicate_marks import DuplicateMarks
from knowledge.errors import DocumentNotFound, InvalidChange
from knowledge.health import Health, health_of
from knowledge.signatures import FORMAT, likeness, sign
from knowledge.tables import ChunkRow, DocumentVersionRow, SignatureRow
from knowledge.types import DocumentId, DocumentStatus, JobId, JobState, OnDuplicate
from tests.knowledge_kit import KnowledgeBase, long_text

TEXT = long_text(8)
NEAR = TEXT.replace("Paragraph 3", "Section three")
CHINESE = "水壶每隔三天要清洗一次，洗完以后要擦干，放在干燥通风的地方，再由熟悉水壶的人检查。" * 2
OTHER = "Gift wrapping costs three euros for every book that we send."


@pytest.fixture
def marks(kb: KnowledgeBase) -> DuplicateMarks:
    return DuplicateMarks(kb.engine, uploads_dir=kb.uploads_dir)


def take(kb: KnowledgeBase, name: str, text: str, rule: str = "keep") -> tuple[DocumentId, JobId]:
    made = kb.ingestor.submit(name, text.encode(), author="tests", on_duplicate=OnDuplicate(rule))
    kb.worker.run_until_idle()
    return made


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ("A kettle, two  cups.", "a KETTLE two cups", 1.0, 1.0),
        ("保修两年。", "保修 两年", 1.0, 1.0),
        ("２ kg", "2 kg!", 1.0, 1.0),
        (TEXT, NEAR, 0.85, 0.99),
        (CHINESE, CHINESE.replace("三天", "五天", 1), 0.6, 0.99),
        (TEXT, OTHER, 0.0, 0.1),
        ("…", "!", 0.0, 0.0),
        ("…", TEXT, 0.0, 0.0),
    ],
)
def test_likeness_is_the_shared_part(one: str, other: str, low: float, high: float) -> None:
    assert low <= likeness(sign(one), sign(other)) <= high


def price_list(factor: int, *, changed: int = 20) -> str:
    """Twenty rows of many words and one figure, the first `changed` of them times `factor`."""
    letters = "abcdefghijklmnopqrst"
    return " ".join(
        f"{' '.join(f'{row}word{i}word{j}' for i in letters for j in 'xyz')} costs "
        f"{(100 + n) * (factor if n < changed else 1)} euros."
        for n, row in enumerate(letters)
    )


@pytest.mark.parametrize(("changed", "low", "high"), [(20, 0.5, 0.84), (1, 0.9, 0.99)])
def test_figures_count_more_than_words(changed: int, low: float, high: float) -> None:
    shared = likeness(sign(price_list(1)), sign(price_list(7, changed=changed)))
    assert low <= shared <= high


def test_estimate_is_near_the_exact_share() -> None:
    words = [f"word{i}" for i in range(6000)]
    one, other = sign(" ".join(words[:5000])), sign(" ".join(words[1000:]))
    assert likeness(one, other) == pytest.approx(4000 / 6000, abs=0.1)


def test_kept_duplicate_is_marked(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    first = kb.add("first.txt", TEXT)
    kb.add("other.txt", OTHER)
    near, copy = kb.add("near.txt", NEAR), kb.add("copy.md", TEXT)
    found = marks.all()
    assert set(found) == {near, copy}
    assert (found[copy].document_id, found[copy].percent) == (first, 100)
    assert found[near].name == "first.txt"
    assert 85 <= found[near].percent <= 99


def test_skipped_duplicate_leaves_nothing_half_made(kb: KnowledgeBase) -> None:
    kb.add("first.txt", TEXT)
    skipped, job_id = take(kb, "near.txt", NEAR, "skip")
    job, document = kb.jobs.get(job_id), kb.documents.get(skipped)
    assert job.state is JobState.CANCELLED
    assert "% like 'first.txt'" in (job.error or "")
    assert (document.status, document.error) == (DocumentStatus.SKIPPED, job.error)
    assert health_of(document, now=document.updated_at, stale_after_days=9) is Health.SKIPPED
    with Session(kb.engine) as session:
        for table in (ChunkRow, DocumentVersionRow, SignatureRow):
            mine = select(func.count()).where(table.document_id == skipped)
            assert session.scalar(mine) == 0


def test_replacing_makes_a_version_of_the_other(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    first = kb.add("first.txt", TEXT)
    new, job_id = take(kb, "near.txt", NEAR, "replace")
    job = kb.jobs.get(job_id)
    assert (job.state, job.document_id) == (JobState.SUCCEEDED, first)
    (document,) = kb.documents.list()
    assert (document.id, document.name, document.version) == (first, "near.txt", 2)
    assert kb.documents.version(first).text == NEAR
    assert kb.documents.version(first, 1).text == TEXT
    assert marks.all() == {}
    assert len(kb.indexes) == document.n_chunks
    with pytest.raises(DocumentNotFound):
        kb.documents.get(new)


@pytest.mark.parametrize("rule", ["skip", "replace"])
def test_an_unlike_text_is_taken_in(kb: KnowledgeBase, rule: str) -> None:
    kb.add("first.txt", TEXT)
    other, job_id = take(kb, "other.txt", OTHER, rule)
    assert kb.jobs.get(job_id).state is JobState.SUCCEEDED
    assert kb.documents.get(other).name == "other.txt"


def test_own_removed_and_archived_texts_do_not_count(kb: KnowledgeBase) -> None:
    archived, removed = kb.add("archived.txt", TEXT), kb.add("removed.txt", TEXT)
    DocumentEditor(kb.engine).change(archived, DocumentChange(archived=True))
    kb.documents.remove(removed, actor="tests")
    for text in (TEXT, NEAR):
        _, job_id = take(kb, "new.txt", text, "skip")
        assert kb.jobs.get(job_id).state is JobState.SUCCEEDED


def test_new_version_of_a_document_stays_its_own(kb: KnowledgeBase) -> None:
    kb.add("first.txt", TEXT)
    own = kb.add("own.txt", OTHER)
    take(kb, "own.txt", NEAR, "replace")
    assert kb.documents.get(own).version == 2
    assert len(kb.documents.list()) == 2


def test_documents_without_signature_are_compared_too(kb: KnowledgeBase) -> None:
    kb.add("first.txt", TEXT)
    with Session(kb.engine) as session, session.begin():
        session.execute(delete(SignatureRow))
    _, job_id = take(kb, "near.txt", NEAR, "skip")
    assert kb.jobs.get(job_id).state is JobState.CANCELLED


def test_outdated_signatures_are_made_again(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    kb.add("first.txt", TEXT)
    near = kb.add("near.txt", NEAR)
    marks.keep_both(near)
    with Session(kb.engine) as session, session.begin():
        for row in session.scalars(select(SignatureRow)):
            row.minhash = row.minhash[1:]
    take(kb, "third.txt", OTHER)
    with Session(kb.engine) as session:
        assert all(row.minhash[:1] == FORMAT for row in session.scalars(select(SignatureRow)))
    assert marks.all() == {}


def test_keeping_both_holds_until_a_text_changes(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    kb.add("first.txt", TEXT)
    near = kb.add("near.txt", NEAR)
    marks.keep_both(near)
    assert marks.all() == {}
    kb.ingestor.submit("near.md", NEAR.encode(), author="tests", replace=near)
    kb.worker.run_until_idle()
    assert marks.all() == {}
    kb.add("near.md", NEAR + " More words of it.")
    assert set(marks.all()) == {near}


def test_a_mark_ends_with_the_other_text(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    kb.add("first.txt", TEXT)
    near = kb.add("near.txt", NEAR)
    assert near in marks.all()
    kb.add("first.txt", OTHER)
    assert marks.all() == {}


def test_the_other_is_replaced_afterwards(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    first, near = kb.add("first.txt", TEXT), kb.add("near.txt", NEAR)
    target, job_id = marks.replace_other(near, author="tests")
    kb.worker.run_until_idle()
    assert (target, kb.jobs.get(job_id).state) == (first, JobState.SUCCEEDED)
    (document,) = kb.documents.list()
    assert (document.id, document.name, document.version) == (first, "near.txt", 2)
    assert kb.documents.version(first).text == NEAR
    assert kb.found("kettle guide") == ["near.txt"]
    with pytest.raises(InvalidChange):
        marks.replace_other(first, author="tests")


def test_a_lost_file_is_not_removed(kb: KnowledgeBase, marks: DuplicateMarks) -> None:
    kb.add("first.txt", TEXT)
    near = kb.add("near.txt", NEAR)
    (kb.uploads_dir / kb.documents.get(near).sha256).unlink()
    with pytest.raises(InvalidChange, match="not kept"):
        marks.replace_other(near, author="tests")
    assert len(kb.documents.list()) == 2


def test_a_cancelled_replacement_keeps_the_other(kb: KnowledgeBase) -> None:
    first = kb.add("first.txt", TEXT)
    kb.ingestor.submit("near.txt", NEAR.encode(), author="tests", on_duplicate=OnDuplicate.REPLACE)
    embed = kb.embedder.embed_passages

    def cancel(texts):  # type: ignore[no-untyped-def]
        kb.jobs.cancel(kb.job_of(first).id)
        return embed(texts)

    kb.embedder.embed_passages = cancel  # type: ignore[method-assign]
    kb.worker.run_until_idle()
    document = kb.documents.get(first)
    assert (document.status, document.version) == (DocumentStatus.READY, 1)
    assert kb.documents.version(first).text == TEXT
