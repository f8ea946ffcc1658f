"""Connections to addresses that clients name: each is resolved once, and private networks are refused.

The address that was checked is the one that is connected to, so a name that resolves to another address a moment later
(DNS rebinding) gains nothing. Redirects are checked in the same way; proxies are not used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, urljoin, urlsplit

from videostyle.errors import SourceError, UsageError

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_TIMEOUT = 30.0  # seconds for each read

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: _Address) -> bool:
    """Return True for an address on the public internet, whatever form it is written in."""
    if isinstance(address, ipaddress.IPv6Address):
        # Addresses of IPv4 inside IPv6: ::ffff:10.0.0.1, 2002:0a00:0001::, Teredo, 64:ff9b::10.0.0.1.
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in ipaddress.ip_network("64:ff9b::/96"):
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if any(one is not None and not is_public(one) for one in inner):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


class Outbound:
    """Opens connections to public addresses, and to the private `networks` that are allowed."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(one) for one in networks]

    def check(self, url: str) -> None:
        """Raise UsageError for an address that cannot be allowed, without connecting to it."""
        self._resolve(_parts(url))

    def _resolve(self, parts: SplitResult) -> list[tuple[socket.AddressFamily, str, int]]:
        """Return the addresses of a host; raise UsageError unless all of them may be connected to."""
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UsageError(f"{host}: there is no host of this name") from error
        addresses: list[tuple[socket.AddressFamily, str, int]] = []
        addresses += [(family, str(where[0]), port) for family, _, _, _, where in found]
        for _, text, _ in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            if not is_public(address) and not any(address in network for network in self._networks):
                raise UsageError(f"{host}: is not on the public internet, and may not be connected to")
        return addresses

    @contextmanager
    def request(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request, and yield the response, whose body is not read yet; redirects of a GET are followed.

        Raises UsageError for an address that is not allowed, SourceError where nothing answers.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            parts = _parts(url)
            connection = self._connect(parts)
            try:
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                try:
                    connection.request(method, path, body, {"User-Agent": "videostyle", **(headers or {})})
                    response = connection.getresponse()
                except (OSError, http.client.HTTPException) as error:
                    raise SourceError(f"{parts.hostname}: does not answer ({type(error).__name__})") from error
                where = response.getheader("location")
                if method == "GET" and response.status in _REDIRECTS and where:
                    url = urljoin(url, where)
                    continue
                yield response
                return
            finally:
                connection.close()
        raise UsageError(f"{parts.hostname}: redirects more than {_MOST_REDIRECTS} times")

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        """Connect to the first of a host's addresses that answers."""
        host = parts.hostname or ""
        problem: OSError | None = None
        for family, address, port in self._resolve(parts):
            opened = socket.socket(family, socket.SOCK_STREAM)
            opened.settimeout(_TIMEOUT)
            try:
                opened.connect((address, port))
                if parts.scheme == "https":
                    opened = ssl.create_default_context().wrap_socket(opened, server_hostname=host)
            except OSError as error:
                opened.close()
                problem = error
                continue
            connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
            connection.sock = opened  # http.client connects only where there is no socket yet
            return connection
        raise SourceError(f"{host}: cannot be connected to ({type(problem).__name__})") from problem


def _parts(url: str) -> SplitResult:
    """Split an address; raise UsageError for one that is no plain web address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError("the address is not a valid one") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError("the address must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise UsageError("the address must not contain a name or a password")
    if port == 0 or any(ord(one) <= 32 or ord(one) == 127 for one in url):
        raise UsageError("the address is not a valid one")
    return parts
