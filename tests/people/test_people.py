"""The verbs on people: what they do, what they refuse and what they say, and that any of them can be taken back."""

from __future__ import annotations

import unicodedata
from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from family import everybody, face, faces, state, whose

from facekit.clustering import METHODS
from facekit.errors import FacekitError, LibraryError, NameTakenError, UnknownIdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from family import Family

    from facekit.library.local import LocalLibrary
    from facekit.people.base import People
    from facekit.types.people import Person

LAGOS = {"lagos1.jpg", "lagos2.jpg", "lagos3.jpg", "lagos4.jpg", "together.png"}
WOLF = {"wolf1.jpg", "wolf2.jpg", "wolf3.jpg", "wolf4.jpg", "together.png"}
LOPEZ = {"lopez1.jpg", "lopez2.jpg", "lopez3.jpg"}


@pytest.fixture
def library(grouped_library: LocalLibrary) -> LocalLibrary:
    """Three people were found by a run; nobody has a name."""
    return grouped_library


@pytest.fixture
def people(library: LocalLibrary) -> People:
    return library.people


def on(library: LocalLibrary, photo: str, number: int = 0) -> Person:
    """Who is on a photo."""
    return library.people.get(str(library.people._tables.owners()[face(library, photo, number)]))


# -- names -------------------------------------------------------------------------------------------------------


def test_a_person_is_found_by_the_name_in_any_case_and_form(library: LocalLibrary, people: People) -> None:
    anna = people.name(on(library, "lopez1.jpg"), "  Алёна   Ёлкина ")
    assert anna.name == "Алёна Ёлкина"
    written = ["алёна ёлкина", "АЛЁНА ЁЛКИНА", "Алёна  Ёлкина", unicodedata.normalize("NFD", "Алёна Ёлкина")]
    for name in (*written, anna.person_id, anna.person_id[:6].upper()):
        assert people.get(name) == anna
        assert people[name] == people.get(anna) == anna
    assert people.page(text=unicodedata.normalize("NFD", "ЁЛК")).people == (anna,)


def test_no_two_people_have_one_name(library: LocalLibrary, people: People) -> None:
    first, second, third = on(library, "lagos1.jpg"), on(library, "wolf1.jpg"), face(library, "together.png", 1)
    for name in ("Анна", "Zoë", "İpek", "ΝΙΚΟΣ", "Strauß", "O'Neil", '"Bob"', "100%_\\", "a;--"):
        people.name(first, name)
        assert people.get(name).person_id == first.person_id
        before = state(library)
        for again in {name, unicodedata.normalize("NFD", name), f" {name} "}:
            for verb in (
                lambda name=again: people.name(second, name),
                lambda name=again: people.split(second, face(library, "wolf1.jpg"), name),
                lambda name=again: people.new(third, name),
            ):
                with pytest.raises(NameTakenError, match="another person called") as refused:
                    verb()
                assert refused.value.person_id == first.person_id
        assert state(library) == before


