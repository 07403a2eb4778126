"""PDF → blocks: reads the text layer with its positions; `pdf_layout` makes paragraphs of it.

A page without a text layer, as scanned paper has, is drawn and its words are recognised.
"""

import ctypes
import logging
import math
import threading
from pathlib import PurePath

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

from knowledge.errors import ParseFailed
from knowledge.parsing.builder import DocumentBuilder, too_long, too_many_scans
from knowledge.parsing.limits import ParseLimits
from knowledge.parsing.pdf_layout import Line, add_blocks
from knowledge.types import ParsedDocument

_logger = logging.getLogger(__name__)
_LINE_ENDS = frozenset({0x0A, 0x0D})
_SPACES = frozenset({0x20, 0xA0, 0x3000, 0x09})
_SOFT_HYPHEN = "\x02"  # PDFium's sign for a hyphen at a line's end, whose line it joins to the next
_CELL_GAP = 0.8  # space between two words, in font sizes, from which on they are table cells
_MAX_STAMP_CHARS = 60  # a page number or a mark over a scanned page
_SCAN_SHARE = 0.6  # of the page's area that a scan's picture covers at least
_MAX_SCALE = 300 / 72  # dots per inch
# PDFium is one C library per process and not safe to enter from two threads.
_pdfium_lock = threading.Lock()


def parse_pdf(name: str, data: bytes, limits: ParseLimits) -> ParsedDocument:
    """Parses a pdf file; blocks carry the page on which they start.

    Raises:
        ParseFailed: encrypted, broken, without words, or beyond a limit.
    """
    with _pdfium_lock:
        document = _open(name, data)
        try:
            n_pages = len(document)
            if n_pages > limits.max_pdf_pages:
                raise ParseFailed(
                    f"{name!r} has {n_pages:,} pages, more than the limit of "
                    f"{limits.max_pdf_pages:,}; split it into smaller files and upload those."
                )
            pages = _read_pages(name, document, limits)
            _read_scans(name, document, pages, limits)
            title = str(document.get_metadata_value("Title") or "").strip()
        finally:
            document.close()
    if not any(pages):
        raise ParseFailed(
            f"{name!r} has {n_pages:,} pages but no text layer, and text recognition (OCR) found "
            "no words on them; scan it again, upright and sharp, and upload that."
        )
    builder = DocumentBuilder(name, limits)
    add_blocks(builder, pages)
    return builder.build(title=title or PurePath(name).stem, n_pages=n_pages)


