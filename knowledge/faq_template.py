"""The template of an FAQ: what its table looks like, and what a filled one holds.

A filled table is checked as a whole before anything of it is stored, so that people can mend all
of its rows at once. Headers may be in either language, in any order.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import BytesIO, StringIO
from pathlib import PurePath
from typing import Any

from knowledge.chunk_questions import MAX_QUESTION_CHARS, MAX_QUESTIONS
from knowledge.document_edits import clean_tags
from knowledge.errors import InvalidChange, ParseFailed, UnsupportedFormat
from knowledge.ingest_job import guess_language
from knowledge.parsing.encoding import decode_text
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.registry import check_upload
from knowledge.types import Visibility

MAX_ROWS = 5_000
MAX_ANSWER_CHARS = 8_000
_HEADER_SEARCH_ROWS = 10
_DELIMITERS = ",;\t"
_FORMULA_SIGNS = ("=", "+", "-", "@")
_WIDTHS = (36, 40, 60, 20, 12, 14)

#: What each column is called; the first of a language is the one that templates carry.
_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "question": {"en": ("question",), "zh": ("问题", "標題", "問題")},
    "phrasings": {"en": ("other phrasings", "phrasings"), "zh": ("其他问法", "相似问法", "相似问")},
    "answer": {"en": ("answer",), "zh": ("答案", "回答")},
    "tags": {"en": ("tags", "tag", "category"), "zh": ("标签", "分类", "標籤", "分類")},
    "language": {"en": ("language",), "zh": ("语言", "語言")},
    "visibility": {"en": ("visibility", "visible to"), "zh": ("可见范围", "谁可见", "可見範圍")},
}
_COLUMN_OF = {name: key for key, by in _NAMES.items() for names in by.values() for name in names}
_LANGUAGES = {
    **dict.fromkeys(("zh", "zh-cn", "中文", "汉语", "chinese"), "zh"),
    **dict.fromkeys(("en", "英文", "英语", "english"), "en"),
}
_VISIBILITIES = {
    **dict.fromkeys(("", "public", "客户可见", "公开"), Visibility.PUBLIC),
    **dict.fromkeys(("staff", "staff only", "仅员工", "内部"), Visibility.STAFF),
}
_CHOICES = {
    "en": (("zh", "en"), ("public", "staff")),
    "zh": (("中文", "英文"), ("客户可见", "仅员工")),
}


class RowProblem(StrEnum):
    """Why a row cannot be taken in."""

    NO_QUESTION = "no_question"
    NO_ANSWER = "no_answer"
    LONG_QUESTION = "long_question"
    LONG_ANSWER = "long_answer"
    PHRASINGS = "phrasings"
    TAGS = "tags"
    LANGUAGE = "language"
    VISIBILITY = "visibility"
    DOUBLED = "doubled"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """One good row; without a language it holds words of neither."""

    row: int
    question: str
    answer: str
    phrasings: tuple[str, ...]
    tags: tuple[str, ...]
    language: str | None
    visibility: Visibility


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row with what is wrong; `other` is the row or the document that asks the same already."""

    row: int
    problem: RowProblem
    question: str
    other: int | str | None = None


@dataclass(frozen=True, slots=True)
class FaqCheck:
    """What a filled template holds, by the numbers that its rows have in the sheet."""

    entries: tuple[FaqEntry, ...]
    bad: tuple[BadRow, ...]
    ignored_columns: tuple[str, ...] = ()


@dataclass(slots=True)
class _Seen:
    """Which row asks what, as long as one table is read."""

    rows: dict[str, int] = field(default_factory=dict)

    def first(self, questions: Iterable[str]) -> int | None:
        return next(
            (self.rows[key] for q in questions if (key := question_key(q)) in self.rows), None
        )

    def add(self, entry: FaqEntry) -> None:
        for key in _keys(entry):
            self.rows.setdefault(key, entry.row)


def template(kind: str, language: str) -> bytes:
    """Returns an empty template as `csv` (with a mark that Excel knows UTF-8 by) or `xlsx`."""
    header = [safe_cell(names[language][0]) for names in _NAMES.values()]
    if kind == "csv":
        text = StringIO(newline="")
        csv.writer(text).writerow(header)
        return text.getvalue().encode("utf-8-sig")
    from openpyxl import Workbook  # a server starts without it
    from openpyxl.styles import Font
    from openpyxl.worksheet.datavalidation import DataValidation

    workbook = Workbook()
    sheet: Any = workbook.active  # a new workbook has one
    sheet.append(header)
    sheet.freeze_panes = "A2"
    for column, width in zip("ABCDEF", _WIDTHS, strict=True):
        sheet.column_dimensions[column].width = width
        sheet[f"{column}1"].font = Font(bold=True)
    for column, choices in zip("EF", _CHOICES[language], strict=True):
        choice = DataValidation("list", formula1=f'"{",".join(choices)}"', allow_blank=True)
        choice.add(f"{column}2:{column}{MAX_ROWS}")
        sheet.add_data_validation(choice)
    packed = BytesIO()
    workbook.save(packed)
    return packed.getvalue()


