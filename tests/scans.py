"""Pictures of pages for tests of text recognition, and PDFs of them."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

#: From Debian's fonts-noto-cjk, which `.ci/run` installs.
CHINESE_FONT = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")


def draw(
    lines: Sequence[str],
    *,
    size: tuple[int, int] = (900, 400),
    chinese: bool = False,
    pitch: int = 60,
) -> Image.Image:
    """A white page with black lines of text."""
    page = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.truetype(CHINESE_FONT, 30) if chinese else ImageFont.load_default(30)
    for i, line in enumerate(lines):
        pen.text((40, 40 + i * pitch), line, fill="black", font=font)
    return page


def saved(page: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    page.save(out, kind, **options)
    return out.getvalue()


def scanned_pdf(pages: Sequence[Image.Image]) -> bytes:
    """A PDF whose pages are pictures."""
    return saved(pages[0], "PDF", save_all=True, append_images=list(pages[1:]), resolution=100.0)
