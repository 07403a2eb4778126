"""Fetches pages from the web, politely and on a short leash.

Each request goes to an address that was checked (`knowledge.addresses`), obeys the site's
robots.txt, keeps its distance to the one before, and ends at a limit of bytes and of seconds,
however the other side drags it out. Redirects are followed by hand, so each is checked anew.
"""

import ssl
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urljoin

import httpcore
import httpx
from protego import Protego

from knowledge import addresses
from knowledge.errors import FetchFailed, PageGone, RobotsDenied, SourceRejected
from knowledge.timed_network import OutOfTime, TimedBackend

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5
#: Source: RFC 9309, section 2.5: at least 500 KiB of robots.txt have to be read.
_ROBOTS_BYTES = 500 * 1024
_MAX_CRAWL_DELAY_S = 10.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How pages are fetched.

    Args:
        user_agent: How we name ourselves; robots.txt may address us by its first word.
        max_bytes: Largest body, after decompression.
        timeout_s: For one address with all its redirects, waiting out of politeness not counted.
        delay_s: Pause between two requests to one host; robots.txt may ask for a longer one.
        max_pages: Pages taken from one sitemap.
        allow_private: Also fetch from addresses that are not of the open internet.
    """

    user_agent: str = "KefuBot/1.0 (knowledge base of a customer service)"
    max_bytes: int = 10 * _MIB
    timeout_s: float = 20.0
    delay_s: float = 1.0
    max_pages: int = 1000
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server gave us to ask "has it changed?" with."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address gave; `content` is empty when it `is_unchanged`."""

    url: str  # after redirects
    content: bytes
    content_type: str
    validators: Validators
    is_unchanged: bool = False


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    content: bytes


class Resolve(Protocol):
    """How `addresses.resolve` is called."""

    def __call__(self, host: str, port: int, *, allow_private: bool) -> list[str]:
        """Returns checked addresses."""
        ...


