"""The one copy of the faces in memory: who shares it, and that it is never older than what is asked of it."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
import other_models
import pytest
from family import face, faces
from statements import statements

from facekit.models import registry
from facekit.people import corrections
from facekit.storage.face_arrays import FacesInMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from family import Family

    from facekit.library.local import LocalLibrary


def reads_of_all(asked: list[str]) -> int:
    """How often the embeddings of all faces were read."""
    return sum("embedding" in one and "unnest" not in one.lower() for one in asked if one.startswith("SELECT"))


def assert_current(library: LocalLibrary) -> None:
    """What is in memory is what the catalog holds."""
    mine, fresh = library._storage.faces.arrays(), FacesInMemory(library._storage.catalog.people).arrays()
    assert (mine.face_ids, mine.photo_ids, mine.owners) == (fresh.face_ids, fresh.photo_ids, fresh.owners)
    assert np.array_equal(mine.usable, fresh.usable)
    assert np.array_equal(mine.vectors, fresh.vectors)
    some = mine.face_ids[::2]
    vectors = library._storage.faces.vectors([*some, "0" * 32])
    assert list(vectors) == some
    known = library._storage.catalog.people.vectors(some)
    assert all(np.array_equal(vectors[key], known[key]) for key in some)


def test_all_who_work_on_faces_share_one_reading_of_them(grouped_library: LocalLibrary) -> None:
    people = grouped_library.people
    with statements() as asked:
        for person in people:
            people.quality(person)
            people.faces(person)
        people.duplicates()
        people.review()
        people.cluster()  # makes and accepts a run, which assigns
        people.accept(people.cluster(eps=0.6, accept=False))
        people.assign()
    assert reads_of_all(asked) == 1
    assert_current(grouped_library)


def test_few_faces_are_read_by_themselves_where_all_are_not_in_memory(grouped_library: LocalLibrary) -> None:
    with statements() as asked:
        for person in grouped_library.people:
            assert all(member.similarity is not None for member in grouped_library.people.faces(person).members)
    assert reads_of_all(asked) == 0


def test_every_change_is_seen(family: Family, grouped_library: LocalLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)
    library, people = grouped_library, grouped_library.people
    one, two, three = people.page().people
    changes: list[Callable[[], object]] = [
        lambda: people.name(one, "Анна"),
        lambda: people.merge(one, two),
        people.undo,
        lambda: people.not_this_person(faces(library, "lagos1.jpg")),
        lambda: people.new(face(library, "together.png", 1)),
        lambda: people.move(faces(library, "wolf1.jpg"), three),
        lambda: family.bring("lagos6.jpg", "wolf6.jpg") or library.ingest(family.photos, progress=False),
        people.cluster,
        people.undo,
        lambda: library.remove(str(family.photos / "wolf2.jpg")),
        lambda: library.reembed(embedder="turned", progress=False),  # other vectors of the same faces
    ]
    for change in changes:
        assert_current(library)
        change()
        assert_current(library)


def test_what_one_moment_shows_is_not_taken_for_what_is_there_later(grouped_library: LocalLibrary) -> None:
    library, people = grouped_library, grouped_library.people
    memory, tables = library._storage.faces, library._storage.catalog.people
    key = face(library, "lagos1.jpg")
    other = people.get(str(tables.owners()[face(library, "wolf1.jpg")]))
    before = dict(zip(memory.arrays().face_ids, memory.arrays().owners, strict=True))
    people.different(other, before[key])  # a change: what is in memory is read anew below
    with tables.reading():
        tables.owners()  # from here on the moment is fixed
        change = Thread(target=lambda: people.move(key, other))
        change.start()
        change.join()
        seen = memory.arrays()
        assert seen.owners[seen.place[key]] == before[key]
    now = memory.arrays()
    assert now.owners[now.place[key]] == other.person_id


def test_a_change_between_the_count_and_the_first_look_is_seen(grouped_library: LocalLibrary) -> None:
    library, people = grouped_library, grouped_library.people
    memory, tables = library._storage.faces, library._storage.catalog.people
    key = face(library, "lagos1.jpg")
    other = str(tables.owners()[face(library, "wolf1.jpg")])
    memory.arrays()
    with tables.reading():  # nothing was read yet: what comes now is seen
        change = Thread(target=lambda: people.move(key, other))
        change.start()
        change.join()
        seen = memory.arrays()
        assert tables.owners()[key] == other
        assert seen.owners[seen.place[key]] == other


def test_a_transaction_that_is_not_done_shows_nobody_else_what_it_changed(grouped_library: LocalLibrary) -> None:
    memory, tables = grouped_library._storage.faces, grouped_library._storage.catalog.people
    key = face(grouped_library, "lagos1.jpg")
    owner = tables.owners()[key]
    seen: list[str | None] = []

    def look() -> None:
        arrays = memory.arrays()
        seen.append(arrays.owners[arrays.place[key]])

    def change() -> None:
        with grouped_library.people._work("not_this_person") as work:
            corrections.reject(tables, work, key, None)
            look()
            other = Thread(target=look)
            other.start()
            other.join()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change()
    look()
    assert seen == [None, owner, owner]