def test_a_conflict_on_a_photo_that_is_removed_meanwhile_is_left_out(
    library: LocalLibrary, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.not_this_person(face(library, "lagos1.jpg"))
    people.move(face(library, "lagos1.jpg"), on(library, "lagos2.jpg"))
    people.merge(on(library, "lagos2.jpg"), on(library, "wolf1.jpg"))  # both are on together.png
    assert people.conflicts()
    monkeypatch.setattr(type(library._storage.catalog), "places", lambda *_, **__: {})
    assert people.conflicts() == ()


def test_upper_and_lower_case_make_no_other_name(library: LocalLibrary, people: People) -> None:
    anna = people.name(on(library, "lagos1.jpg"), "Анна")
    with pytest.raises(NameTakenError):
        people.name(on(library, "wolf1.jpg"), "АННА")
    assert people.name(anna, "АННА").name == "АННА"  # her own


def test_a_search_among_names_takes_every_letter_as_it_is(library: LocalLibrary, people: People) -> None:
    odd, plain = on(library, "lagos1.jpg"), on(library, "wolf1.jpg")
    people.name(odd, "100%_")
    people.name(plain, "100 percent")
    assert [one.name for one in people.page(text="0%").people] == ["100%_"]
    assert [one.name for one in people.page(text="_").people] == ["100%_"]
    assert people.page(text="100").total == 2
    assert people.page(text="\\").total == 0


def test_names_that_can_not_be_kept_are_refused(library: LocalLibrary, people: People) -> None:
    somebody = on(library, "lagos1.jpg")
    assert people.name(somebody, "n" * 200).name == "n" * 200
    with pytest.raises(FacekitError, match="201 characters is too long"):
        people.name(somebody, "n" * 201)
    for name in ("a\x00b", "a\x1bb", "\ud800"):
        with pytest.raises(FacekitError, match="can't be written"):
            people.name(somebody, name)
        with pytest.raises(UnknownIdError):
            people.get(name)
    assert people.name(somebody, " \n ").name is None
    assert people.name(somebody, None).name is None


def test_a_name_may_look_like_an_id(library: LocalLibrary, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.people.corrections.uuid4", lambda: SimpleNamespace(hex="facade" + "0" * 26))
    stranger = people.new(face(library, "together.png", 1))
    assert people.get("facade") == stranger
    other = people.name(on(library, "lagos1.jpg"), "facade")
    assert people.get("facade") == other
    assert people.get("facade0") == stranger
    third = people.name(on(library, "wolf1.jpg"), stranger.person_id)
    assert people.get(stranger) == people.get(stranger.person_id) == stranger  # whatever others are called
    assert people.get(third.person_id) == third


def test_a_beginning_that_fits_two_is_refused(
    library: LocalLibrary, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for photo, end in (("lagos1.jpg", "1"), ("lagos2.jpg", "2")):
        monkeypatch.setattr(
            "facekit.people.corrections.uuid4", lambda end=end: SimpleNamespace(hex="abcdef" + end * 26)
        )
        people.new(face(library, photo))
    with pytest.raises(UnknownIdError, match="several people") as refused:
        people.get("abcdef")
    assert "more of the id" in str(refused.value)
    assert people.get("abcdef1").person_id == "abcdef" + "1" * 26
    for unknown in ("abcde", "", "%", "ffffff_", "Nobody"):
        with pytest.raises(UnknownIdError, match="There is no person"):
            people.get(unknown)


# -- corrections -------------------------------------------------------------------------------------------------


def test_faces_are_named_exactly(library: LocalLibrary, people: People) -> None:
    before = state(library)
    for verb in (people.new, lambda some: people.move(some, on(library, "lagos1.jpg")), people.not_this_person):
        with pytest.raises(UnknownIdError, match="No face was named"):
            verb([])
        with pytest.raises(UnknownIdError, match="has no face 'nobody'"):
            verb([face(library, "lopez1.jpg"), "nobody"])
    assert state(library) == before
    once = face(library, "lopez1.jpg")
    assert people.new([once, once]).faces == 1
    assert people.journal()[0].words == "1 face: somebody new"


def test_merging_takes_faces_and_a_name(library: LocalLibrary, people: People) -> None:
    lagos, wolf, lopez = (on(library, f"{who}1.jpg") for who in ("lagos", "wolf", "lopez"))
    people.name(wolf, "Paul")
    one = people.merge(lagos, wolf, lopez)
    assert (one.person_id, one.name, one.faces, one.photos) == (lagos.person_id, "Paul", 13, 12)
    for gone in (wolf, lopez):
        with pytest.raises(UnknownIdError):
            people.get(gone)
    assert len(people) == 1
    for others in ((), (one,), (one.person_id, "paul")):
        with pytest.raises(FacekitError, match="nobody to merge"):
            people.merge(one, *others)


def test_merges_on_merges_come_apart_again_in_any_state(library: LocalLibrary, people: People) -> None:
    states = [state(library)]
    for who in ("wolf1.jpg", "lopez1.jpg"):
        people.merge(on(library, "lagos1.jpg"), on(library, who))
        states.append(state(library))
    for number, expected in ((None, states[1]), (None, states[0])):
        people.undo(number)
        assert state(library) == expected
    assert whose(library).keys() == {one.person_id for one in people}


def test_a_merge_does_not_forget_that_a_face_was_refused(library: LocalLibrary, people: People) -> None:
    lagos, wolf, lopez = (on(library, f"{who}1.jpg") for who in ("lagos", "wolf", "lopez"))
    wrong, stranger = face(library, "lopez1.jpg"), face(library, "together.png", 1)
    people.not_this_person(wrong, lagos)
    for who in (wolf, lopez, lagos):
        people.not_this_person(stranger, who)
    people.not_this_person(face(library, "together.png", 2))
    one = people.merge(lagos, wolf, lopez)
    assert [(conflict.kind, conflict.face_ids) for conflict in people.conflicts()] == [("rejected", (wrong,))]
    assert "once more if that is right" in people.conflicts()[0].words
    assert face(library, "together.png", 1) not in set(people.to_frame()["face_id"])
    people.move(wrong, one)
    assert people.conflicts() == ()
    people.assign()
    assert stranger not in set(people.to_frame()["face_id"])


def test_splitting_makes_somebody_new_and_says_that_they_differ(library: LocalLibrary, people: People) -> None:
    lagos = people.name(on(library, "lagos1.jpg"), "Ricardo")
    twin = people.split("ricardo", faces(library, "lagos2.jpg", "lagos3.jpg"), "Twin")
    assert whose(library)["Twin"] == {"lagos2.jpg", "lagos3.jpg"}
    assert whose(library)["Ricardo"] == LAGOS - {"lagos2.jpg", "lagos3.jpg"}
    said = people.constraints()
    pair = said[said["kind"] == "different"][["person_id", "other_person_id"]].to_numpy().tolist()
    assert pair == [sorted([lagos.person_id, twin.person_id])]
    assert (lagos.person_id, twin.person_id) not in {
        (one.first.person_id, one.second.person_id) for one in people.duplicates()
    }
    with pytest.raises(FacekitError, match="Not all of these faces are with Twin"):
        people.split(twin, face(library, "lagos1.jpg"))
    with pytest.raises(FacekitError, match="all faces of Twin"):
        people.split(twin, faces(library, "lagos2.jpg", "lagos3.jpg"))


def test_a_face_is_one_person_s_only(library: LocalLibrary, people: People) -> None:
    moved = face(library, "wolf1.jpg")
    for target in ("lagos1.jpg", "lopez1.jpg"):
        person = people.move(moved, on(library, target))
        frame = people.to_frame()
        assert frame[frame["face_id"] == moved]["person_id"].tolist() == [person.person_id]
        assert frame[frame["face_id"] == moved]["origin"].tolist() == ["user"]


def test_a_refused_face_never_comes_back_by_itself(library: LocalLibrary, people: People) -> None:
    lagos, refused = on(library, "lagos1.jpg"), face(library, "lagos1.jpg")
    people.not_this_person(refused)
    for method in METHODS:
        people.cluster(method, people=4 if method == "kmeans" else None)
        people.assign()
        frame = people.to_frame()
        assert lagos.person_id not in set(frame[frame["face_id"] == refused]["person_id"])
    assert people.move(refused, lagos).faces == 5  # but by the user
    people.cluster()
    assert people.get(lagos).faces == 5


def test_nobody_is_not_a_person(library: LocalLibrary, people: People) -> None:
    with pytest.raises(FacekitError, match="nobody's") as refused:
        people.not_this_person(face(library, "together.png", 1))
    assert "whom they do not show" in str(refused.value)
    with pytest.raises(FacekitError, match="can't be different from"):
        people.different(on(library, "lagos1.jpg"), on(library, "lagos2.jpg"))


def test_who_lost_all_faces_is_listed_while_there_is_a_name(library: LocalLibrary, people: People) -> None:
    lopez, wolf = on(library, "lopez1.jpg"), people.name(on(library, "wolf1.jpg"), "Paul")
    people.not_this_person(faces(library, *sorted(LOPEZ)))
    people.move([row.face_id for row in people._tables.members([wolf.person_id])], on(library, "lagos1.jpg"))
    assert [(one.label, one.faces) for one in people] == [("Paul", 0), (on(library, "lagos1.jpg").label, 10)]
    assert people.get(lopez).faces == 0  # what was said of her is kept
    assert library.stats()["people"] == 2
    people.cluster()
    assert people.get("Paul").person_id == wolf.person_id


def test_hidden_people_keep_their_faces_and_are_out_of_the_list(library: LocalLibrary, people: People) -> None:
    wolf = people.hide(on(library, "wolf1.jpg"))
    assert wolf.hidden
    assert wolf.person_id not in {one.person_id for one in people}
    assert everybody(library, hidden=True) == (wolf,)
    frame = people.to_frame()
    assert frame[frame["hidden"]]["person_id"].unique().tolist() == [wolf.person_id]
    people.cluster("dbscan")
    assert people.get(wolf).faces == 5
    people.hide(wolf, hidden=False)
    assert len(people) == 3


def test_a_cover_is_the_person_s_own_face(library: LocalLibrary, people: People) -> None:
    lagos, mine = on(library, "lagos1.jpg"), face(library, "lagos2.jpg")
    first = lagos.cover
    with pytest.raises(FacekitError, match="not with"):
        people.cover(lagos, face(library, "wolf1.jpg"))
    assert people.cover(lagos, mine).cover == mine
    people.move(mine, on(library, "wolf1.jpg"))
    assert people.get(lagos).cover != mine
    people.move(mine, lagos)
    assert people.get(lagos).cover == mine
    assert people.cover(lagos, None).cover == first


def test_a_person_twice_on_a_photo_is_a_conflict_until_it_is_allowed(library: LocalLibrary, people: People) -> None:
    lagos, other = on(library, "lagos1.jpg"), face(library, "together.png", 2)
    people.move(other, lagos)
    (conflict,) = people.conflicts()
    assert (conflict.kind, conflict.person.person_id) == ("same_photo", lagos.person_id)
    assert "is 2 times on" in conflict.words
    assert people.cluster().conflicts == (conflict.words,)
    people.allow_twice(conflict.photo_id)
    assert people.conflicts() == ()
    people.allow_twice(conflict.photo_id, allowed=False)
    assert len(people.conflicts()) == 1
    with pytest.raises(UnknownIdError):
        people.allow_twice("no such photo")


# -- runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_run_takes_nothing_from_whom_the_user_touched(library: LocalLibrary, people: People, method: str) -> None:
    people.name(on(library, "lopez1.jpg"), "Jennifer")
    people.split(on(library, "lagos1.jpg"), face(library, "lagos1.jpg"), "Twin")
    people.move(face(library, "wolf1.jpg"), "Jennifer")
    before = whose(library)
    people.cluster(method, people=3 if method == "kmeans" else None)
    after = whose(library)
    assert before["Twin"] <= after["Twin"]
    assert before["Jennifer"] == LOPEZ | {"wolf1.jpg"} <= after["Jennifer"]
    lagos = on(library, "lagos2.jpg").person_id
    assert on(library, "lagos1.jpg").name == "Twin"
    assert after[lagos] >= LAGOS - {"lagos1.jpg"}


def test_ids_of_unnamed_people_last_when_nothing_changed(library: LocalLibrary, people: People) -> None:
    before = whose(library)
    people.cluster()
    assert whose(library) == before


def test_a_proposal_changes_nothing_until_it_is_accepted(library: LocalLibrary, people: People) -> None:
    before = whose(library)
    run = people.cluster("kmeans", people=2, accept=False)
    assert (run.state, whose(library)) == ("proposed", before)
    assert people.compare(run).faces == 15
    people.name(on(library, "wolf1.jpg"), "Paul")
    people.name(on(library, "lopez1.jpg"), "Jennifer")
    people.name(on(library, "lagos1.jpg"), "Ricardo")
    assert people.accept(run).state == "accepted"  # and takes nothing from those who got a name meanwhile
    assert whose(library) == {"Paul": WOLF, "Jennifer": LOPEZ, "Ricardo": LAGOS}
    with pytest.raises(FacekitError, match="accepted already"):
        people.accept(run)
    with pytest.raises(FacekitError, match="can't be thrown away"):
        people.discard(run)
    with pytest.raises(UnknownIdError, match="no run"):
        people.accept("nothing")


def test_a_proposal_is_thrown_away_and_brought_back(library: LocalLibrary, people: People) -> None:
    run = people.cluster("dbscan", accept=False)
    people.discard(run)
    assert [one.state for one in people.runs() if one.run_id == run.run_id] == ["discarded"]
    people.undo()
    assert people.accept(run.run_id[:6]).state == "accepted"


def test_a_proposal_made_when_a_photo_might_show_a_face_twice(library: LocalLibrary, people: People) -> None:
    together = library.photo_page().photos
    photo = next(one.photo_id for one in together if one.path.endswith("together.png"))
    people.allow_twice(photo)
    run = people.cluster("kmeans", people=1, accept=False)
    people.allow_twice(photo, allowed=False)
    people.accept(run)
    assert people.conflicts() == ()


def test_a_stopped_clustering_changes_nothing(library: LocalLibrary, people: People) -> None:
    before, journal = state(library), people.journal()
    stop = Event()
    stop.set()
    with pytest.raises(FacekitError):
        people.cluster(stop=stop)
    assert (state(library), people.journal()) == (before, journal)
    people.cluster()  # and nothing is left locked


def test_the_acceptance_of_a_run_is_undone_when_nothing_builds_on_it(library: LocalLibrary, people: People) -> None:
    accepted = people.journal()[0].number
    people.name(on(library, "lagos1.jpg"), "Ricardo")
    people.move(face(library, "wolf1.jpg"), "Ricardo")
    before = state(library)
    with pytest.raises(FacekitError, match="something done later builds on it") as refused:
        people.undo(accepted)
    assert "Undo first, in this order: 3 (1 face: this is Ricardo); 2 (" in str(refused.value)
    assert state(library) == before
    for _ in range(3):
        people.undo()
    assert (whose(library), len(people), people.runs()[0].state) == ({}, 0, "proposed")


# -- the journal -------------------------------------------------------------------------------------------------

VERBS: list[Callable[[LocalLibrary, People], object]] = [
    lambda library, people: people.name(on(library, "lagos1.jpg"), "Ricardo"),
    lambda library, people: people.merge(on(library, "lagos1.jpg"), on(library, "wolf1.jpg")),
    lambda library, people: people.split(on(library, "wolf1.jpg"), faces(library, "wolf2.jpg"), "Twin"),
    lambda library, people: people.move(faces(library, "wolf1.jpg"), on(library, "lopez1.jpg")),
    lambda library, people: people.new(faces(library, "wolf1.jpg", "lagos1.jpg"), "Both"),
    lambda library, people: people.not_this_person(face(library, "wolf1.jpg")),
    lambda library, people: people.different(on(library, "lagos1.jpg"), on(library, "lopez1.jpg")),
    lambda library, people: people.hide(on(library, "lagos1.jpg")),
    lambda library, people: people.cover(on(library, "lagos1.jpg"), face(library, "lagos3.jpg")),
    lambda library, people: people.allow_twice(library.photo_page().photos[0].photo_id),
]


def test_everything_is_undone_and_done_again(library: LocalLibrary, people: People) -> None:
    proposal = people.cluster("kmeans", people=2, accept=False)
    before = state(library)
    for verb in (*VERBS, lambda library, people: people.accept(proposal)):
        verb(library, people)
        after, done = state(library), people.journal()[0]
        assert after != before
        taken_back = people.undo()
        assert (state(library), taken_back.words) == (before, f"undone: {done.words}")
        assert [one.undone for one in people.journal()[:2]] == [False, True]
        again = people.undo(taken_back.number)
        assert (state(library), again.words) == (after, f"done again: {done.words}")
        once_more = people.undo(again.number)
        assert (state(library), once_more.words) == (before, f"undone: {done.words}")
        assert [one.undone for one in people.journal()[:4]] == [False, True, False, True]
        with pytest.raises(FacekitError, match="undone already"):
            people.undo(done.number)


def test_the_last_thing_that_was_not_undone_is_undone_next(library: LocalLibrary, people: People) -> None:
    lagos = on(library, "lagos1.jpg")
    for name in ("One", "Two", "Three"):
        people.name(lagos, name)
    assert [people.undo() and people.get(lagos).name for _ in range(3)] == ["Two", "One", None]
    people.undo()  # the run
    with pytest.raises(FacekitError, match="nothing to undo"):
        people.undo()
    with pytest.raises(UnknownIdError, match="no entry 99"):
        people.undo(99)


def test_what_changes_nothing_is_not_written_down(library: LocalLibrary, people: People) -> None:
    lagos = people.name(on(library, "lagos1.jpg"), "Ricardo")
    before = people.journal()
    people.name(lagos, "Ricardo")
    people.hide(lagos, hidden=False)
    people.cover(lagos, None)
    people.assign()
    assert people.journal() == before


def test_an_undo_gives_nobody_the_name_of_somebody_else(library: LocalLibrary, people: People) -> None:
    lagos, wolf = people.name(on(library, "lagos1.jpg"), "Anna"), on(library, "wolf1.jpg")
    people.name(lagos, "Maria")
    renamed = people.journal()[0].number
    people.name(wolf, "ANNA")
    with pytest.raises(FacekitError, match="can't be undone") as refused:
        people.undo(renamed)
    assert f"Undo first, in this order: {renamed + 1} (" in str(refused.value)
    assert {one.name for one in people if one.name} == {"Maria", "ANNA"}
    people.merge(lagos, wolf)
    merged = people.journal()[0].number
    people.name(on(library, "lopez1.jpg"), "Anna")
    with pytest.raises(FacekitError, match="can't be undone"):
        people.undo(merged)
    people.undo()
    people.undo(merged)
    assert {one.name for one in people if one.name} == {"Maria", "ANNA"}


def test_an_older_naming_is_undone_under_a_merge_where_that_is_clear(library: LocalLibrary, people: People) -> None:
    lagos, wolf = on(library, "lagos1.jpg"), on(library, "wolf1.jpg")
    people.name(lagos, "Ricardo")
    people.name(wolf, "Paul")
    people.merge(lagos, wolf)
    with pytest.raises(FacekitError, match=r"Undo first, in this order: 4 \(Ricardo and Paul are one person\)\."):
        people.undo(3)  # who is gone has no name to lose
    people.undo(2)
    assert people.get(lagos).name is None
    people.undo(4)
    assert (people.get(lagos).name, people.get(wolf).name) == (None, "Paul")


def test_the_journal_says_who_did_what(library: LocalLibrary) -> None:
    library.people_as("ivan").name(on(library, "lagos1.jpg"), "Ricardo")
    library.people_as("anna").undo()
    assert [(one.user, one.verb) for one in library.people.journal(2)] == [("anna", "undo"), ("ivan", "name")]


def test_photos_that_are_gone_keep_what_was_said(library: LocalLibrary, people: People, family: Family) -> None:
    lagos = people.name(on(library, "lagos1.jpg"), "Ricardo")
    gone = face(library, "lagos1.jpg")
    library.remove(family.photos / "lagos1.jpg")
    assert people.get(lagos).faces == 4
    with pytest.raises(UnknownIdError):
        people.move(gone, on(library, "wolf1.jpg"))
    people.merge(on(library, "wolf1.jpg"), lagos)
    with pytest.raises(FacekitError, match="all faces"):
        people.split("Ricardo", [row.face_id for row in people._tables.members([people.get("Ricardo").person_id])])
    library.ingest(family.photos, progress=False)
    assert on(library, "lagos1.jpg").name == "Ricardo"
    assert people.get("Ricardo").faces == 10
    library.remove(family.photos / "lagos1.jpg")
    people.undo()
    library.ingest(family.photos, progress=False)
    assert whose(library)["Ricardo"] == LAGOS
    library.remove(family.photos)
    assert [(one.name, one.faces) for one in people] == [("Ricardo", 0)]
    library.ingest(family.photos, progress=False)
    assert whose(library)["Ricardo"] == LAGOS


def test_a_closed_library_s_people_say_so(library: LocalLibrary, people: People) -> None:
    lagos = on(library, "lagos1.jpg")
    library.close()
    for verb in (lambda: people.name(lagos, "Ricardo"), people.undo, people.review, people.cluster, people.page):
        with pytest.raises(LibraryError, match="is closed"):
            verb()
