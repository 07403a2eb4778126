"""Limits that every parser keeps; a leaf of this package."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """How much one uploaded file may hold.

    Raises:
        ValueError: a limit is not positive.
    """

    max_pdf_pages: int
    max_text_chars: int
    max_unpacked_bytes: int  # office files after decompression
    max_bytes: int  # the file as uploaded
    max_ocr_pages: int = 100  # pictures of pages, which take seconds each

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)!r}")
