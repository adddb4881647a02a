"""What a connector may contact: the hosts of its service, and nothing in private networks.

A service names addresses, and so does whoever shares something there. None of them may lead facekit to another machine
than the service's own, such as one that only this machine can reach (server-side request forgery).
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from facekit.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from httpx2 import URL

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an address of IPv4
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service's API is. A ``trusted`` one was named by the user, who answers for it and for its links."""

    base: str
    trusted: bool


def endpoint(variable: str, default: str) -> Endpoint:
    """The one that an environment's variable names, for gateways and tests; otherwise the service's own.

    Raises
    ------
    RefusedError
        If the variable holds no http or https address.
    """
    from httpx2 import URL, InvalidURL

    said = os.environ.get(variable, "").strip()
    if not said:
        return Endpoint(default.rstrip("/"), trusted=False)
    try:
        url = URL(said)
    except InvalidURL:
        url = URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        message = f"{variable} holds no http or https address."
        raise RefusedError(message, f"Give it one as {default} is, or leave it out.")
    return Endpoint(said.rstrip("/"), trusted=True)


class ForbiddenError(Exception):
    """An address that is not contacted, and why: words that name its host at most."""


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet at large; one of IPv4 inside one of IPv6 counts as what it leads to."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner or ip.is_site_local:
            return bool(inner) and is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def matches(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is one of some; ``*.vk.com`` stands for all below ``vk.com``."""
    host = host.lower()
    return any(host.endswith(one[1:]) if one.startswith("*.") else host == one for one in patterns)


def origin_of(url: URL) -> tuple[str, bytes, int | None]:
    """Scheme, host and port: what a token belongs to."""
    port = url.port or {"http": 80, "https": _HTTPS}.get(url.scheme)
    return url.scheme, url.raw_host.lower(), port


class Reach:
    """What may be contacted for one service.

    Parameters
    ----------
    to : Endpoint
        Of its API. Where it is trusted, all http and https addresses are.
    hosts : sequence of str
        The service's own, as `SourceKind.hosts` has them.
    signed_hosts : sequence of str
        Those of them that get the token too, besides the endpoint.
    """

    def __init__(self, to: Endpoint, hosts: Sequence[str], signed_hosts: Sequence[str] = ()) -> None:
        from httpx2 import URL

        self._trusted = to.trusted
        self._origin = origin_of(URL(to.base))
        self._hosts = tuple(one.lower() for one in hosts)
        self._signed_hosts = tuple(one.lower() for one in signed_hosts)

    def check(self, url: URL) -> None:
        """Raise ForbiddenError for an address that is not to be contacted."""
        if url.scheme not in {"http", "https"} or not url.host:
            message = "an address that is none of the web"
            raise ForbiddenError(message)
        if self._trusted:
            return
        host = url.raw_host.decode("ascii")
        if url.scheme != "https":
            message = f"{host} without encryption"
            raise ForbiddenError(message)
        if url.userinfo or (url.port or _HTTPS) != _HTTPS or not matches(host, self._hosts):
            message = f"{host}, which is none of its hosts" if not matches(host, self._hosts) else f"{host} oddly"
            raise ForbiddenError(message)

    def gets_token(self, url: URL) -> bool:
        """Whether the service's token may be sent there."""
        mine = origin_of(url) == self._origin
        return mine or (origin_of(url)[::2] == ("https", _HTTPS) and matches(url.host, self._signed_hosts))

    def guard(self, url: URL) -> Guard | None:
        """What looks on while a connection to an address is opened; None where nothing needs to."""
        return None if self._trusted else Guard(url.raw_host.decode("ascii"))


class Guard:
    """Looks on while a connection is opened, as httpcore's ``trace``, so that none is to a private address.

    A proxy, which the user's environment names, may be anywhere; it resolves the host's name itself.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._direct = False

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        """One step of httpcore's. Raises ForbiddenError, and OSError where the name leads nowhere."""
        if event == "connection.connect_tcp.started" and info["host"] == self._host:
            self._direct = True
            found = socket.getaddrinfo(self._host, info["port"], type=socket.SOCK_STREAM)
            if not all(is_public(str(one[4][0])) for one in found):
                self._refuse()
        elif event == "connection.connect_tcp.complete" and self._direct:
            # The name was resolved once more: what counts is who is there.
            stream = info["return_value"]
            if not is_public(str(stream.get_extra_info("server_addr")[0])):
                stream.close()
                self._refuse()

    def _refuse(self) -> None:
        message = f"{self._host}, which leads into a private network"
        raise ForbiddenError(message)
