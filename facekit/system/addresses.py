"""Where a client comes from, as far as that can be known."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def client_of(address: str) -> str:
    """What one client has: an address, or of IPv6 the 64 bits of a household; a text that is none stays as it is."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if ip.version == 4 else str(ip_network((int(ip), 64), strict=False))  # noqa: PLR2004


def is_among(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is one of some, or in one of some networks; a text that is none is not."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(ip in ip_network(one) for one in networks)


def visitor_of(peer: str, forwarded_for: str, proxies: Sequence[str]) -> str:
    """The address for which a request was sent: the peer's, or what the nearest proxies that were named say.

    Parameters
    ----------
    peer : str
        The other end of the connection.
    forwarded_for : str
        The header ``X-Forwarded-For``: each proxy adds, at the end, from whom it has the request.
    proxies : sequence of str
        Addresses and networks whose word counts.
    """
    for address in reversed([one.strip() for one in forwarded_for.split(",") if one.strip()]):
        if not is_among(peer, proxies):
            break
        peer = address
    return peer
