"""The accounts of a service in another one's store."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from facekit.errors import LibraryError
from facekit.server.account_copy import copy_accounts
from facekit.server.accounts import Accounts
from facekit.server.database import ServiceStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = "a wall of seven bricks"


@pytest.fixture
def source(tmp_path: Path) -> ServiceStore:
    (tmp_path / "old").mkdir()
    return ServiceStore(tmp_path / "old")


def test_accounts_move_to_a_server_and_back(
    source: ServiceStore, shared_store_opener: Callable[[], ServiceStore], tmp_path: Path
) -> None:
    accounts = Accounts(source)
    accounts.add("Ада", PASSWORD, "admin")
    accounts.add("vi", PASSWORD, "viewer")
    (tmp_path / "back").mkdir()
    with closing(source), closing(shared_store_opener()) as shared, closing(ServiceStore(tmp_path / "back")) as back:
        secret = source.secret()
        for _ in range(2):  # again, as after a stop
            assert copy_accounts(source, shared) == 2
        assert copy_accounts(shared, back) == 2
        for store in (shared, back):
            assert Accounts(store).users() == accounts.users()
            assert store.secret() == secret
            assert Accounts(store).check("ада", PASSWORD).name == accounts.check("ада", PASSWORD).name
        Accounts(back).add("ed", PASSWORD, "editor")
        with pytest.raises(LibraryError, match="accounts of its own"):
            copy_accounts(source, back)
