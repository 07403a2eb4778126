"""A filled FAQ template, checked and taken in."""

import io

import pytest
from openpyxl import Workbook, load_workbook

from knowledge.document_edits import DocumentChange, DocumentEditor
from knowledge.errors import KnowledgeError, ParseFailed
from knowledge.faq_import import FaqImporter, Imported
from knowledge.faq_template import (
    MAX_ROWS,
    FaqCheck,
    check_template,
    safe_cell,
    template,
    without_known,
)
from knowledge.parsing.limits import ParseLimits
from knowledge.types import Document, Visibility
from tests.knowledge_kit import KnowledgeBase

LIMITS = ParseLimits(
    max_pdf_pages=5, max_text_chars=1_000_000, max_unpacked_bytes=5_000_000, max_bytes=1_000_000
)
HEADER = "question,other phrasings,answer,tags,language,visibility\n"
ROWS = HEADER + (
    'May I return it?,Can I send it back?|Refund?,"Yes, in 30 days.",returns,en,public\n'
    "怎么退货？,,三十天内可以退。,returns,,\n"
    "What is the margin?,,40 percent.,,en,staff only\n"
)


def check(text: str, name: str = "faq.csv", encoding: str = "utf-8") -> FaqCheck:
    return check_template(name, text.encode(encoding), LIMITS)


def test_good_rows_are_read_whole() -> None:
    found = check(ROWS)
    first, second, third = found.entries
    assert (first.row, first.phrasings) == (2, ("Can I send it back?", "Refund?"))
    assert (first.answer, first.tags) == ("Yes, in 30 days.", ("returns",))
    assert [entry.language for entry in found.entries] == ["en", "zh", "en"]
    assert [second.visibility, third.visibility] == [Visibility.PUBLIC, Visibility.STAFF]
    assert found.bad == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_chinese_tables_keep_their_words(encoding: str) -> None:
    text = "问题;其他问法;答案;谁可见\n怎么退货？;如何退｜退款;三十天内可以退。;仅员工\n"
    entry = check(text, encoding=encoding).entries[0]
    assert (entry.question, entry.phrasings) == ("怎么退货？", ("如何退", "退款"))
    assert entry.visibility is Visibility.STAFF


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",,Yes.,,,", "no_question"),
        ("Why?,,,,,", "no_answer"),
        ("x" * 301 + ",,Yes.,,,", "long_question"),
        ("Why?,,x" + "x" * 8000 + ",,,", "long_answer"),
        ("Why?," + "x" * 301 + ",Yes.,,,", "phrasings"),
        ("Why?,,Yes.," + "t" * 41 + ",,", "tags"),
        ("Why?,,Yes.,,fr,", "language"),
        ("Why?,,Yes.,,,everyone", "visibility"),
        ("MAY I  return it?,,No.,,,", "doubled"),
        ("Other?,refund?,No.,,,", "doubled"),
    ],
)
def test_bad_rows_say_why(row: str, problem: str) -> None:
    found = check(f"{ROWS}\n{row}\n")
    assert [(bad.row, bad.problem) for bad in found.bad] == [(6, problem)]
    assert found.bad[0].other == (2 if problem == "doubled" else None)
    assert len(found.entries) == 3


def test_formulas_are_never_run() -> None:
    workbook = Workbook()
    workbook.active.append(["Question", "Answer", "Notes"])
    workbook.active.append(["=1+1", "two"])
    workbook.active.append(["Why?", "Because."])
    file = io.BytesIO()
    workbook.save(file)
    found = check_template("faq.xlsx", file.getvalue(), LIMITS)
    assert [entry.question for entry in found.entries] == ["Why?"]
    assert [bad.problem for bad in found.bad] == ["no_question"]
    assert found.ignored_columns == ("Notes",)
    assert check(HEADER + "=1+1,,'-2,,,\n").entries[0].question == "=1+1"


@pytest.mark.parametrize("sign", "=+-@")
def test_cells_never_start_formulas(sign: str) -> None:
    cell = safe_cell(f"{sign}1")
    assert cell == f"'{sign}1"
    assert check(f"{HEADER}Why?,,{cell},,,\n").entries[0].answer == f"{sign}1"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_templates_are_read_back(language: str) -> None:
    workbook = load_workbook(io.BytesIO(template("xlsx", language)))
    header = [cell.value for cell in workbook.active[1]]
    assert template("csv", language).decode("utf-8-sig").strip() == ",".join(map(str, header))
    workbook.active.append(["Why?", "How come?", "So.", "a", "en", "public"])
    file = io.BytesIO()
    workbook.save(file)
    assert check_template("f.xlsx", file.getvalue(), LIMITS).entries[0].phrasings == ("How come?",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("faq.txt", ROWS),
        ("faq.csv", ""),
        ("faq.xlsx", ROWS),
        ("faq.csv", "name,price\na,1\n"),
        ("faq.csv", HEADER + "".join(f"q{i},,a,,,\n" for i in range(MAX_ROWS + 1))),
    ],
)
def test_other_files_are_refused(name: str, text: str) -> None:
    with pytest.raises(KnowledgeError):
        check(text, name)


