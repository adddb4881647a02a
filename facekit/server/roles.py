"""What a user may do."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Scope: TypeAlias = Literal["read", "search", "export", "ingest", "metrics", "admin"]
"""What a request needs: to see photos; search; export; bring in, remove, and set the similarity of searches; read
the metrics; manage users and models."""

Role: TypeAlias = Literal["viewer", "editor", "admin"]
"""What a user is."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
ROLES: dict[Role, frozenset[Scope]] = {
    "viewer": frozenset({"read", "search"}),
    "editor": frozenset({"read", "search", "export", "ingest"}),
    "admin": frozenset(SCOPES),
}
