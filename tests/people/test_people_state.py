"""Whatever is done, in whatever order: every name and every decision of the user lasts."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import other_models
import PIL.Image
from family import LATER, Family, everybody, state
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import facekit as fk
from facekit.catalog import hidden
from facekit.catalog.people_tables import (
    cluster_runs,
    differences,
    face_aliases,
    hidden_ids,
    members,
    persons,
    rejections,
)
from facekit.clustering import METHODS
from facekit.errors import FacekitError, NameTakenError
from facekit.library.local import LocalLibrary
from facekit.models import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    import pytest
    from places import Places

NAMES = ["Anna", "АННА", "Анна", "Алёна", "Але\u0308на", "facade", "100%", "O'Neil", None]
SLOW = 3  # ingests and changes of models in one example: each takes a second or two


class Decisions(RuleBasedStateMachine):
    """A library, and beside it what the user decided, as plain sets."""

    family: Family
    scratch: Path
    places: Places

    @initialize()
    def open(self) -> None:
        self.folder = self.scratch / "library"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.family.restore()
        self.library = self.family.opened(self.folder, self.places, grouped=True)
        self.names: dict[str, str | None] = {}  # of the people that the user named
        self.mine: dict[str, str] = {}  # faces that the user gave to somebody
        self.said: set[tuple[str, str]] = set()  # face, person: not this person
        self.apart: set[tuple[str, str]] = set()
        self.settled: dict[str, set[str]] = {}  # faces of people whom the user touched
        self.entries = 1
        self.slow = 0
        self.embedder = "sface"

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.close()

    # -- what there is to choose from --------------------------------------------------------------------------

    @property
    def people(self) -> Any:
        return self.library.people

    def person(self, number: int) -> str | None:
        """One of the people who have faces here or a name."""
        known = sorted(self.everybody())
        return known[number % len(known)] if known else None

    def everybody(self) -> dict[str, Any]:
        return {one.person_id: one for hidden in (False, True) for one in everybody(self.library, hidden=hidden)}

    def face(self, number: int) -> str | None:
        known = sorted(self.library._storage.catalog.people.photo_of())
        return known[number % len(known)] if known else None

    def owned(self, person: str, number: int) -> str | None:
        frame = self.people.to_frame()
        known = sorted(frame[frame["person_id"] == person]["face_id"])
        return known[number % len(known)] if known else None

    # -- what the user does ------------------------------------------------------------------------------------

    def gave(self, faces: list[str], person: str) -> None:
        for one in faces:
            self.mine[one] = person
            self.said.discard((one, person))

    @rule(who=st.integers(0, 9), name=st.sampled_from(NAMES))
    def name(self, who: int, name: str | None) -> None:
        person = self.person(who)
        if person is None:
            return
        before = state(self.library)
        try:
            self.names[person] = self.people.name(person, name).name
        except NameTakenError as error:
            other = error.person_id
        else:
            return
        assert other != person
        assert self.people.get(other) == self.people.get(str(name))
        assert state(self.library) == before

    @rule(one=st.integers(0, 9), other=st.integers(0, 9))
    def merge(self, one: int, other: int) -> None:
        first, second = self.person(one), self.person(other)
        if first is None or second is None or first == second:
            return
        owners = self.library._storage.catalog.people.owners([first, second])
        named = self.people.get(first).name or self.people.get(second).name
        merged = self.people.merge(first, second)
        assert merged.name == named
        self.names.pop(second, None)
        self.names[first] = named
        self.mine = {face: first if owner == second else owner for face, owner in self.mine.items()}
        self.mine |= dict.fromkeys(owners, first)
        self.said = {(face, first if of == second else of) for face, of in self.said}
        pairs = {tuple(sorted(first if key == second else key for key in pair)) for pair in self.apart}
        self.apart = {(a, b) for a, b in pairs if a != b}

    @rule(who=st.integers(0, 9), which=st.integers(0, 20), name=st.sampled_from(NAMES))
    def split(self, who: int, which: int, name: str | None) -> None:
        person = self.person(who)
        face = person and self.owned(person, which)
        if not person or not face or self.people.get(person).faces == 1:
            return
        try:
            new = self.people.split(person, face, name)
        except NameTakenError:
            return
        self.gave([face], new.person_id)
        self.names[new.person_id] = new.name
        self.apart.add(tuple(sorted((person, new.person_id))))

    @rule(which=st.lists(st.integers(0, 20), min_size=1, max_size=3), who=st.integers(0, 9))
    def move(self, which: list[int], who: int) -> None:
        person, faces = self.person(who), [face for number in which if (face := self.face(number))]
        if person and faces:
            self.people.move(faces, person)
            self.gave(faces, person)

    @rule(which=st.integers(0, 20), name=st.sampled_from(NAMES))
    def new(self, which: int, name: str | None) -> None:
        face = self.face(which)
        if face is None:
            return
        try:
            new = self.people.new(face, name)
        except NameTakenError:
            return
        self.gave([face], new.person_id)
        self.names[new.person_id] = new.name

    @rule(which=st.integers(0, 20), who=st.integers(0, 9))
    def not_this_person(self, which: int, who: int) -> None:
        face, person = self.face(which), self.person(who)
        if face and person:
            self.people.not_this_person(face, person)
            self.said.add((face, person))
            if self.mine.get(face) == person:
                del self.mine[face]

    @rule(one=st.integers(0, 9), other=st.integers(0, 9))
    def different(self, one: int, other: int) -> None:
        first, second = self.person(one), self.person(other)
        if first and second and first != second:
            self.people.different(first, second)
            self.apart.add(tuple(sorted((first, second))))

    @rule(who=st.integers(0, 9), hidden=st.booleans())
    def hide(self, *, who: int, hidden: bool) -> None:
        if person := self.person(who):
            assert self.people.hide(person, hidden).hidden is hidden

    @rule(who=st.integers(0, 9), which=st.integers(0, 20))
    def cover(self, who: int, which: int) -> None:
        person = self.person(who)
        face = person and self.owned(person, which)
        if face:
            assert self.people.cover(person, face).cover == face

    @rule(which=st.integers(0, 20), allowed=st.booleans())
    def allow_twice(self, *, which: int, allowed: bool) -> None:
        if face := self.face(which):
            self.people.allow_twice(self.library._storage.catalog.people.photo_of([face])[face], allowed)

    # -- what facekit does -------------------------------------------------------------------------------------

    def unharmed(self, action: Callable[[], object], gone: Collection[str] = ()) -> None:
        """People whom the user touched lose no face but those that are gone, and two of them never become one."""
        before = {key: one for key, one in self.everybody().items() if one.settled}
        faces = {key: set(self.library._storage.catalog.people.owners([key])) for key in before}
        action()
        for key, one in before.items():
            now = self.people.get(key)
            assert (now.name, now.hidden) == (one.name, one.hidden)
            assert faces[key].difference(gone) <= set(self.library._storage.catalog.people.owners([key]))

    @rule(method=st.sampled_from(METHODS), people=st.integers(1, 4), accept=st.booleans())
    def cluster(self, *, method: str, people: int, accept: bool) -> None:
        number = people if method == "kmeans" else None
        self.unharmed(lambda: self.people.cluster(method, people=number, accept=accept))

    @rule(which=st.integers(0, 9), accept=st.booleans())
    def decide(self, *, which: int, accept: bool) -> None:
        waiting = [run for run in self.people.runs() if run.state == "proposed"]
        if waiting:
            run = waiting[which % len(waiting)]
            self.unharmed(lambda: self.people.accept(run) if accept else self.people.discard(run))

    @rule()
    def assign(self) -> None:
        self.unharmed(self.people.assign)

    @rule(back=st.integers(0, 5))
    def undo_and_do_again(self, back: int) -> None:
        """Any entry that can be undone is, and doing it again gives back the same state, exactly."""
        entries = [one for one in self.people.journal(1000) if not one.undone]
        if not entries:
            return
        before = state(self.library)
        try:
            undone = self.people.undo(entries[back % len(entries)].number)
        except FacekitError as error:
            refusal = str(error)
        else:
            self.people.undo(undone.number)
            refusal = "can't be undone: Undo first"
        assert "can't be undone" in refusal
        assert "Undo first" in refusal or "by hand" in refusal
        assert state(self.library) == before

    @rule(verb=st.sampled_from(["move", "merge", "name", "hide", "cover", "cluster"]), one=st.integers(0, 9))
    def done_and_undone(self, verb: str, one: int) -> None:
        """What is taken back at once leaves no trace but in the journal."""
        person, face = self.person(one), self.face(one)
        other = self.person(one + 1)
        if person is None or other is None or face is None or person == other:
            return
        before, number = state(self.library), self.people.journal(1)
        if verb == "cluster":
            run = self.people.cluster("dbscan", accept=False)
            before = state(self.library)
            self.people.accept(run)
        else:
            {
                "move": lambda: self.people.move(face, person),
                "merge": lambda: self.people.merge(person, other),
                "name": lambda: self.people.name(person, "for a moment"),
                "hide": lambda: self.people.hide(person),
                "cover": lambda: self.people.cover(person, self.owned(person, one)),
            }[verb]()
        if self.people.journal(1) != number:
            self.people.undo()
        assert state(self.library) == before

    # -- what happens to photos --------------------------------------------------------------------------------

    @precondition(lambda self: self.slow < SLOW)
    @rule(which=st.lists(st.sampled_from([*LATER, ("twice", 0)]), min_size=1, max_size=2))
    def more_photos(self, which: list[tuple[str, int]]) -> None:
        self.slow += 1
        self.family.bring(*("twice.png" if who == "twice" else f"{who}{number}.jpg" for who, number in which))
        self.unharmed(lambda: self.library.ingest(self.family.photos, progress=False))

    @precondition(lambda self: self.slow < SLOW)
    @rule(photo=st.sampled_from(["lagos1.jpg", "wolf1.jpg", "together.png"]), back=st.booleans())
    def photos_go(self, *, photo: str, back: bool) -> None:
        path = self.family.photos / photo
        if not self.library.holds(path):
            return
        shown = {one: row["photo_id"] for _, row in self.library.photos().iterrows() for one in row["paths"]}
        gone = {face.face_id for face in self.library.photo(shown[str(path)]).faces}
        self.unharmed(lambda: self.library.remove(path), gone)
        if back:
            self.slow += 1
            self.unharmed(lambda: self.library.ingest(self.family.photos, progress=False))

    @precondition(lambda self: self.slow < SLOW)
    @rule(photo=st.sampled_from(["lagos2.jpg", "wolf2.jpg", "lopez1.jpg"]), crop=st.booleans())
    def a_file_is_edited(self, *, photo: str, crop: bool) -> None:
        path = self.family.photos / photo
        if not path.exists() or not self.library.holds(path):
            return
        self.slow += 1
        before = self.library._storage.catalog.people.photo_of()
        with PIL.Image.open(path) as image:
            box = (10, 10, image.width - 5, image.height - 5)
            changed = (image.crop(box) if crop else image).convert("RGB")
        changed.save(path, quality=80)
        os.utime(path, (1_600_000_000 + self.slow, 1_600_000_000 + self.slow))
        self.library.ingest(self.family.photos, progress=False)
        self.renamed(before)

    @precondition(lambda self: self.slow < SLOW)
    @rule(photo=st.sampled_from(["lagos3.jpg", "lopez2.jpg"]))
    def a_file_is_moved(self, photo: str) -> None:
        path = self.family.photos / photo
        if path.exists():
            self.slow += 1
            path.rename(path.with_name(f"moved {photo}"))
            self.unharmed(lambda: self.library.ingest(self.family.photos, progress=False))

    @precondition(lambda self: self.slow < SLOW)
    @rule(embedder=st.sampled_from(["sface", "turned"]), detector=st.sampled_from(["yunet", "fine"]))
    def other_models(self, embedder: str, detector: str) -> None:
        self.slow += 1
        before = self.library._storage.catalog.people.photo_of()
        report = self.library.reembed(detector, embedder, progress=False, skip_unreadable=True)
        assert report.switched
        self.renamed(before)

    def renamed(self, before: dict[str, str]) -> None:
        """Follow faces that have another id now."""
        with self.library._storage.catalog._engine.connect() as connection:
            rows = connection.execute(face_aliases.select()).all()
        now = {old: new for old, new, _ in sorted(rows, key=lambda row: row[2]) if old in before}
        self.mine = {now.get(face, face): owner for face, owner in self.mine.items()}
        self.said = {(now.get(face, face), owner) for face, owner in self.said}

    @rule()
    def reopen(self) -> None:
        before = state(self.library)
        self.library.close()
        library = fk.open(self.folder)
        assert isinstance(library, LocalLibrary)
        self.library = library
        assert state(self.library) == before

    # -- what always holds -------------------------------------------------------------------------------------

    @invariant()
    def decisions_hold(self) -> None:
        tables = self.library._storage.catalog.people
        with tables.reading():
            owners, here, known = tables.owners(), tables.photo_of(), self.everybody()
            for person, name in self.names.items():
                if name:
                    assert tables.find(person).name == name
                    assert tables.find(name).person_id == person
            for face, person in self.mine.items():
                assert face not in here or owners.get(face) == person
            for face, person in self.said:
                assert owners.get(face) != person or self.mine.get(face) == person
            assert {(self.called(face), who) for face, who in self.said} == set(tables.rejections())
            assert self.apart == set(tables.differences())
        named = [one.name.casefold() for one in known.values() if one.name]
        assert len(named) == len(set(named))

    def called(self, face: str) -> str:
        """A face's id, or what stands for it while its photo is removed."""
        with self.library._storage.catalog._engine.connect() as connection:
            kept = set(connection.scalars(hidden_ids.select()))
            stand_in = hidden._hashed(hidden._secret(connection), face) if kept else ""
        return stand_in if stand_in in kept else face

    @invariant()
    def nothing_dangles(self) -> None:
        with self.library._storage.catalog._engine.connect() as connection:
            there = set(connection.scalars(persons.select().with_only_columns(persons.c.person_id)))
            for column in (
                members.c.person_id,
                rejections.c.person_id,
                differences.c.person_id,
                differences.c.other_id,
            ):
                assert set(connection.scalars(column.table.select().with_only_columns(column))) <= there
            runs = set(connection.scalars(cluster_runs.select().with_only_columns(cluster_runs.c.run_id)))
            used = connection.scalars(members.select().with_only_columns(members.c.run_id))
            assert {run for run in used if run} <= runs

    @invariant()
    def the_journal_only_grows(self) -> None:
        numbers = [one.number for one in self.people.journal(1000)]
        assert numbers == list(range(len(numbers), 0, -1))
        assert len(numbers) >= self.entries
        self.entries = len(numbers)


def test_every_decision_lasts(
    built_family: Family, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, info in other_models.models().items():
        monkeypatch.setitem(registry.MODELS, name, info)
    Decisions.family, Decisions.scratch, Decisions.places = built_family, tmp_path, places
    run_state_machine_as_test(
        Decisions,
        settings=settings(
            max_examples=2 if places.on_servers else 5,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
