"""A sitemap's XML, plain or gzipped, as the addresses it lists.

Source: sitemaps.org/protocol.html. Entities are not resolved and nothing is loaded.
"""

import zlib
from dataclasses import dataclass

from lxml import etree

from knowledge.addresses import clean_url
from knowledge.errors import FetchFailed, SourceRejected

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Sitemap:
    """Addresses in the order of the file, each once; those of an index are further sitemaps."""

    urls: tuple[str, ...]
    is_index: bool


def parse_sitemap(content: bytes, *, max_bytes: int) -> Sitemap:
    """Returns the addresses of a sitemap; those that are not usable are left out.

    Raises:
        FetchFailed: no sitemap, damaged, or larger than `max_bytes` when unpacked.
    """
    if content.startswith(_GZIP):
        content = _unpack(content, max_bytes)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise FetchFailed("The sitemap is not valid XML.") from error
    name = etree.QName(root).localname
    if name not in ("urlset", "sitemapindex"):
        raise FetchFailed(f"Expected a sitemap, found XML that begins with <{name[:40]}>.")
    found = []
    for loc in root.iterfind("{*}*/{*}loc"):
        try:
            found.append(clean_url(loc.text or ""))
        except SourceRejected:  # one bad line does not spoil the others
            continue
    return Sitemap(tuple(dict.fromkeys(found)), is_index=name == "sitemapindex")


def _unpack(content: bytes, max_bytes: int) -> bytes:
    try:
        unpacked = zlib.decompressobj(wbits=31).decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise FetchFailed("The sitemap is a damaged gzip file.") from error
    if len(unpacked) > max_bytes:
        raise FetchFailed(f"The sitemap unpacks to more than {max_bytes / (1 << 20):.1f} MB.")
    return unpacked
