"""Whether this machine's clock is that of a library's server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from facekit.storage.backend import Look

if TYPE_CHECKING:
    from facekit.catalog.server import CatalogServer

_APART_SECONDS = 5.0  # ours: leases of work last some 20 s


def look_at_clocks(server: CatalogServer) -> Look:
    """What somebody who looked after the clocks saw."""
    before = time.time()
    theirs = server.clock()
    apart = theirs.timestamp() - (before + time.time()) / 2
    detail = f"the server's is {abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    ok = abs(apart) <= _APART_SECONDS
    return Look(detail if ok else f"{detail}: set one of them right (NTP)", ok=ok)
