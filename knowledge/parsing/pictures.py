"""png, jpg, webp, bmp and tiff → blocks, by text recognition; a tiff may have several pages."""

import warnings
from io import BytesIO
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageOps

from knowledge.errors import ParseFailed
from knowledge.parsing.builder import DocumentBuilder, too_many_scans
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.pdf_layout import add_blocks
from knowledge.parsing.recognition import MAX_SIDE, Pixels, recognize
from knowledge.types import ParsedDocument

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")  # as Pillow calls them
_MAX_PIXELS = 50_000_000  # A4 at 600 dots per inch has 35 million
_SMALL_SIDE = 900  # pixels; the letters of smaller pictures are drawn larger before reading


def parse_picture(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Reads the words in a picture.

    Raises:
        ParseFailed: damaged, too large, without words, or beyond a limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(BytesIO(data), formats=_FORMATS) as picture:
                n_pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
                if n_pages > limits.max_ocr_pages:
                    raise too_many_scans(name, n_pages, limits)
                pages = []
                for i in range(n_pages):
                    picture.seek(i)
                    pages.append(recognize(_pixels(name, picture), page=i + 1))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _too_large(name) from error
    if not any(pages):
        raise ParseFailed(
            f"Text recognition (OCR) found no words in {name!r}; upload a sharp, upright picture "
            "of a text."
        )
    builder = DocumentBuilder(name, limits)
    add_blocks(builder, pages)
    return builder.build(title=PurePath(name).stem, n_pages=n_pages)


def _too_large(name: str) -> ParseFailed:
    return ParseFailed(
        f"{name!r} has more than {_MAX_PIXELS:,} pixels, the limit; make the picture smaller and "
        "upload it again."
    )


def _pixels(name: str, picture: Image.Image) -> Pixels:
    """Decodes one page upright, on white, and at a size at which letters are read well."""
    if picture.width * picture.height > _MAX_PIXELS:  # known before anything is decoded
        raise _too_large(name)
    if picture.mode.startswith("I"):  # 16 bit
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    plain = upright.convert("RGB")
    scale = 1.0
    if plain.width > MAX_SIDE:
        scale = MAX_SIDE / plain.width
    elif max(plain.size) < _SMALL_SIDE:
        scale = 2.0
    if scale != 1.0:
        height = max(1, round(plain.height * scale))
        plain = plain.resize((round(plain.width * scale), height), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(plain)[:, :, ::-1])
