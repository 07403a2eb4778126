"""A hundred good, broken and hostile files at once, through the real worker and its child."""

import io
import random
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bot.settings import load_settings
from knowledge.errors import KnowledgeError, ParseFailed
from knowledge.job_run import IngestionOptions
from knowledge.parsing.registry import parse
from knowledge.parsing.running import ChildParsing
from knowledge.types import DocumentStatus
from knowledge.worker import IngestionWorker
from tests.document_files import ENCRYPTED, make_docx, make_pdf, make_xlsx, replace_part
from tests.knowledge_kit import LIMITS, KnowledgeBase

DOCX = make_docx(lambda document: document.add_paragraph("Gift wrapping is free."))
XLSX = make_xlsx(lambda book: book.worksheets[0].append(["Model", "=1+1", "=cmd|'/C calc'!A0"]))
PDF = make_pdf([[(50, 700, 12, "Gift wrapping is free.")]])
ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "' + b"ha" * 50 + b'">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 20) for i in range(8))
    + b"]><w>&i;</w>"
)  # fmt: skip
MAX_GROWTH_BYTES = 1 << 30


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def good_files() -> dict[str, bytes]:
    page = b"<script>open('/tmp/kefu-owned','w')</script><p>We open at nine.</p>"
    named = {
        "page.html": page + b"<img src=x onerror=alert(1)>",
        "formulas.xlsx": XLSX,
        "gift.docx": DOCX,
        "gift.pdf": PDF,
        "文件（一）$(touch owned).txt": "九点开门。".encode("gbk"),
        "-rf; rm *.txt": b"We open at nine.",
        "formula.csv": b"Model,Price\n=HYPERLINK(1),3\nK1,4\n",
    }
    return named | {f"good-{i}.md": b"# Hours %d\n\nWe open at nine." % i for i in range(32)}


def bad_files() -> dict[str, bytes]:
    noise = random.Random(7)  # the same files every time
    named = {
        "bomb.docx": replace_part(DOCX, "word/media/x.bin", bytes(6 << 20)),
        "entities.docx": replace_part(DOCX, "word/document.xml", ENTITIES),
        "nested.html": b"<div>" * 3000 + b"We open at nine.",  # deeper than libxml2 goes
        "macro.docx": packed({"evil.exe": b"MZ"}),
        "locked.docx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "locked.pdf": make_pdf([[(50, 700, 12, "Hi")]], trailer=ENCRYPTED),
        "long.pdf": make_pdf([[(50, 700, 12, "Hi")]] * (LIMITS.max_pdf_pages + 1)),
        "renamed.pdf": DOCX,
        "renamed.txt": PDF,
        "renamed.docx": XLSX,
        "renamed.csv": b"\x7fELF" + bytes(100),
        "renamed.png": b"plain words",
        "nul.txt": b"We\x00 open\x00" * 40,
        "line.csv": b'"' + b"x" * 300_000,
        "huge.md": b"x" * (LIMITS.max_bytes + 1),
        "program.exe": b"MZ",
        "nosuffix": b"text",
        "escape.zip": packed({"../../owned.txt": b"owned", "/etc/owned.txt": b"owned"}),
        "bomb.zip": packed({"zeros.txt": bytes(8 << 20)}),
        "nested.zip": packed({"inner.zip": packed({"a.txt": b"a"})}),
        "cut.zip": packed({"a.txt": b"a"})[:20],
    }
    for suffix in ("pdf", "docx", "xlsx", "pptx", "epub", "png", "tiff", "zip"):
        named[f"noise.{suffix}"] = noise.randbytes(2000)
    for suffix in ("txt", "md", "html", "csv", "json", "jsonl", "eml", "pdf", "docx", "xlsx"):
        named[f"empty.{suffix}"] = b""
    for i in range(1, 12):
        named[f"cut-{i}.docx"] = DOCX[: len(DOCX) * i // 12]
        named[f"cut-{i}.xlsx"] = XLSX[: len(XLSX) * i // 12]
    return named


class _Memory(threading.Thread):
    """Watches the most that this process and its children hold."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.done = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.done.wait(0.05):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)


def submit_all(kb: KnowledgeBase, files: dict[str, bytes]) -> dict[str, str]:
    """Hands every file in; returns why some were refused at once."""
    refused = {}
    for name, data in files.items():
        try:
            kb.ingestor.submit_all(name, data, author="tests")
        except KnowledgeError as error:
            refused[name] = str(error)
    return refused


def outside(folder: Path) -> set[Path]:
    """The files in and around the data folder that no upload may add to."""
    return {
        path
        for path in folder.parent.rglob("*")
        if path.is_file()
        and not {folder / "uploads", folder / "index"} & set(path.parents)
        and not path.name.startswith("test.db")
        and path.name != "jieba.cache"  # the word splitter's own
    }


@pytest.fixture
def work(kb: KnowledgeBase) -> Callable[[], None]:
    def run() -> None:
        parsing = ChildParsing(limit_s=60, scan_limit_s=60)
        options = IngestionOptions(
            uploads_dir=kb.uploads_dir, limits=LIMITS, chunk_tokens=40,
            pause=lambda: False, parsing=parsing,
        )  # fmt: skip
        try:
            IngestionWorker(
                kb.engine, kb.indexes, embedder=kb.embedder, options=options
            ).run_until_idle()
        finally:
            parsing.close()

    return run


@pytest.mark.slow
def test_good_files_succeed_and_bad_ones_say_why(
    kb: KnowledgeBase, work: Callable[[], None], tmp_path: Path
) -> None:
    good, bad = good_files(), bad_files()
    assert len(good) + len(bad) >= 100
    before, began = outside(tmp_path), time.time()
    memory = _Memory()
    held = psutil.Process().memory_info().rss
    memory.start()
    refused = submit_all(kb, dict(sorted((good | bad).items(), key=lambda item: item[0][::-1])))
    work()
    memory.done.set()
    memory.join()
    documents = {document.name: document for document in kb.documents.list()}
    ready = {n for n, found in documents.items() if found.status is DocumentStatus.READY}
    assert ready == set(good)
    failed = {n: str(found.error) for n, found in documents.items() if n not in ready}
    assert set(refused) | set(failed) == set(bad)
    vague = {n: why for n, why in (refused | failed).items() if len(why) < 20 or "Unexpec" in why}
    assert vague == {}
    assert memory.peak - held < MAX_GROWTH_BYTES
    assert outside(tmp_path) == before
    assert not any("owned" in p.name for p in tmp_path.rglob("*"))
    owned = Path("/tmp/kefu-owned")
    assert not owned.exists() or owned.stat().st_mtime < began


def test_two_thousand_pages_are_the_limit() -> None:
    limit = load_settings().knowledge.max_pdf_pages
    assert limit == 2000
    data = make_pdf([[]] * (limit + 1))
    with pytest.raises(ParseFailed, match="2,001 pages, more than the limit of 2,000"):
        parse("long.pdf", data, replace(LIMITS, max_pdf_pages=limit))