def safe_cell(text: str) -> str:
    """Returns text that no spreadsheet program runs as a formula.

    Source: OWASP, CSV Injection: such a cell gets a leading apostrophe.
    """
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def check_template(name: str, data: bytes, limits: ParseLimits) -> FaqCheck:
    """Reads a filled template.

    Raises:
        UnsupportedFormat: neither csv nor xlsx, or not what its name says.
        FileTooLarge: more bytes than allowed.
        ParseFailed: no columns of questions and answers, too many rows, broken, or a bomb.
    """
    if PurePath(name).suffix.lower() not in (".csv", ".xlsx"):
        raise UnsupportedFormat(
            f"{name!r} is no filled FAQ template; download the template, fill it in as .csv or "
            ".xlsx and upload that."
        )
    check_upload(name, data, limits)
    header, columns, rows = _table(name, data, limits)
    good: list[FaqEntry] = []
    bad: list[BadRow] = []
    seen = _Seen()
    for number, cells in rows:
        if not any(cells):
            continue
        if len(good) + len(bad) >= MAX_ROWS:
            raise ParseFailed(
                f"{name!r} holds more than {MAX_ROWS:,} questions; split it into several files."
            )
        row = _read_row(number, {key: cells[i] for i, key in columns.items() if i < len(cells)})
        if isinstance(row, FaqEntry):
            other = seen.first((row.question, *row.phrasings))
            seen.add(row)
            if other is None:
                good.append(row)
            else:
                bad.append(BadRow(number, RowProblem.DOUBLED, row.question, other))
        else:
            bad.append(row)
    ignored = tuple(text for i, text in enumerate(header) if text and i not in columns)
    return FaqCheck(tuple(good), tuple(bad), ignored)


def without_known(check: FaqCheck, known: Mapping[str, str]) -> FaqCheck:
    """Takes out the rows whose question is answered elsewhere already.

    Args:
        check: What a template holds.
        known: By `question_key`, the document that answers the question.
    """
    found = {
        entry: next((known[key] for key in _keys(entry) if key in known), None)
        for entry in check.entries
    }
    doubled = [
        BadRow(entry.row, RowProblem.KNOWN, entry.question, name)
        for entry, name in found.items()
        if name is not None
    ]
    bad = sorted((*check.bad, *doubled), key=lambda row: row.row)
    good = tuple(entry for entry, name in found.items() if name is None)
    return replace(check, entries=good, bad=tuple(bad))


def question_key(text: str) -> str:
    """Returns what two questions have in common that differ only in case and spaces."""
    return "".join(text.split()).casefold() if not text.isascii() else _clean(text).casefold()


def _keys(entry: FaqEntry) -> Iterator[str]:
    yield from map(question_key, (entry.question, *entry.phrasings))


def _table(
    name: str, data: bytes, limits: ParseLimits
) -> tuple[Sequence[str], dict[int, str], list[tuple[int, list[str]]]]:
    """Returns the header, which column is which, and the numbered rows below the header."""
    for rows in _readings(name, data, limits):
        for i, cells in enumerate(rows[:_HEADER_SEARCH_ROWS]):
            keys = [_COLUMN_OF.get(question_key(cell)) for cell in cells]
            columns = {n: key for n, key in enumerate(keys) if key and key not in keys[:n]}
            if {"question", "answer"} <= set(columns.values()):
                return cells, columns, list(enumerate(rows[i + 1 :], start=i + 2))
    raise ParseFailed(
        f"{name!r} has no columns called 'question' and 'answer'; keep the template's first row."
    )


def _readings(name: str, data: bytes, limits: ParseLimits) -> Iterable[list[list[str]]]:
    """Gives the file's rows, a csv file's by one delimiter after another."""
    if name.lower().endswith(".xlsx"):
        from knowledge.parsing.tabular import read_first_sheet  # loads openpyxl

        yield [[_clean(cell) for cell in row] for row in read_first_sheet(name, data, limits)]
        return
    text = decode_text(name, data)
    for delimiter in _DELIMITERS:
        reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
        try:
            yield [[_clean(cell) for cell in row] for row in reader]
        except csv.Error as error:
            raise ParseFailed(
                f"{name!r} is damaged; correct its quotation marks near line {reader.line_num}."
            ) from error


def _read_row(number: int, cells: Mapping[str, str]) -> FaqEntry | BadRow:
    question, answer = cells.get("question", ""), cells.get("answer", "")
    phrasings = _listed(cells.get("phrasings", ""), "|｜", but=question)
    language_name = cells.get("language", "").lower()
    visibility = _VISIBILITIES.get(cells.get("visibility", "").lower())
    tags: tuple[str, ...] | None
    try:
        tags = tuple(clean_tags(_listed(cells.get("tags", ""), "|｜,，、;；")))
    except InvalidChange:
        tags = None
    too_many = len(phrasings) > MAX_QUESTIONS or any(map(_is_long, phrasings))
    problems = {
        RowProblem.NO_QUESTION: not question,
        RowProblem.NO_ANSWER: not answer,
        RowProblem.LONG_QUESTION: _is_long(question),
        RowProblem.LONG_ANSWER: len(answer) > MAX_ANSWER_CHARS,
        RowProblem.PHRASINGS: too_many,
        RowProblem.TAGS: tags is None,
        RowProblem.LANGUAGE: bool(language_name) and language_name not in _LANGUAGES,
        RowProblem.VISIBILITY: visibility is None,
    }
    problem = next((name for name, is_so in problems.items() if is_so), None)
    if problem is not None or tags is None or visibility is None:
        return BadRow(number, problem or RowProblem.TAGS, question)
    language = _LANGUAGES.get(language_name) or guess_language(f"{question} {answer}")
    return FaqEntry(number, question, answer, phrasings, tags, language, visibility)


def _listed(text: str, marks: str, *, but: str = "") -> tuple[str, ...]:
    for mark in marks:
        text = text.replace(mark, "\n")
    parts = {
        question_key(part): _clean(part) for part in reversed(text.split("\n")) if part.strip()
    }
    return tuple(part for key, part in reversed(parts.items()) if key != question_key(but))


def _is_long(question: str) -> bool:
    return len(question) > MAX_QUESTION_CHARS


def _clean(cell: str) -> str:
    """Takes white space and the apostrophe of `safe_cell` away."""
    text = " ".join(cell.replace("\0", "").split())
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_SIGNS) else text