def _open(name: str, data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD:
            raise ParseFailed(
                f"{name!r} is protected by a password; save a copy without one and upload that."
            ) from error
        raise ParseFailed(
            f"{name!r} is damaged and cannot be opened as PDF; export it again from the program "
            "that made it and upload the new file."
        ) from error


def _read_pages(
    name: str, document: pypdfium2.PdfDocument, limits: ParseLimits
) -> list[list[Line]]:
    pages: list[list[Line]] = []
    n_left = limits.max_text_chars
    for i in range(len(document)):
        try:
            page = document[i]
        except pypdfium2.PdfiumError as error:
            raise ParseFailed(
                f"Page {i + 1} of {name!r} is damaged; export the file again from the program "
                "that made it and upload the new file."
            ) from error
        text_page = page.get_textpage()
        try:
            n_left -= text_page.count_chars()
            if n_left < 0:
                raise too_long(name, limits)
            pages.append(_TextLayer(text_page, i + 1).lines())
        finally:
            text_page.close()
            page.close()
    _logger.debug("Read %d pages", len(pages))
    return pages


def _read_scans(
    name: str, document: pypdfium2.PdfDocument, pages: list[list[Line]], limits: ParseLimits
) -> None:
    """Puts recognised lines where a page is a picture; its few layered words go, as stamps do."""
    scans = [i for i, lines in enumerate(pages) if _is_scan(document[i], lines)]
    if len(scans) > limits.max_ocr_pages:
        raise too_many_scans(name, len(scans), limits)
    for i in scans:
        page = document[i]
        try:
            pages[i] = _recognize(page, i + 1) or pages[i]
        finally:
            page.close()


def _is_scan(page: pypdfium2.PdfPage, lines: list[Line]) -> bool:
    try:
        if not lines:
            return bool(pdfium.FPDFPage_CountObjects(page) > 0)
        if sum(len(line.text) for line in lines) > _MAX_STAMP_CHARS:
            return False
        area = page.get_width() * page.get_height()
        bounds = [one.get_bounds() for one in page.get_objects([pdfium.FPDF_PAGEOBJ_IMAGE])]
        return any((r - x) * (t - y) > _SCAN_SHARE * area for x, y, r, t in bounds)
    except pypdfium2.PdfiumError:
        return False
    finally:
        page.close()


def _recognize(page: pypdfium2.PdfPage, number: int) -> list[Line]:
    from knowledge.parsing.recognition import MAX_SIDE, recognize  # loads its models' library

    scale = min(MAX_SIDE / max(*page.get_size(), 1.0), _MAX_SCALE)
    bitmap = page.render(scale=scale, may_draw_forms=False)
    try:
        pixels = np.ascontiguousarray(bitmap.to_numpy()[:, :, :3])
    finally:
        bitmap.close()
    return recognize(pixels, page=number, unit=1 / scale)


class _TextLayer:
    """The characters of one page, cut into lines where PDFium ends them."""

    def __init__(self, text_page: pypdfium2.PdfTextPage, page: int) -> None:
        self._text_page = text_page
        self._page = page
        self._codes = [
            pdfium.FPDFText_GetUnicode(text_page, i) for i in range(text_page.count_chars())
        ]

    def lines(self) -> list[Line]:
        """Gives the lines in the order in which the file draws them."""
        lines: list[Line] = []
        start = 0
        for i in range(len(self._codes) + 1):
            if i == len(self._codes) or self._codes[i] in _LINE_ENDS:
                line = self._line(start, i)
                if line is not None:
                    lines.append(line)
                start = i + 1
        return lines

    def _line(self, start: int, end: int) -> Line | None:
        while start < end and self._codes[start] in _SPACES:
            start += 1
        while end > start and self._codes[end - 1] in _SPACES:
            end -= 1
        if start == end:
            return None
        size = self._font_size(start)
        left, bottom, _, top = self._box(start)
        _, last_bottom, right, last_top = self._box(end - 1)
        cells = self._cells(start, end, size)
        return Line(
            cells, self._page, size, left, right, max(top, last_top), min(bottom, last_bottom)
        )

    def _cells(self, start: int, end: int, size: float) -> tuple[str, ...]:
        cells: list[str] = []
        cell_start = start
        for i in range(start + 1, end - 1):
            if self._codes[i] not in _SPACES or self._codes[i + 1] in _SPACES:
                continue
            last = i - 1
            while last > cell_start and self._codes[last] in _SPACES:
                last -= 1
            if self._box(i + 1)[0] - self._box(last)[2] > _CELL_GAP * size:
                cells.append(self._text(cell_start, i))
                cell_start = i + 1
        cells.append(self._text(cell_start, end))
        return tuple(cell for cell in cells if cell)

    def _text(self, start: int, end: int) -> str:
        codes = self._codes[start:end]
        if any(0xD800 <= code < 0xE000 for code in codes):
            units = b"".join(min(code, 0xFFFF).to_bytes(2, "little") for code in codes)
            text = units.decode("utf-16-le", errors="ignore")
        else:
            text = "".join(map(chr, codes))
        if text.endswith(_SOFT_HYPHEN):
            text = text[:-1] + "-"
        return " ".join(text.replace(_SOFT_HYPHEN, "").split())

    def _font_size(self, i: int) -> float:
        """Gives the height in points at which the font is drawn, its matrix applied."""
        matrix = pdfium.FS_MATRIX()
        size = float(pdfium.FPDFText_GetFontSize(self._text_page, i))
        if pdfium.FPDFText_GetMatrix(self._text_page, i, ctypes.byref(matrix)):
            size *= math.hypot(matrix.c, matrix.d) or 1.0
        return size if size > 0 else 1.0

    def _box(self, i: int) -> tuple[float, float, float, float]:
        left, bottom, right, top = self._text_page.get_charbox(i, loose=True)
        return left, bottom, right, top