class Fetcher:
    """Fetches for one sync; remembers each site's robots.txt and when it was last asked.

    Args:
        options: Limits and manners.
        check: Called often; raises when the work has to stop.
        pause: Waits that many seconds, or raises as `check` does.
        resolve: Gives the addresses of a host that may be connected to.
    """

    def __init__(
        self,
        options: FetchOptions,
        *,
        check: Callable[[], None],
        pause: Callable[[float], None],
        resolve: Resolve = addresses.resolve,
    ) -> None:
        self._options = options
        self._check = check
        self._pause = pause
        self._resolve = resolve
        self._robots: dict[str, Protego] = {}
        self._asked: dict[str, float] = {}
        self._tls: ssl.SSLContext | None = None

    def fetch(
        self, url: str, *, accepts: Collection[str], known: Validators | None = None
    ) -> Fetched:
        """Returns what stands at `url`.

        Args:
            url: A clean http or https address.
            accepts: Content types that are of use.
            known: From the last time; the answer may then be that nothing changed.

        Raises:
            FetchFailed: anything else; the message is for the person who added the address.
        """
        headers = {"Accept": ", ".join([*sorted(accepts), "*/*;q=0.1"])}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        if known and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        left_s = self._options.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            self._obey(url)
            started = monotonic()
            response = self._request(url, headers, left_s, self._options.max_bytes)
            left_s -= monotonic() - started
            if response.status not in _REDIRECTS:
                return self._judge(url, response, accepts)
            url = _target(url, response.headers.get("location", ""))
        raise FetchFailed(f"The address redirects more than {MAX_REDIRECTS} times.")

    def _judge(self, url: str, response: _Response, accepts: Collection[str]) -> Fetched:
        headers = response.headers
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        validators = Validators(
            etag=headers.get("etag", "")[:500] or None,
            last_modified=headers.get("last-modified", "")[:100] or None,
        )
        if response.status == HTTPStatus.NOT_MODIFIED:
            return Fetched(url, b"", content_type, validators, is_unchanged=True)
        if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise PageGone(f"There is no such page ({_named(response.status)}).")
        if response.status != HTTPStatus.OK:
            raise FetchFailed(f"The server answered {_named(response.status)}.")
        if content_type not in accepts:
            raise FetchFailed(
                f"The server sent {content_type or 'no content type'!r}, which cannot be read here."
            )
        return Fetched(url, response.content, content_type, validators)

    def _obey(self, url: str) -> None:
        """Asks the site's robots.txt, and waits until it is our turn again."""
        parsed = httpx.URL(url)
        origin = f"{parsed.scheme}://{parsed.netloc.decode()}"
        if origin not in self._robots:
            self._robots[origin] = self._read_robots(origin)
        rules, agent = self._robots[origin], self._options.user_agent
        if not rules.can_fetch(url, agent):
            raise RobotsDenied(f"The robots.txt of {parsed.host} does not allow this address.")
        delay_s = max(self._options.delay_s, float(rules.crawl_delay(agent) or 0.0))
        delay_s = min(delay_s, max(_MAX_CRAWL_DELAY_S, self._options.delay_s))
        wait_s = self._asked.get(origin, -delay_s) + delay_s - monotonic()
        if wait_s > 0:
            self._pause(wait_s)
        self._asked[origin] = monotonic()

    def _read_robots(self, origin: str) -> Protego:
        """Returns the rules of a site; without the file everything is allowed.

        Source: RFC 9309, section 2.3.1: "unavailable" (4xx) allows all, "unreachable" nothing.
        """
        url = f"{origin}/robots.txt"
        for _ in range(MAX_REDIRECTS + 1):
            response = self._request(url, {}, self._options.timeout_s, _ROBOTS_BYTES, cut=True)
            if response.status not in _REDIRECTS:
                break
            url = _target(url, response.headers.get("location", ""))
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise FetchFailed(
                f"The site's robots.txt cannot be read ({_named(response.status)}), "
                "so nothing may be fetched now."
            )
        text = (
            response.content.decode("utf-8", "replace") if response.status == HTTPStatus.OK else ""
        )
        return Protego.parse(text)

    def _request(
        self, url: str, headers: Mapping[str, str], left_s: float, limit: int, *, cut: bool = False
    ) -> _Response:
        """Makes one request, without following anything.

        Args:
            url: The address.
            headers: Beside our own.
            left_s: Seconds until it is given up.
            limit: Largest body in bytes.
            cut: Keep the beginning of a larger body instead of refusing it.
        """
        backend = TimedBackend(
            deadline=monotonic() + left_s,
            check=self._check,
            resolve=lambda host, port: self._resolve(
                host, port, allow_private=self._options.allow_private
            ),
        )
        own = {
            "Host": httpx.URL(url).netloc.decode(),
            "User-Agent": self._options.user_agent,
            "Accept-Encoding": "gzip",
            "Connection": "close",
            **headers,
        }
        with (
            _spoken(self._options.timeout_s),
            httpcore.ConnectionPool(network_backend=backend, ssl_context=self._ssl(url)) as pool,
            pool.stream("GET", url, headers=list(own.items())) as response,
        ):
            received = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            has_body = response.status == HTTPStatus.OK
            content = _read(response, received, limit, cut=cut) if has_body else b""
            return _Response(response.status, received, content)

    def _ssl(self, url: str) -> ssl.SSLContext | None:
        if self._tls is None and url.startswith("https"):
            self._tls = httpx.create_ssl_context()
        return self._tls


def _read(
    response: httpcore.Response, headers: Mapping[str, str], limit: int, *, cut: bool
) -> bytes:
    """Returns the body, unpacked as far as the limit; never holds more than that."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise FetchFailed(f"The server sent the encoding {encoding!r}, which was not asked for.")
    unpack = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    content = bytearray()
    for part in response.iter_stream():
        try:
            content += unpack.decompress(part, limit + 1 - len(content)) if unpack else part
        except zlib.error as error:
            raise FetchFailed("The server sent a damaged gzip body.") from error
        if len(content) > limit:
            if cut:
                return bytes(content[:limit])
            raise FetchFailed(f"The content is too large: more than {limit / _MIB:.1f} MB.")
    return bytes(content)


@contextmanager
def _spoken(timeout_s: float) -> Iterator[None]:
    """Turns what goes wrong on the network into one sentence for people."""
    try:
        yield
    except (OutOfTime, httpcore.TimeoutException) as error:
        raise FetchFailed(f"The server took too long: given up after {timeout_s:g} s.") from error
    except httpcore.NetworkError as error:
        raise FetchFailed(f"No connection: {_short(error)}.") from error
    except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise FetchFailed(f"The server's answer is not valid HTTP: {_short(error)}.") from error


def _target(url: str, location: str) -> str:
    if not location:
        raise FetchFailed("The server redirects without saying where to.")
    try:
        return addresses.clean_url(urljoin(url, location))
    except SourceRejected as error:
        raise FetchFailed(
            f"The server redirects to an address that is not taken: {error}"
        ) from error


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _short(error: Any) -> str:
    return str(error)[:120] or type(error).__name__