def test_broken_quotes_are_named() -> None:
    with pytest.raises(ParseFailed, match="line 2"):
        check(HEADER + '"' + "x" * 140_000)


@pytest.fixture
def importer(kb: KnowledgeBase) -> FaqImporter:
    return FaqImporter(kb.documents, kb.ingestor, DocumentEditor(kb.engine).change)


def take_in(kb: KnowledgeBase, importer: FaqImporter, text: str, name: str = "faq.csv") -> Imported:
    done = importer.take_in(name, check(text).entries, author="lin")
    kb.worker.run_until_idle()
    return done


def test_rows_become_a_document_a_group(kb: KnowledgeBase, importer: FaqImporter) -> None:
    take_in(kb, importer, ROWS)
    found = {d.name: d for d in kb.documents.list()}
    english = found["faq · en · public · returns.faq.jsonl"]
    assert set(found) == {
        english.name,
        "faq · zh · public · returns.faq.jsonl",
        "faq · en · staff.faq.jsonl",
    }
    assert (english.tags, english.language, english.visibility) == (("returns",), "en", "public")
    assert found["faq · en · staff.faq.jsonl"].visibility is Visibility.STAFF
    passage = kb.documents.chunks(english.id)[0].text
    assert "May I return it?; also asked: Can I send it back? | Refund?; answer: Yes" in passage


def test_staff_rows_are_never_public(kb: KnowledgeBase) -> None:
    def refuse(*_: object) -> Document:
        raise OSError("the process ends here")

    broken = FaqImporter(kb.documents, kb.ingestor, refuse)
    with pytest.raises(OSError, match="ends here"):
        broken.take_in(
            "faq.csv", check(HEADER + "Who?,,We.,,en,staff only\n").entries, author="lin"
        )
    kb.worker.run_until_idle()
    assert [one.visibility for one in kb.documents.list()] == [Visibility.STAFF]
    assert kb.found("who") == []


def test_every_row_is_a_passage(kb: KnowledgeBase, importer: FaqImporter) -> None:
    rows = "".join(f"Why {i}?,,So.,,en,\n" for i in range(3))
    done = take_in(kb, importer, HEADER + rows)
    assert len(kb.documents.chunks(done.taken[0])) == 3


def test_the_same_template_doubles_nothing(kb: KnowledgeBase, importer: FaqImporter) -> None:
    before = take_in(kb, importer, ROWS)
    take_in(kb, importer, ROWS, name="faq · en.csv")  # another template with a like name
    changed = ROWS.replace("in 30 days", "in 60 days").replace(",staff only", ",")
    after = take_in(kb, importer, changed)
    assert set(after.taken) & set(before.taken) == set(before.taken[:2])
    assert after.archived == ("faq · en · staff.faq.jsonl",)
    assert kb.documents.get(before.taken[0]).version == 2
    again = take_in(kb, importer, ROWS)
    assert again.taken == before.taken
    assert kb.documents.get(before.taken[2]).archived_at is None


def test_questions_of_other_templates_are_known(kb: KnowledgeBase, importer: FaqImporter) -> None:
    take_in(kb, importer, ROWS)
    other = HEADER + "Refund?,,Yes.,,en,\nNew?,怎么 退货？,Yes.,,en,\nReally new?,,Yes.,,en,\n"
    found = without_known(check(other), importer.known("other.csv"))
    assert [entry.question for entry in found.entries] == ["Really new?"]
    assert [(bad.row, bad.problem, bad.other) for bad in found.bad] == [
        (2, "known", "faq · en · public · returns.faq.jsonl"),
        (3, "known", "faq · zh · public · returns.faq.jsonl"),
    ]
    assert importer.known("faq.xlsx") == {}
    importer.change(kb.documents.list()[0].id, DocumentChange(archived=True))
    assert len(importer.known("other.csv")) < 5


def test_unlike_tags_never_share_a_name(kb: KnowledgeBase, importer: FaqImporter) -> None:
    tags = ["a/b", "a-b", "t" * 40 + "," + "u" * 40, "t" * 40 + "," + "u" * 39]
    rows = "".join(f'Why {i}?,,So.,"{tag}",en,\n' for i, tag in enumerate(tags))
    assert len(set(take_in(kb, importer, HEADER + rows).taken)) == 4
