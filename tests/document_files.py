"""Makes real files for tests of parsing: PDFs byte by byte, docx and xlsx by their libraries."""

import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO

from docx import Document
from docx.document import Document as WordDocument
from openpyxl import Workbook

from knowledge.parsing.registry import ParseLimits

LIMITS = ParseLimits(
    max_pdf_pages=5, max_text_chars=20_000, max_unpacked_bytes=20 << 20, max_bytes=2 << 20
)
PdfLine = tuple[int, int, int, str]  # x, y, font size, text: ASCII or Chinese
ENCRYPTED = f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'ab' * 32}> /U <{'cd' * 32}> >>"
FONTS = (
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H"
    " /DescendantFonts [5 0 R] >>",
    "<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /DW 1000 /FontDescriptor 6 0 R"
    " /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> >>",
    "<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [0 -200 1000 900]"
    " /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 80 >>",
)


def make_pdf(pages: Sequence[Sequence[PdfLine]], *, title: str = "", trailer: str = "") -> bytes:
    """Gives a PDF with the lines placed as told; `trailer` adds entries such as ENCRYPTED."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", *FONTS, f"<< /Title ({title}) >>"]
    kids = []
    for lines in pages:
        content = "".join(map(_show, lines))
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R"
            " /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out = b"%PDF-1.4\n"
    table = [b"0000000000 65535 f \n"]
    for i, content in enumerate(objects, start=1):
        table.append(b"%010d 00000 n \n" % len(out))
        out += f"{i} 0 obj\n{content}\nendobj\n".encode("ascii")
    end = (
        f"trailer << /Size {len(table)} /Root 1 0 R /Info 7 0 R {trailer} >>\n"
        f"startxref\n{len(out)}\n%%EOF\n"
    )
    return out + b"xref\n0 %d\n" % len(table) + b"".join(table) + end.encode("ascii")


def _show(line: PdfLine) -> str:
    x, y, size, text = line
    font, encoded = ("F1", text.encode()) if text.isascii() else ("F2", text.encode("utf-16-be"))
    return f"BT /{font} {size} Tf {x} {y} Td <{encoded.hex()}> Tj ET\n"


def make_docx(write: Callable[[WordDocument], None]) -> bytes:
    """Gives the docx that `write` fills."""
    document = Document()
    write(document)
    return _saved(document.save)


def make_xlsx(write: Callable[[Workbook], None]) -> bytes:
    """Gives the xlsx that `write` fills; its first sheet is there already."""
    workbook = Workbook()
    write(workbook)
    return _saved(workbook.save)


def replace_part(archive: bytes, name: str, content: bytes) -> bytes:
    """Gives the office file with one part replaced or added."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for part in old.namelist():
            if part != name:
                new.writestr(part, old.read(part))
        new.writestr(name, content)
    return out.getvalue()


def _saved(save: Callable[[BytesIO], None]) -> bytes:
    out = BytesIO()
    save(out)
    return out.getvalue()
