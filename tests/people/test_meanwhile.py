"""While faces are assigned and runs are accepted others go on, and what they say counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from family import face, faces, whose

from facekit.catalog.people_tables import members
from facekit.clustering import assignment
from facekit.people import runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from family import Family

    from facekit.library.local import LocalLibrary

ENDS = 60  # seconds; without an end it waits for what waits for it


class Meanwhile:
    """Lets somebody else do something each time that a function is called, before it goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
        self._real: Callable[..., Any] = getattr(module, name)
        self._todo: list[Callable[[], object]] = []
        self.calls = 0
        monkeypatch.setattr(module, name, self._call)

    def do(self, *todo: Callable[[], object]) -> None:
        self._todo, self.calls = list(todo), 0

    def _call(self, *said: Any, **named: Any) -> Any:
        self.calls += 1
        if self._todo:
            with ThreadPoolExecutor(1) as other:
                other.submit(self._todo.pop(0)).result(ENDS)
        return self._real(*said, **named)


@pytest.fixture
def library(grouped_library: LocalLibrary) -> LocalLibrary:
    """Ricardo and Paul have their names, and a photo each whose face is nobody's."""
    tables = grouped_library.storage.catalog.people
    for name, photo in (("Ricardo", "lagos1.jpg"), ("Paul", "wolf1.jpg")):
        grouped_library.people.name(tables.owners()[face(grouped_library, photo)], name)
    with tables.work("move", "") as work:
        work.remove(members, [(key,) for key in faces(grouped_library, "lagos2.jpg", "wolf2.jpg")])
    return grouped_library


def test_what_is_said_while_faces_are_assigned_counts(library: LocalLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    people, new = library.people, face(library, "lagos2.jpg")
    meanwhile = Meanwhile(monkeypatch, assignment, "assign")
    meanwhile.do(lambda: people.not_this_person(new, "Ricardo"))
    assert people.assign().assigned == 1
    assert meanwhile.calls == 2
    assert "wolf2.jpg" in whose(library)["Paul"]
    assert "lagos2.jpg" not in whose(library)["Ricardo"]


def test_faces_are_assigned_in_the_end_although_people_never_stop_talking(
    library: LocalLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = library.people
    meanwhile = Meanwhile(monkeypatch, assignment, "assign")
    meanwhile.do(*(lambda name=name: people.name("Paul", name) and people.name(name, "Paul") for name in ("A", "B")))
    assert people.assign().assigned == 2
    assert meanwhile.calls == 3
    assert [one.verb for one in people.journal(5)] == ["assign", *["name"] * 4]


def test_photos_that_come_while_faces_are_assigned_are_due(
    library: LocalLibrary, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = library.storage.catalog.people
    meanwhile = Meanwhile(monkeypatch, assignment, "assign")
    family.bring("lopez4.jpg", "lagos7.jpg")
    monkeypatch.setattr(type(tables), "person_ids", lambda _: set())  # the ingest has nobody to give them to
    meanwhile.do(lambda: library.ingest(family.photos, progress=False))
    assert library.people.assign().assigned == 2
    assert (meanwhile.calls, tables.assign_due) == (1, True)
    assert library.people.assign().assigned == 2
    assert "lagos7.jpg" in whose(library)["Ricardo"]
    assert not tables.assign_due


def test_photos_that_go_while_faces_are_assigned_leave_nothing_behind(
    library: LocalLibrary, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = face(library, "lagos2.jpg")
    meanwhile = Meanwhile(monkeypatch, assignment, "assign")
    meanwhile.do(lambda: library.remove(family.photos / "lagos2.jpg"))
    assert library.people.assign().assigned == 1
    assert gone not in library.storage.catalog.people.owners()


def test_a_name_given_while_a_run_is_accepted_lasts(library: LocalLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    people = library.people
    third = library.storage.catalog.people.owners()[face(library, "lopez1.jpg")]
    run = people.cluster("kmeans", people=2, accept=False)
    meanwhile = Meanwhile(monkeypatch, runs, "plan")
    meanwhile.do(lambda: people.name(third, "Jennifer"))
    assert people.accept(run).state == "accepted"
    assert meanwhile.calls == 2
    assert people["Jennifer"].person_id == third
    assert "lopez1.jpg" in whose(library)["Jennifer"]
