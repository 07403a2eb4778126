"""Fetching from a real server on this machine: limits, manners, and where it may lead."""

import gzip
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from knowledge import addresses
from knowledge.addresses import clean_url, is_public
from knowledge.errors import AddressRefused, FetchFailed, PageGone, RobotsDenied, SourceRejected
from knowledge.fetching import Fetched, Fetcher, FetchOptions, Resolve, Validators
from knowledge.page_names import PAGE_TYPES, page_name
from knowledge.sitemaps import parse_sitemap
from tests.site_kit import Site, drip, flood, html, redirect, running_site


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        yield site


def fetch(
    url: str,
    known: Validators | None = None,
    *,
    resolve: Resolve = addresses.resolve,
    **options: object,
) -> Fetched:
    given = {"delay_s": 0.0, "timeout_s": 5.0, "allow_private": True} | options
    fetcher = Fetcher(FetchOptions(**given), check=lambda: None, pause=time.sleep, resolve=resolve)  # type: ignore[arg-type]
    return fetcher.fetch(url, accepts=PAGE_TYPES.keys(), known=known)


def test_a_page_is_fetched_under_our_name(site: Site) -> None:
    site.pages["/help"] = html("Returns are free.")
    got = fetch(f"{site.url}/help")
    assert b"Returns are free." in got.content
    assert got.content_type == "text/html"
    assert all(agent.startswith("KefuBot") for agent in site.agents)


def test_private_addresses_are_refused_by_default(site: Site) -> None:
    with pytest.raises(AddressRefused, match="not a public address"):
        fetch(f"{site.url}/help", allow_private=False)
    assert site.asked == []


@pytest.mark.parametrize(
    "host", ["localhost", "[::1]", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"]
)
def test_other_spellings_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises((AddressRefused, SourceRejected)):
        fetch(clean_url(f"http://{host}:1/"), allow_private=False)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_only_the_open_internet_is_public(address: str, expected: bool) -> None:
    assert is_public(ip_address(address)) is expected


def test_redirect_into_the_private_network_is_refused(site: Site) -> None:
    """The first hop is let through as if it were public; the second is checked like any."""

    def resolve_first(host: str, port: int, *, allow_private: bool) -> list[str]:
        return (
            ["127.0.0.1"]
            if host == "shop.test"
            else addresses.resolve(host, port, allow_private=False)
        )

    port = site.url.rpartition(":")[2]
    site.pages["/go"] = redirect("http://169.254.169.254/latest/meta-data/")
    with pytest.raises(AddressRefused, match=r"169\.254\.169\.254"):
        fetch(f"http://shop.test:{port}/go", resolve=resolve_first, allow_private=False)


def test_the_checked_address_is_the_one_connected_to(site: Site) -> None:
    """The name does not exist, so a second look-up could only fail."""
    site.pages["/help"] = html("Pinned.")
    port = site.url.rpartition(":")[2]
    assert (
        b"Pinned."
        in fetch(f"http://shop.invalid:{port}/help", resolve=lambda *_, **__: ["127.0.0.1"]).content
    )


def test_redirects_are_followed_up_to_a_limit(site: Site) -> None:
    site.pages["/a"] = redirect("/b")
    site.pages["/b"] = html("Arrived.")
    site.pages["/loop"] = redirect("/loop")
    assert fetch(f"{site.url}/a").url == f"{site.url}/b"
    with pytest.raises(FetchFailed, match="more than 5 times"):
        fetch(f"{site.url}/loop")


def test_redirect_to_a_file_is_refused(site: Site) -> None:
    site.pages["/a"] = redirect("file:///etc/passwd")
    with pytest.raises(FetchFailed, match="not taken"):
        fetch(f"{site.url}/a")


@pytest.mark.parametrize("slow", ["body", "silence", "headers"])
def test_a_slow_server_is_given_up(site: Site, slow: str) -> None:
    def drip_headers(handler: object) -> None:
        for _ in range(600):
            handler.wfile.write(b"H")  # type: ignore[attr-defined]
            handler.wfile.flush()  # type: ignore[attr-defined]
            time.sleep(0.05)

    ways = {"body": drip, "silence": lambda _: time.sleep(3), "headers": drip_headers}
    site.pages["/slow"] = ways[slow]
    started = time.monotonic()
    with pytest.raises(FetchFailed, match="took too long"):
        fetch(f"{site.url}/slow", timeout_s=0.4)
    assert time.monotonic() - started < 2


def test_a_huge_body_is_cut_off(site: Site) -> None:
    site.pages["/huge"] = flood
    with pytest.raises(FetchFailed, match="too large"):
        fetch(f"{site.url}/huge", max_bytes=100_000)


def test_a_gzip_bomb_is_cut_off(site: Site) -> None:
    headers = {"Content-Type": "text/html", "Content-Encoding": "gzip"}
    site.pages["/bomb"] = (200, headers, gzip.compress(b"x" * 50_000_000))
    site.pages["/fine"] = (200, headers, gzip.compress(b"<p>Packed.</p>"))
    with pytest.raises(FetchFailed, match="too large"):
        fetch(f"{site.url}/bomb", max_bytes=100_000)
    assert fetch(f"{site.url}/fine").content == b"<p>Packed.</p>"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((404, {}, b""), PageGone, "404 Not Found"),
        ((410, {}, b""), PageGone, "410 Gone"),
        ((403, {}, b""), FetchFailed, "403 Forbidden"),
        ((500, {}, b""), FetchFailed, "500 Internal"),
        ((200, {"Content-Type": "image/png"}, b"x"), FetchFailed, "image/png"),
        ((200, {}, b"x"), FetchFailed, "no content type"),
    ],
)
def test_errors_say_what_happened(
    site: Site, answer: object, error: type[Exception], said: str
) -> None:
    site.pages["/x"] = answer  # type: ignore[assignment]
    with pytest.raises(error, match=said):
        fetch(f"{site.url}/x")


