"""ZIP files of many documents: names, limits and hostile members."""

import stat
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO

import pytest

from knowledge import bundles
from knowledge.bundle_names import clean_path
from knowledge.bundles import Member, unpack
from knowledge.errors import KnowledgeError, ParseFailed, UnsupportedFormat
from knowledge.types import DocumentStatus
from knowledge.versions import VersionHistory
from tests.document_files import make_docx
from tests.knowledge_kit import LIMITS, KnowledgeBase

HOURS = b"We open at nine and close at six."


def packed(
    files: Mapping[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def named(raw: bytes, content: bytes = HOURS) -> bytes:
    """A ZIP whose only member has these bytes as its name, without the mark of UTF-8."""
    stand_in = b"x" * len(raw)
    return packed({stand_in.decode(): content}).replace(stand_in, raw)


def members(data: bytes) -> dict[str, Member]:
    return {one.name: one for one in unpack("all.zip", data, LIMITS)}


def refusal(data: bytes, name: str) -> str:
    error = members(data)[name].error
    assert isinstance(error, KnowledgeError)
    return str(error)


def test_members_keep_their_folders_as_names() -> None:
    data = packed({"hours.txt": HOURS, "fees/eu/post.md": b"# Post", "empty/": b""})
    found = members(data)
    assert list(found) == ["hours.txt", "fees/eu/post.md"]
    assert found["hours.txt"].content == HOURS


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("退货政策.txt".encode("gbk"), "退货政策.txt"),
        ("退貨政策說明.txt".encode("cp950"), "退貨政策說明.txt"),
        ("帮助/退货.txt".encode(), "帮助/退货.txt"),
        ("Gebühren.txt".encode("cp437"), "Gebühren.txt"),
        (b"help\\fees.txt", "help/fees.txt"),
        (b"./help//fees.txt", "help/fees.txt"),
        (b"a\x00b\x1b.txt", "ab.txt"),
    ],
)
def test_names_are_decoded_sensibly(raw: bytes, name: str) -> None:
    assert list(members(named(raw))) == [name]


def test_leftovers_of_systems_are_left_out() -> None:
    junk = {"__MACOSX/._a.txt": b"x", ".DS_Store": b"x", "a/Thumbs.db": b"x", "~$b.docx": b"x"}
    assert list(members(packed(junk | {"a.txt": HOURS}))) == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../etc/cron.d/evil.txt", "leads out of its folder"),
        ("a/..\\..\\b.txt", "leads out of its folder"),
        ("/etc/passwd.txt", "absolute path"),
        ("C:\\Windows\\a.txt", "absolute path"),
        ("\\\\server\\share\\a.txt", "absolute path"),
        ("x" * 300 + ".txt", "path of 304 characters"),
        ("\u200b", "Expected a file name"),
    ],
)
def test_hostile_paths_are_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedFormat, match=reason):
        clean_path(name)
    found = list(unpack("all.zip", packed({name: b"evil", "good.txt": HOURS}), LIMITS))
    assert [one.error is None for one in found] == [False, True]


def test_links_and_devices_are_refused() -> None:
    data = packed({
        entry("link.txt", stat.S_IFLNK | 0o777): b"/etc/passwd",
        entry("pipe.txt", stat.S_IFIFO | 0o644): b"",
        entry("file.txt"): HOURS,
    })  # fmt: skip
    assert "is a link or a device" in refusal(data, "link.txt")
    assert "is a link or a device" in refusal(data, "pipe.txt")
    assert members(data)["file.txt"].error is None


def test_encrypted_member_is_refused() -> None:
    data = bytearray(packed({"secret.txt": HOURS, "open.txt": HOURS}))
    central = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[central + 8] |= 1
    assert "protected by a password" in refusal(bytes(data), "secret.txt")
    assert members(bytes(data))["open.txt"].content == HOURS


def test_unusual_packing_is_refused() -> None:
    assert "method that is not read" in refusal(packed({"a.txt": HOURS}, zipfile.ZIP_LZMA), "a.txt")


def test_nested_archive_is_refused_with_reason() -> None:
    inner = packed({"deep.txt": HOURS})
    data = packed({"inner.zip": inner, "a.txt": HOURS})
    assert "archive within an archive" in refusal(data, "inner.zip")


def test_bomb_and_giant_are_refused_unread() -> None:
    data = packed({"bomb.txt": bytes(6 << 20), "a.txt": HOURS, "big.csv": b"," * (2 << 20)})
    assert "more than the limit" in refusal(data, "bomb.txt")
    assert "more than the limit of 1,048,576" in refusal(data, "big.csv")
    assert members(data)["a.txt"].content == HOURS


def test_total_size_is_limited_and_small_files_pass() -> None:
    files = {f"{i}.txt": bytes(LIMITS.max_bytes) for i in range(17)}
    found = list(unpack("all.zip", packed(files | {"last.txt": HOURS}), LIMITS))
    assert [one.error is None for one in found].count(True) == 16
    assert "for all files of an archive" in str(found[16].error)


