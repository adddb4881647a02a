"""Fixtures: where a service's accounts and jobs are kept, in a library's folder and beside a catalog on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from facekit.catalog import Catalog
from facekit.server.database import ServiceStore
from facekit.server.shared_store import SharedServiceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Opener = Callable[[], ServiceStore]


@pytest.fixture(params=["folder", "server"])
def store_opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the test's store; opened again, it is another process's way to the same one."""
    if request.param == "folder":
        return lambda: ServiceStore(tmp_path)
    return request.getfixturevalue("shared_store_opener")


@pytest.fixture
def shared_store_opener(postgres_url: str, postgres_schema: str) -> Opener:
    """The same, on a server always."""
    Catalog(postgres_url, schema=postgres_schema).close()
    return lambda: SharedServiceStore(postgres_url, postgres_schema)


@pytest.fixture
def store(store_opener: Opener) -> Iterator[ServiceStore]:
    """Where accounts and jobs are kept: the test runs with both."""
    store = store_opener()
    yield store
    store.close()
