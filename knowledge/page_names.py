"""The file name under which a web page is kept as a document."""

import re
from hashlib import sha256
from pathlib import PurePosixPath
from urllib.parse import unquote

import httpx

#: Content types that can be read, with the suffix that picks the parser.
PAGE_TYPES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}
_MAX_CHARS = 120
_ODD = re.compile(r"[^\w.\-]+")


def page_name(url: str, content_type: str) -> str:
    """Returns a name that people recognise the page by, such as `shop.example help returns.html`.

    Args:
        url: A clean address.
        content_type: One of `PAGE_TYPES`.
    """
    parsed = httpx.URL(url)
    path = unquote(parsed.path).strip("/")
    suffix = PAGE_TYPES[content_type]
    if PurePosixPath(path).suffix.lower() in (suffix, ".htm"):
        path = path[: -len(PurePosixPath(path).suffix)]
    stem = " ".join(_ODD.sub(" ", f"{parsed.host}/{path}").split())
    if parsed.query or len(stem) > _MAX_CHARS:
        stem = f"{stem[:_MAX_CHARS].strip()} {sha256(url.encode()).hexdigest()[:8]}"
    return stem + suffix
