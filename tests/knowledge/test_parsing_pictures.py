"""Text recognition in pictures and scanned pages, with the real models of the package."""

import socket
import struct
import zlib
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from knowledge.errors import ParseFailed, UnsupportedFormat
from knowledge.parsing.registry import PICTURE_SUFFIXES, check_upload, parse
from knowledge.parsing.running import ChildParsing
from tests.document_files import LIMITS, make_pdf
from tests.scans import CHINESE_FONT, draw, saved, scanned_pdf

RETURNS = "Returns are free for 30 days."
KINDS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF"}


def words(text: str) -> str:
    """Text without spaces, which recognition places as it likes."""
    return "".join(text.split())


def giant_png() -> bytes:
    """A PNG of a few bytes that claims a billion pixels."""
    header = struct.pack(">IIBBBBB", 40_000, 25_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100)))]
    packed = [
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_every_kind_of_picture_is_accepted() -> None:
    page = Image.new("RGB", (20, 20))
    for suffix in PICTURE_SUFFIXES:
        check_upload("a" + suffix.upper(), saved(page, KINDS.get(suffix, "PNG")), LIMITS)


@pytest.mark.parametrize("data", [b"plain words", make_pdf([[]]), b"GIF89a", b"PK\x03\x04"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="should be a picture"):
        check_upload("a.png", data, LIMITS)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("blank.png", saved(Image.new("RGB", (300, 300), "white"), "PNG"), "found no words"),
        ("bomb.png", giant_png(), "more than 50,000,000 pixels"),
        ("large.png", saved(Image.new("1", (10_000, 6_000)), "PNG"), "more than 50,000,000 pixels"),
        ("cut.png", saved(draw([RETURNS]), "PNG")[:900], "damaged"),
        ("junk.tif", b"II*\x00" + b"\xff" * 60, "damaged"),
        ("blank.pdf", scanned_pdf([Image.new("RGB", (300, 300), "white")]), "found no words on"),
        ("long.pdf", scanned_pdf([Image.new("1", (30, 30))] * 4), "4 scanned pages, more than"),
    ],
)
def test_picture_that_cannot_be_read_says_why(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(ParseFailed, match=reason) as caught:
        parse(name, data, replace(LIMITS, max_ocr_pages=3))
    assert name in str(caught.value)


def test_frames_of_a_tiff_are_limited() -> None:
    page = Image.new("1", (30, 30))
    data = saved(page, "TIFF", save_all=True, append_images=[page] * 4)
    with pytest.raises(ParseFailed, match="5 scanned pages, more than the limit of 3"):
        parse("fax.tiff", data, replace(LIMITS, max_ocr_pages=3))


def test_layered_pages_are_never_recognized() -> None:
    parsed = parse("a.pdf", make_pdf([[(50, 700, 12, "1")]]), replace(LIMITS, max_ocr_pages=1))
    assert parsed.text == "1"


@pytest.mark.parametrize("suffix", KINDS)
def test_words_of_a_picture_are_read(suffix: str) -> None:
    parsed = parse("note" + suffix, saved(draw([RETURNS]), KINDS[suffix]), LIMITS)
    assert words(RETURNS) in words(parsed.text)
    assert (parsed.title, parsed.n_pages) == ("note", 1)


@pytest.mark.slow
@pytest.mark.skipif(not CHINESE_FONT.exists(), reason="needs a Chinese font to draw the page")
def test_chinese_and_english_are_read_together() -> None:
    lines = ["订单签收后三十天内可免费退货。", "Shipping costs 5 euros.", "客服电话：400-820-1234"]
    text = words(parse("图.png", saved(draw(lines, chinese=True), "PNG"), LIMITS).text)
    assert "订单签收后三十天内可免费退货" in text
    assert "Shippingcosts5euros" in text
    assert "400-820-1234" in text


def test_scanned_pages_keep_their_numbers() -> None:
    pages = [draw(["Gift wrapping costs 3 euros."]), draw([]), draw(["Parcels leave at noon."])]
    parsed = parse("scan.pdf", scanned_pdf(pages), LIMITS)
    found = {block.page: words(parsed.text[block.start : block.end]) for block in parsed.blocks}
    assert found == {1: "Giftwrappingcosts3euros.", 3: "Parcelsleaveatnoon."}
    assert parsed.n_pages == 3


def test_turned_and_transparent_pictures_are_read() -> None:
    page = draw([RETURNS])
    turned = page.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    clear = Image.new("RGBA", page.size, (0, 0, 0, 0))
    clear.paste(page, mask=page.convert("L").point(lambda v: 255 - v))
    for data in (saved(turned, "JPEG", exif=exif), saved(clear, "PNG")):
        assert words(RETURNS) in words(parse("a.png", data, LIMITS).text)


@pytest.mark.slow
def test_long_picture_of_a_chat_is_read_to_its_end() -> None:
    lines = [f"Message {i} says that order {i * 7} has left." for i in range(60)]
    page = draw(lines, size=(900, 4000), pitch=64)
    text = words(parse("chat.png", saved(page, "PNG"), LIMITS).text)
    assert all(words(line) in text for line in lines)


@pytest.mark.slow
def test_child_recognizes_within_its_memory_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    # The child has no proxy and no names to look up; here even loopback is refused.
    monkeypatch.setattr(socket.socket, "connect", None)
    parsing = ChildParsing()
    lines = [f"Line {i}: returns of order {i * 37} are free for 30 days." for i in range(40)]
    data = scanned_pdf([draw(lines, size=(2480, 3508), pitch=80)])
    try:
        parsed = parsing.run("scan.pdf", data, LIMITS, check=lambda: None)
    finally:
        parsing.close()
    assert words(lines[-1]) in words(parsed.text)


def test_engine_is_told_where_its_models_are() -> None:
    from knowledge.parsing.recognition import model_paths

    assert all(path.is_file() for path in model_paths().values())
    assert set(model_paths()) == {"Det", "Cls", "Rec"}


def test_small_picture_is_read_quickly() -> None:
    page = Image.open(BytesIO(saved(draw(["Open at nine"], size=(300, 120)), "PNG")))
    assert "Openatnine" in words(parse("sign.png", saved(page, "PNG"), LIMITS).text)
