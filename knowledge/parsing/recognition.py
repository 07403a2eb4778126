"""Pictures of text → lines with their places: text recognition (OCR) in Chinese and English.

Used for pictures and for PDF pages without a text layer, in the parsing process. The models are
files of the `rapidocr` package, named by path, so that it never looks for them on the network.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import rapidocr
from numpy.typing import NDArray
from rapidocr import RapidOCR

from knowledge.parsing.pdf_layout import Line

Pixels = NDArray[np.uint8]  # (height, width, 3), blue first

MAX_SIDE = 2_000  # pixels; a page of A4 then has 170 dots per inch
_DETECTION_SIDE = 1_280
_N_THREADS = 2
_MIN_CONTRAST = 32  # of 255; less is empty paper
_FONT_SHARE = 0.8  # of a line's box that its font size makes up
_HEADING_RATIO = 1.4  # boxes of one font differ by less, with and without letters like g


def recognize(pixels: Pixels, *, page: int, unit: float = 1.0) -> list[Line]:
    """Returns the lines of a page, from top to bottom.

    Args:
        pixels: The page upright; a long one is read in strips.
        page: Its number, from 1.
        unit: Length of a pixel in the lines' coordinates.
    """
    lines: list[Line] = []
    for top, strip in _strips(pixels):
        if int(strip.max()) - int(strip.min()) < _MIN_CONTRAST:
            continue
        found = _engine()(strip)
        if found.txts is None or found.boxes is None:
            continue
        base = pixels.shape[0] - top  # what is above has larger coordinates, as in a PDF
        for text, box in zip(found.txts, found.boxes, strict=True):
            line = _line(text, box, page=page, base=base, unit=unit)
            if line is not None:
                lines.append(line)
    return _even_sizes(lines)


def _strips(pixels: Pixels) -> Iterator[tuple[int, Pixels]]:
    """Cuts a long picture, such as of a chat, between lines: (first row, rows)."""
    top, height = 0, pixels.shape[0]
    while height - top > MAX_SIDE:
        first = top + MAX_SIDE * 3 // 4
        spread = np.ptp(pixels[first : top + MAX_SIDE].min(axis=2), axis=1)  # (n_rows,)
        cut = first + int(np.argmin(spread)) + 1
        yield top, pixels[top:cut]
        top = cut
    yield top, pixels[top:]


def _line(text: str, box: NDArray[np.float32], *, page: int, base: int, unit: float) -> Line | None:
    words = " ".join(text.split())
    if not words:
        return None
    (left, upper), (right, lower) = box.min(axis=0), box.max(axis=0)
    size = round(float(lower - upper) * unit * _FONT_SHARE, 1)
    return Line(
        (words,),
        page,
        size or 1.0,
        float(left) * unit,
        float(right) * unit,
        (base - float(upper)) * unit,
        (base - float(lower)) * unit,
    )


def _even_sizes(lines: list[Line]) -> list[Line]:
    """Gives the usual font size to all lines but clearly larger ones, which may be headings."""
    if not lines:
        return []
    usual = round(median(line.size for line in lines), 1)
    return [
        line if line.size > _HEADING_RATIO * usual else replace(line, size=usual) for line in lines
    ]


def model_paths() -> dict[str, Path]:
    """Returns the files of the models that find lines, turn them upright and read them."""
    folder = Path(rapidocr.__file__).parent / "models"
    names = {"Det": "*_det_*.onnx", "Cls": "*_cls_*.onnx", "Rec": "*_rec_*.onnx"}
    return {part: next(folder.glob(name)) for part, name in names.items()}


@cache
def _engine() -> RapidOCR:
    """Loads the models once a process, at the first picture."""
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": MAX_SIDE,
            "Det.limit_type": "max",
            "Det.limit_side_len": _DETECTION_SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": _N_THREADS,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        | {f"{part}.model_path": str(path) for part, path in model_paths().items()}
    )
