"""What files and web pages may bring in, as the settings say; part of the assembly."""

from bot.settings import Settings
from knowledge.fetching import FetchOptions
from knowledge.parsing.limits import ParseLimits

_MIB = 1024 * 1024


def parse_limits(settings: Settings) -> ParseLimits:
    """Returns what a file may hold."""
    knowledge = settings.knowledge
    return ParseLimits(
        max_pdf_pages=knowledge.max_pdf_pages,
        max_text_chars=knowledge.max_text_chars,
        max_unpacked_bytes=knowledge.max_unpacked_mb * _MIB,
        max_bytes=knowledge.max_upload_mb * _MIB,
        max_ocr_pages=knowledge.max_ocr_pages,
    )


def fetch_options(settings: Settings) -> FetchOptions:
    """Returns how pages are fetched."""
    knowledge = settings.knowledge
    return FetchOptions(
        max_bytes=knowledge.max_page_mb * _MIB,
        timeout_s=knowledge.fetch_timeout_s,
        delay_s=knowledge.fetch_delay_s,
        max_pages=knowledge.max_site_pages,
        allow_private=knowledge.allow_private_urls,
    )