def test_a_closed_port_is_named() -> None:
    with pytest.raises(FetchFailed, match="No connection"):
        fetch("http://127.0.0.1:1/")


def test_robots_txt_is_obeyed(site: Site) -> None:
    site.pages["/robots.txt"] = (
        200,
        {"Content-Type": "text/plain"},
        b"User-agent: KefuBot\nDisallow: /private\n",
    )
    site.pages["/private/a"] = html("Secret.")
    site.pages["/open"] = html("Open.")
    assert fetch(f"{site.url}/open")
    with pytest.raises(RobotsDenied):
        fetch(f"{site.url}/private/a")
    assert "/private/a" not in site.asked


def test_unreadable_robots_txt_stops_everything(site: Site) -> None:
    site.pages["/robots.txt"] = (503, {}, b"")
    site.pages["/open"] = html("Open.")
    with pytest.raises(FetchFailed, match=r"robots.txt cannot be read \(503"):
        fetch(f"{site.url}/open")


def test_requests_keep_their_distance(site: Site) -> None:
    site.pages["/a"] = html("A.")
    waits: list[float] = []
    options = FetchOptions(delay_s=3.0, allow_private=True)
    fetcher = Fetcher(options, check=lambda: None, pause=waits.append)
    fetcher.fetch(f"{site.url}/a", accepts=PAGE_TYPES)
    fetcher.fetch(f"{site.url}/a", accepts=PAGE_TYPES)
    assert site.n_asked("/robots.txt") == 1
    assert len(waits) == 1
    assert 2.5 < waits[0] <= 3.0


def test_an_unchanged_page_is_not_sent_again(site: Site) -> None:
    status, headers, body = html("Same.")
    site.pages["/a"] = (status, {**headers, "ETag": '"1"'}, body)
    first = fetch(f"{site.url}/a")
    again = fetch(f"{site.url}/a", first.validators)
    assert again.is_unchanged
    assert again.content == b""


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "example.com", "http://", "http://u:p@x/",
            "https://example.com/" + "a" * 2000]
)  # fmt: skip
def test_unusable_addresses_are_refused(url: str) -> None:
    with pytest.raises(SourceRejected):
        clean_url(url)


def test_addresses_have_one_form() -> None:
    assert clean_url(" HTTP://Example.com#top ") == "http://example.com/"
    assert clean_url("https://例子.com/帮助") == "https://xn--fsqu00a.com/%E5%B8%AE%E5%8A%A9"


def test_page_names_are_readable() -> None:
    assert page_name("https://a.com/help/returns.html", "text/html") == "a.com help returns.html"
    assert page_name("https://a.com/%E5%B8%AE%E5%8A%A9/", "text/html") == "a.com 帮助.html"
    one, two = (page_name(f"https://a.com/p?id={n}", "text/html") for n in (1, 2))
    assert one != two


def test_sitemaps_are_read_without_entities() -> None:
    xml = (
        b'<!DOCTYPE u [<!ENTITY x SYSTEM "file:///etc/passwd">]><urlset>'
        b"<url><loc>https://a.com/1</loc></url><url><loc>&x;</loc></url>"
        b"<url><loc>https://a.com/1#again</loc></url></urlset>"
    )
    assert parse_sitemap(xml, max_bytes=1000).urls == ("https://a.com/1",)
    assert parse_sitemap(gzip.compress(xml), max_bytes=1000).urls == ("https://a.com/1",)


@pytest.mark.parametrize(
    "content",
    [b"<html></html>", b"not xml", gzip.compress(b"x" * 10_000, mtime=0), b"\x1f\x8bbroken"],
)
def test_what_is_no_sitemap_is_said(content: bytes) -> None:
    with pytest.raises(FetchFailed):
        parse_sitemap(content, max_bytes=1000)