def test_declared_size_is_not_believed() -> None:
    data = packed({"liar.txt": bytes(900_000), "a.txt": HOURS})
    size = (900_000).to_bytes(4, "little")
    lying = data.replace(size, (10).to_bytes(4, "little"))
    assert "damaged" in refusal(lying, "liar.txt")
    assert members(lying)["a.txt"].content == HOURS


def test_same_path_twice_keeps_the_first() -> None:
    data = packed({"a.txt": b"first", "b.txt": b"second"}).replace(b"b.txt", b"a.txt")
    first, second = unpack("all.zip", data, LIMITS)
    assert first.content == b"first"
    assert "twice" in str(second.error)


def test_files_past_the_limit_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_MEMBERS", 2)
    found = list(unpack("all.zip", packed({f"{i}.txt": HOURS for i in range(3)}), LIMITS))
    assert [one.error is None for one in found] == [True, True, False]
    assert "comes after the 2 files" in str(found[2].error)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive", "damaged"),
        (packed({"a.txt": HOURS})[:60], "damaged"),
        (packed({}), "no files"),
        (packed({"empty/": b""}), "no files"),
        (make_docx(lambda document: document.add_paragraph("Text.")), "an office file"),
        (packed({f"{i}": b"" for i in range(10_001)}), "10,001 entries"),
    ],
    ids=["other", "cut", "empty", "folder", "office", "many"],  # archives hold the time
)
def test_unusable_archives_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(KnowledgeError, match=reason):
        list(unpack("all.zip", data, LIMITS))


def test_endless_directory_is_not_read() -> None:
    entries = 70_000 * struct.pack("<4s42x", b"PK\x01\x02")
    end = struct.pack("<4s4xHHII2x", b"PK\x05\x06", 65535, 65535, len(entries), 0)
    with pytest.raises(ParseFailed, match="damaged"):
        list(unpack("all.zip", entries + end, LIMITS))


def test_each_member_becomes_a_document(kb: KnowledgeBase) -> None:
    data = packed(
        {"hours.txt": HOURS, "fees/hours.txt": b"The fee is three euros.", "x.exe": b"MZ"}
    )
    found = kb.ingestor.submit_all("all.zip", data, author="tests")
    assert [one.document_id is None for one in found] == [False, False, True]
    assert "suffix '.exe'" in str(found[2].error)
    kb.worker.run_until_idle()
    assert {d.name: d.status for d in kb.documents.list()} == dict.fromkeys(
        ("hours.txt", "fees/hours.txt"), DocumentStatus.READY
    )
    assert kb.found("The fee is three euros.")[0] == "fees/hours.txt"


def test_same_archive_again_replaces_the_same_documents(kb: KnowledgeBase) -> None:
    def ids(hours: bytes) -> list[str | None]:
        data = packed({"a/hours.txt": hours, "b/hours.txt": HOURS})
        submitted = kb.ingestor.submit_all("all.zip", data, author="tests")
        kb.worker.run_until_idle()
        return [one.document_id for one in submitted]

    first = ids(HOURS)
    assert ids(b"We never close.") == first
    versions = {d.name: d.version for d in kb.documents.list()}
    assert versions == {"a/hours.txt": 2, "b/hours.txt": 1}


def test_going_back_keeps_the_path(kb: KnowledgeBase) -> None:
    for hours in (HOURS, b"We never close."):
        (one,) = kb.ingestor.submit_all("all.zip", packed({"a/h.txt": hours}), author="tests")
        kb.worker.run_until_idle()
    assert one.document_id is not None
    versions = VersionHistory(kb.engine, kb.documents, kb.ingestor, uploads_dir=kb.uploads_dir)
    versions.rollback(one.document_id, 1, author="tests")
    kb.worker.run_until_idle()
    assert [(d.name, d.version) for d in kb.documents.list()] == [("a/h.txt", 3)]


def test_archive_replaces_no_single_document(kb: KnowledgeBase) -> None:
    document_id = kb.add("one.txt", "First text.")
    with pytest.raises(UnsupportedFormat, match="cannot replace one"):
        kb.ingestor.submit_all(
            "all.zip", packed({"a.txt": HOURS}), author="tests", replace=document_id
        )


def test_archive_without_a_good_file_is_refused(kb: KnowledgeBase) -> None:
    with pytest.raises(ParseFailed, match=r"No file of 'all\.zip'.*'\.exe'"):
        kb.ingestor.submit_all("all.zip", packed({"x.exe": b"MZ"}), author="tests")
    assert kb.documents.list() == []


def test_office_files_are_no_bundles(kb: KnowledgeBase) -> None:
    data = make_docx(lambda document: document.add_paragraph("Gift wrapping is free."))
    (one,) = kb.ingestor.submit_all("gift.docx", data, author="tests")
    kb.worker.run_until_idle()
    assert one.name == "gift.docx"
    assert kb.found("gift wrapping") == ["gift.docx"]
