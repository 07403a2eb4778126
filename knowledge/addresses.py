"""Where a web address may lead: resolved once, checked, and only then connected to.

A name that is resolved for the check and again for the connection may answer differently the
second time (DNS rebinding), so `resolve` gives the very addresses that are connected to.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from knowledge.errors import AddressRefused, FetchFailed, SourceRejected

MAX_URL_CHARS = 2000
#: Carries an IPv4 address in its last 32 bits (RFC 6052), as 6to4 and Teredo carry theirs.
_NAT64 = ip_network("64:ff9b::/96")


def clean_url(url: str) -> str:
    """Returns the address in its one normal form, without a fragment.

    Raises:
        SourceRejected: not http or https, no host, a password in it, or too long.
    """
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise SourceRejected(
            f"Expected a web address such as https://example.com/help; {error}"
        ) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SourceRejected(
            f"Expected an address that begins with http:// or https://, got {url.strip()[:100]!r}."
        )
    if parsed.userinfo:
        raise SourceRejected("An address with a user name or password in it is not taken.")
    cleaned = str(parsed.copy_with(fragment=None, path=parsed.path or "/"))
    if len(cleaned) > MAX_URL_CHARS:
        raise SourceRejected(f"The address has more than {MAX_URL_CHARS} characters.")
    return cleaned


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """True for an address of the open internet, whatever form it is wrapped in."""
    if isinstance(address, IPv6Address):
        inner = _wrapped(address)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special


def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """Returns the addresses of a host, in the order of the resolver.

    Raises:
        AddressRefused: one of them is not of the open internet and `allow_private` is off.
        FetchFailed: the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed(f"The name {host!r} is not known to the network.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allow_private and not is_public(ip_address(address.partition("%")[0])):
            raise AddressRefused(
                f"{host!r} leads to {address}, which is not a public address. Set "
                "KEFU_KNOWLEDGE__ALLOW_PRIVATE_URLS=true to allow addresses of your own network."
            )
    return addresses


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Returns the IPv4 address inside an IPv6 one, if it carries any."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour
