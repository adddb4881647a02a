"""What happened when: on the clock of whoever looks, with its zone, in a folder and behind a service."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from service import remote

import facekit as fk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from family import Family

    from facekit.library.base import Library


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Be on a machine elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def shown(library: Library) -> list[datetime]:
    """All times that a library shows."""
    run = library.stats()["last_run"]
    ended = [datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at")]
    return [library.people.runs()[0].created_at, library.people.journal(1)[0].at, *ended]


def test_times_are_local_with_their_zone_wherever_a_library_is_opened(family: Family, tmp_path: Path) -> None:
    with zone("Asia/Kathmandu"):
        before = datetime.now(UTC).replace(microsecond=0)
        with family.opened(tmp_path / "L", grouped=True) as library:
            library.ingest(family.photos, progress=False)
            library.people.name(library.people[0], "Anna")
            library.people.cluster()
            library.people.undo()
            here = shown(library)
            entry = library.people.journal(1)[0]
            assert repr(entry).endswith(f"({entry.at:%Y-%m-%d %H:%M})")
        assert {moment.utcoffset() for moment in here} == {timedelta(hours=5, minutes=45)}
        assert all(before <= moment <= datetime.now(UTC) for moment in here)
        with remote(tmp_path / "L") as library:
            assert shown(library) == here
            sent = library.session.get("people/journal")[0]["at"]
            assert datetime.fromisoformat(sent).utcoffset() == timedelta(hours=5, minutes=45)
            assert {moment.utcoffset() for moment in shown(library)} == {timedelta(hours=5, minutes=45)}
    with zone("America/St_Johns"):
        with fk.open(tmp_path / "L") as library:
            there = shown(library)
        assert there == here
        assert {moment.utcoffset() for moment in there} <= {timedelta(hours=-2.5), timedelta(hours=-3.5)}
