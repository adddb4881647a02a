"""People as cards, one by one and as questions: real faces, real clusters, in Python and in a browser."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("anywidget")

from browser import overflow, until, violations
from statements import statements

import facekit as fk
from facekit.people.local import LocalPeople
from facekit.widgets import Gallery, LibraryPanel, PeoplePanel
from facekit.widgets.tiles import PhotoTiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from facekit.library.base import Library
    from facekit.types.people import Person
    from facekit.types.photos import Photo
    from facekit.widgets.base import Widget

CROWD = ("Alvaro_Uribe", "Amelie_Mauresmo", "Andy_Roddick", "Angelina_Jolie", "Ali_Naimi")


def press(widget: Widget, **content: Any) -> None:
    """What the browser sends."""
    widget._handle_custom_msg(content, [])


def photos_of(library: Library, name: str) -> list[Photo]:
    return [one for one in library.photo_page("ok", limit=200).photos if name in one.path]


def person_of(library: Library, name: str) -> Person:
    """Who is on most photos that the data set gives this name."""
    owners = [photo.faces[0].person_id for photo in photos_of(library, name)]
    known = [one for one in owners if one]
    return library.people.get(max(known, key=known.count))


def face_ids(library: Library, name: str) -> list[str]:
    """The largest face of each photo of somebody."""
    return [photo.faces[0].face_id for photo in photos_of(library, name)]


@pytest.fixture
def known(crowd_library: Library) -> Library:
    """The library when its people were found; Amelie and Andy have names."""
    crowd_library.people.cluster()
    crowd_library.people.name(person_of(crowd_library, "Amelie"), "Amélie")
    crowd_library.people.name(person_of(crowd_library, "Andy"), "Andy")
    return crowd_library


@pytest.fixture
def halves(crowd_library: Library) -> Library:
    """Two faces of each are known, so that there is much to ask; Angelina is two people by mistake."""
    for name in CROWD:
        faces = face_ids(crowd_library, name)
        crowd_library.people.new(faces[:2], name.replace("_", " "))
    crowd_library.people.new(face_ids(crowd_library, "Angelina")[2:4], "Angie")
    return crowd_library


def said(panel: PeoplePanel) -> tuple[str, dict[str, Any]]:
    assert panel.journal is not None
    return panel.journal.last.get("key", "").removeprefix("peoplejournal.did."), panel.journal.last.get("values", {})


def undo_last(panel: PeoplePanel) -> None:
    assert panel.journal is not None
    press(panel.journal, kind="undo", number=panel.journal.last["number"])


def names(panel: PeoplePanel) -> list[str | None]:
    return [one["name"] for one in panel.cards.people]


# -- cards -------------------------------------------------------------------------------------------------------------


def test_people_are_found_with_a_button_and_that_can_be_taken_back(crowd_library: Library) -> None:
    panel = crowd_library.people.show()
    assert isinstance(panel, PeoplePanel)
    assert (panel.cards.total, panel.cards.empty) == (0, "peoplecards.nobody")
    press(panel.cards, kind="find")
    panel.cards.wait()
    assert not panel.cards.running
    assert panel.cards.problem == {}
    assert panel.cards.total == len(CROWD)
    assert said(panel)[0] == "accept"
    assert said(panel)[1]["count"] == len(CROWD)
    assert all(panel.cards.thumbs)
    undo_last(panel)
    assert (panel.cards.total, panel.cards.empty) == (0, "peoplecards.nobody")


def test_a_search_for_people_that_is_stopped_changes_nothing(crowd_library: Library) -> None:
    panel = PeoplePanel(crowd_library)
    panel.cards.find()
    press(panel.cards, kind="cancel")
    panel.cards.wait()
    assert (panel.cards.running, panel.cards.stopping, panel.cards.problem) == (False, False, {})
    panel.refresh()
    assert panel.cards.total in {0, len(CROWD)}  # it may have been done by then
    assert len(crowd_library.people) == panel.cards.total


def test_a_library_without_photos_says_to_add_some(tmp_path: Path) -> None:
    with fk.open(tmp_path / "empty") as library:
        assert PeoplePanel(library).cards.empty == "peoplecards.no_faces"


def test_named_people_come_first_and_are_found_by_name(known: Library) -> None:
    cards = PeoplePanel(known).cards
    assert set(names(PeoplePanel(known))[:2]) == {"Amélie", "Andy"}
    cards.text = "ndy"
    assert [one["name"] for one in cards.people] == ["Andy"]
    cards.text = "nobody at all"
    assert cards.empty == "peoplecards.no_match"
    cards.text, cards.hidden = "", True
    assert cards.empty == "peoplecards.nobody_hidden"


def test_a_page_of_people_is_what_is_read(known: Library) -> None:
    cards = PeoplePanel(known).cards
    cards.page_size = 2
    cards.refresh()
    assert (len(cards.people), cards.total) == (2, 5)
    cards.page = 2
    assert len(cards.people) == 1
    last = cards.people[0]["id"]
    cards.selected = [last, cards._library.people["Andy"].person_id]
    press(cards, kind="merge", ids=cards.selected)
    assert (cards.page, len(cards.people), cards.total) == (1, 2, 4)  # the last page is gone


def test_of_several_names_one_is_asked_for(known: Library) -> None:
    panel = PeoplePanel(known)
    ids = [person_of(known, name).person_id for name in ("Ali", "Amelie", "Andy")]
    panel.cards.selected = ids
    press(panel.cards, kind="merge", ids=ids)
    assert {one["name"] for one in panel.cards.question} == {"Amélie", "Andy"}
    assert len(known.people) == 5
    press(panel.cards, kind="keep", id="")
    assert (panel.cards.question, len(known.people)) == ([], 5)
    press(panel.cards, kind="merge", ids=ids)
    press(panel.cards, kind="keep", id=known.people["Andy"].person_id)
    assert (len(known.people), panel.cards.total, panel.cards.selected) == (3, 3, [])
    assert known.people["Andy"].faces == sum(person.faces for person in known.people if person.name)
    undo_last(panel)
    assert len(known.people) == 5
    assert known.people["Amélie"].person_id == ids[1]


def test_contradictions_are_listed_and_may_be_allowed(known: Library) -> None:
    photo = next(one for one in known.photo_page("ok", limit=200).photos if len(one.faces) > 1)
    known.people.move([face.face_id for face in photo.faces[:2]], "Andy")
    panel = PeoplePanel(known)
    [conflict] = [one for one in panel.cards.conflicts if one["photo_id"] == photo.photo_id]
    assert (conflict["kind"], conflict["count"], conflict["person"]["name"]) == ("same_photo", 2, "Andy")
    assert "/" not in conflict["photo"]
    press(panel.cards, kind="allow", photo_id=photo.photo_id, photo=conflict["photo"])
    assert panel.cards.conflicts == []


# -- one person --------------------------------------------------------------------------------------------------------


def open_person(library: Library, name: str) -> PeoplePanel:
    panel = PeoplePanel(library)
    press(panel.cards, kind="open", id=person_of(library, name).person_id)
    assert panel.cards.problem == {}
    return panel


def test_a_persons_faces_come_the_most_typical_first_and_the_photos_with_a_name_on_the_face(known: Library) -> None:
    panel = open_person(known, "Andy")
    assert (panel.person.person["name"], panel.gallery.kind) == ("Andy", "faces")
    values = [tile["similarity"] for tile in panel.gallery.tiles]
    assert values == sorted(values, reverse=True)
    assert len(values) == panel.person.person["faces"] > 3
    panel._shows.chosen = "person_photos"
    assert panel.gallery.kind == "photos"
    for tile in panel.gallery.tiles:
        assert tile["names"][tile["chosen"]] == "Andy"
        assert "Andy_Roddick" in tile["label"]


def test_a_name_is_given_with_few_questions_to_the_database(known: Library) -> None:
    panel = open_person(known, "Ali")
    faces, thumbs = panel.gallery.tiles, panel.gallery.thumbs
    with statements() as asked:
        press(panel.person, kind="name", name="Ali")
    assert len(asked) <= 8
    assert (panel.person.person["name"], said(panel)) == ("Ali", ("name", {"name": "Ali"}))
    assert (panel.gallery.tiles, panel.gallery.thumbs) == (faces, thumbs)
    panel._shows.chosen = "person_photos"
    press(panel.person, kind="name", name="Алёна")
    assert {tile["names"][tile["chosen"]] for tile in panel.gallery.tiles} == {"Алёна"}
    undo_last(panel)
    assert panel.person.person["name"] == "Ali"
    panel.close_person()
    assert "Ali" in names(panel)


def test_a_name_that_somebody_has_offers_to_merge(known: Library) -> None:
    panel = open_person(known, "Ali")
    alone = panel.person.person["faces"]
    press(panel.person, kind="name", name="  andy ")
    assert panel.person.taken["name"] == "Andy"
    assert panel.person.problem == {}
    press(panel.person, kind="merge", id=panel.person.taken["id"], keep=panel.person.taken["id"])
    assert panel.person.person["name"] == "Andy"
    assert panel.person.person["faces"] == panel.gallery.total > alone
    undo_last(panel)
    assert panel.person.person["faces"] == panel.gallery.total
    assert len(known.people) == 5


def test_faces_are_taken_off_moved_and_split_off(known: Library) -> None:
    panel = open_person(known, "Andy")
    keys = [tile["key"] for tile in panel.gallery.tiles]

    def choose(*faces: str) -> None:
        panel.gallery.selected = list(faces)
        assert panel.person.selected == list(faces)

    choose(keys[0])
    press(panel.person, kind="cover")
    assert known.people["Andy"].cover == keys[0]
    choose(keys[-1])
    press(panel.person, kind="not")
    assert panel.gallery.selected == panel.person.selected == []
    assert panel.gallery.total == len(keys) - 1
    choose(keys[1])
    press(panel.person, kind="find", text="am")
    [other] = panel.person.matches["people"]
    assert other["name"] == "Amélie"
    press(panel.person, kind="move", id=other["id"])
    assert said(panel) == ("move", {"name": "Amélie", "count": 1})
    choose(keys[2])
    press(panel.person, kind="split_named", name="Jim")
    assert known.people["Jim"].faces == 1
    assert panel.person.person["faces"] == panel.gallery.total == len(keys) - 3
    for _ in range(3):
        assert panel.journal is not None
        done = next(
            one for one in known.people.journal() if not one.undone and one.verb in {"move", "split", "not_this_person"}
        )
        press(panel.journal, kind="undo", number=done.number)
    assert panel.gallery.total == len(keys)


def test_the_undo_button_takes_back_what_was_done_here_and_not_what_somebody_did_at_the_same_time(
    known: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, others = open_person(known, "Ali"), person_of(known, "Amelie")
    name = LocalPeople.name

    def name_while_somebody_else_does(people: LocalPeople, *given: Any) -> Person:
        person = name(people, *given)
        name(known.people_as("bob"), others, "Mauresmo")  # type: ignore[attr-defined]
        return person

    monkeypatch.setattr(LocalPeople, "name", name_while_somebody_else_does)
    press(panel.person, kind="name", name="Naimi")
    assert {"Naimi", "Mauresmo"} <= {one.name for one in known.people.page(named=True).people}
    undo_last(panel)
    assert {"Andy", "Mauresmo"} == {one.name for one in known.people.page(named=True).people}


def test_a_person_who_is_gone_is_left(known: Library) -> None:
    panel = open_person(known, "Andy")
    panel.gallery.selected = [panel.gallery.tiles[0]["key"]]
    press(panel.person, kind="split")
    new = next(one for one in known.people if one.faces == 1)
    panel.open_person(new.person_id)
    assert panel._pages["person"].layout.display is None
    undo_last(panel)
    assert panel._pages["person"].layout.display == "none"
    assert panel.cards.layout.display is None
    assert panel.cards.total == 5


def test_hidden_people_are_left_out_until_they_are_asked_for(known: Library) -> None:
    panel = open_person(known, "Andy")
    press(panel.person, kind="hide", hidden=True)
    assert panel.person.person["hidden"]
    press(panel.person, kind="back")
    assert "Andy" not in names(panel)
    panel.cards.hidden = True
    assert names(panel) == ["Andy"]
    undo_last(panel)
    assert names(panel) == []


def test_people_who_may_be_one_are_shown_and_settled(halves: Library) -> None:
    panel = PeoplePanel(halves)
    panel.open_person(halves.people["Angie"].person_id)
    first = panel.person.duplicates[0]
    assert first["name"] == "Angelina Jolie"
    press(panel.person, kind="different", id=first["id"])
    assert "Angelina Jolie" not in [one["name"] for one in panel.person.duplicates]
    undo_last(panel)
    press(panel.person, kind="merge", id=first["id"], keep=first["id"])
    assert (panel.person.person["name"], panel.person.person["faces"]) == ("Angelina Jolie", 4)


def test_faces_that_stand_out_are_selected_together(known: Library) -> None:
    strangers = face_ids(known, "Ali")[:1]
    known.people.move(strangers, "Andy")
    panel = open_person(known, "Andy")
    assert panel.person.outliers[0] == strangers[0]
    marked = {tile["key"] for tile in panel.gallery.tiles if tile["note_key"] == "gallery.stands_out"}
    assert marked == set(panel.person.outliers)
    panel.gallery.page_size = 2
    panel.gallery.refresh()
    panel.person.set_state({"selected": strangers})
    assert panel.gallery.selected == strangers
    assert strangers[0] in [tile["key"] for tile in panel.gallery.tiles]  # the page was turned to it


def test_an_undo_that_something_stands_in_the_way_of_says_what(known: Library) -> None:
    panel = open_person(known, "Andy")
    assert panel.journal is not None
    panel.journal.opened = True
    first = next(one for one in panel.journal.entries if one["verb"] == "accept")
    press(panel.journal, kind="undo", number=first["number"])
    assert panel.journal.problem["key"] == "error.said"
    assert panel.journal.problem["values"]["message"]
    assert known.people["Andy"].faces


# -- questions ---------------------------------------------------------------------------------------------------------


def test_questions_are_answered_skipped_and_taken_back(halves: Library) -> None:
    panel = PeoplePanel(halves)
    panel._views.chosen = "people_review"
    review = panel.review
    assert review is not None
    waiting = review.waiting
    assert waiting > 5
    assert len(review.items) == 3
    asked = next(item for item in review.items if item["kind"] == "face")
    assert all(asked["pictures"])
    assert all(asked["candidates"][0]["pictures"])
    faces = halves.people.get(asked["candidates"][0]["id"]).faces
    press(review, kind="answer", id=asked["id"], answer="yes")
    assert halves.people.get(asked["candidates"][0]["id"]).faces == faces + 1
    assert (review.decided, review.can_undo) == (1, True)
    assert asked["id"] not in [item["id"] for item in review.items]
    press(review, kind="undo")
    assert halves.people.get(asked["candidates"][0]["id"]).faces == faces
    assert (review.decided, review.items[0]["id"]) == (0, asked["id"])
    press(review, kind="answer", id=asked["id"], answer="no")
    assert said(panel)[0] == "not_this_person"
    skipped = review.items[0]["id"]
    press(review, kind="answer", id=skipped, answer="skip")
    review.refresh()
    assert skipped not in [item["id"] for item in review.items]


def test_two_people_with_names_are_merged_under_the_one_that_is_chosen(halves: Library) -> None:
    review = PeoplePanel(halves).review
    assert review is not None
    review.refresh()
    while not (review.items[0]["kind"] == "merge" and "Angie" in _names(review.items[0])):
        press(review, kind="answer", id=review.items[0]["id"], answer="skip")
    asked = review.items[0]
    press(review, kind="answer", id=asked["id"], answer="yes", candidate=1)
    assert halves.people[asked["person"]["name"]].faces == 4
    assert len(halves.people) == len(CROWD)
    press(review, kind="undo")
    assert len(halves.people) == len(CROWD) + 1


def _names(item: dict[str, Any]) -> set[str]:
    return {item["person"]["name"], item["candidates"][0]["name"]}


def test_questions_that_can_not_be_had_are_asked_for_again(halves: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = PeoplePanel(halves)

    def fail(*_arguments: Any) -> None:
        message = "The service does not answer."
        raise fk.FacekitError(message, "Try again.")

    with monkeypatch.context() as broken:
        broken.setattr(type(halves.people), "review", fail)
        panel._views.chosen = "people_review"
    assert panel._views.problem["key"] == "error.said"
    assert panel._views.chosen == "people_cards"
    assert panel.cards.layout.display is None
    panel._views.chosen = "people_review"
    assert (panel._views.problem, panel.cards.layout.display) == ({}, "none")
    assert panel.review
    assert panel.review.items


# -- where it is shown -------------------------------------------------------------------------------------------------


class Visitor:
    """The library as somebody with these scopes sees it."""

    def __init__(self, library: Library, *scopes: str) -> None:
        self._library = library
        self.identity = SimpleNamespace(name="vi", role="viewer", scopes=scopes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def test_a_viewer_sees_people_and_can_change_nothing(known: Library, show: Callable[..., Page]) -> None:
    visitor: Any = Visitor(known, "read", "search")
    panel = PeoplePanel(visitor)
    assert (panel.journal, panel.review) == (None, None)
    page = show(panel.cards)
    assert page.get_by_role("button", name="Find people").count() == 0
    assert page.get_by_role("checkbox").count() == 1  # hidden people
    page.get_by_role("button", name="Amélie").click()
    until(page, lambda: panel.person.person)
    page = show(panel.person)
    assert page.get_by_role("heading", name="Amélie").is_visible()
    assert page.get_by_role("textbox").count() == 0
    assert page.get_by_role("button").all_inner_texts() == ["‹ Everybody"]


def test_the_librarys_panel_has_a_page_of_people(known: Library) -> None:
    panel = LibraryPanel(known)
    panel.bar.language = "ru"
    panel.bar.chosen = "people"
    assert panel.people.cards.language == panel.people.person.language == "ru"
    assert panel.people.cards.total == 5
    panel.refresh()
    assert panel.people.cards.problem == {}


def test_without_a_front_end_people_are_a_small_table_of_faces(known: Library) -> None:
    bundle = PeoplePanel(known)._repr_mimebundle_()
    assert bundle is not None
    html = bundle["text/html"]
    assert html.count("data:image/jpeg") == 5
    assert "Amélie" in html
    assert len(html) < 100_000


def test_names_are_on_the_boxes_of_the_gallery_and_of_its_large_view(known: Library, show: Callable[..., Page]) -> None:
    gallery = Gallery(PhotoTiles(known, person=known.people["Andy"].person_id))
    page = show(gallery)
    tile = page.get_by_role("option").first
    tag = tile.locator(".fk-tag", has_text="Andy")
    tag.wait_for()
    box = tile.locator("rect.fk-box.fk-chosen")
    place, under = box.bounding_box(), tag.bounding_box()
    assert place
    assert under
    assert abs(place["x"] + place["width"] / 2 - under["x"] - under["width"] / 2) < 2
    assert 0 <= under["y"] - place["y"] - place["height"] < 6
    tile.press("Enter")
    page.get_by_role("dialog").locator(".fk-tag", has_text="Andy").wait_for()
    assert violations(page) == []


# -- in a browser ------------------------------------------------------------------------------------------------------


def test_cards_are_opened_selected_and_merged(known: Library, show: Callable[..., Page]) -> None:
    panel = PeoplePanel(known)
    page = show(panel.cards)
    assert page.get_by_role("status").first.inner_text() == ""
    page.get_by_text("5 people").wait_for()
    page.get_by_label("Select Amélie").check()
    merge = page.get_by_role("button", name="merge")
    assert merge.is_disabled()
    page.get_by_label("Select Andy").check()
    until(page, lambda: len(panel.cards.selected) == 2)
    merge.click()
    question = page.get_by_role("group", name="Whose name is to stay?")
    question.get_by_role("button", name="Amélie").click()
    page.get_by_text("4 people").wait_for()
    assert len(known.people) == 4
    page.get_by_label("Search by name").fill("mél")
    page.get_by_text("1 person").wait_for()
    page.get_by_role("button", name="Amélie").press("Enter")
    until(page, lambda: panel.person.person.get("name") == "Amélie")


def test_a_name_is_written_where_it_stands(known: Library, show: Callable[..., Page]) -> None:
    panel = open_person(known, "Ali")
    page = show(panel.person)
    name = page.get_by_label("Name", exact=True)
    name.fill("Somebody else")
    name.press("Escape")
    assert name.input_value() == ""
    name.fill("Ali <b>Naimi</b>")
    name.press("Enter")
    until(page, lambda: panel.person.person["name"] == "Ali <b>Naimi</b>")
    assert page.locator("b", has_text="Naimi").count() == 0
    name.fill("andy")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Merge with Andy").click()
    until(page, lambda: panel.person.person["name"] == "Andy")
    until(page, lambda: name.input_value() == "Andy")


def test_faces_are_moved_to_whoever_is_typed(known: Library, show: Callable[..., Page]) -> None:
    panel = open_person(known, "Ali")
    panel.gallery.selected = [panel.gallery.tiles[0]["key"]]
    before = known.people["Andy"].faces
    page = show(panel.person)
    move = page.get_by_role("button", name="Move to…")
    move.click()
    field = page.get_by_label("Whose face is it? Type a name")
    field.fill("and")
    page.get_by_role("button", name=re.compile("^Andy")).wait_for()
    until(page, lambda: page.locator(".fk-found button").count() == 2)  # Andy, and a new person
    assert violations(page) == []
    field.press("Escape")
    assert not field.is_visible()
    move.click()
    field.fill("and")
    until(page, lambda: page.locator(".fk-found button").count() == 2)
    field.press("Enter")
    page.keyboard.press("Enter")
    until(page, lambda: known.people["Andy"].faces == before + 1)
    until(page, lambda: not move.is_visible())


def test_one_key_is_a_decision(halves: Library, show: Callable[..., Page]) -> None:
    panel = PeoplePanel(halves)
    review = panel.review
    assert review is not None
    review.refresh()
    page = show(review)
    review.focus()
    yes = page.get_by_role("button", name="Yes").first
    until(page, lambda: yes.evaluate("node => node === document.activeElement"))

    def decide(key: str, done: Callable[[], object]) -> None:
        until(page, lambda: page.evaluate("model.get('loaded')") == review.loaded)  # one presses what one sees
        page.keyboard.press(key)
        until(page, done)

    first = review.items[0]["id"]
    decide("y", lambda: review.decided == 1)
    decide("Control+z", lambda: review.decided == 0)
    assert review.items[0]["id"] == first
    decide("n", lambda: review.decided == 1)
    decide("u", lambda: review.decided == 0)
    decide("s", lambda: review.items[0]["id"] != first)
    second = review.items[0]["id"]
    until(page, lambda: page.evaluate("model.get('loaded')") == review.loaded)
    page.evaluate("""document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key: "т", code: "KeyN", bubbles: true }))""")  # the same key in Russian
    until(page, lambda: review.decided == 1)
    assert review.items[0]["id"] != second
    for _ in range(3):
        page.keyboard.press("s")  # faster than Python answers
    until(page, lambda: page.locator(".fk-peoplereview").get_attribute("aria-busy") == "false")
    while review.items:
        left = review.waiting
        decide("s", lambda left=left: review.waiting < left)
    page.get_by_text("There is nothing to decide.").wait_for()
    assert violations(page) == []


def test_what_was_done_is_said_listed_and_taken_back(known: Library, show: Callable[..., Page]) -> None:
    panel = open_person(known, "Andy")
    assert panel.journal is not None
    page = show(panel.journal)
    press(panel.person, kind="name", name="Andrew")
    page.get_by_text("The name is Andrew now.").wait_for()
    page.get_by_text("What was done").click()
    row = page.get_by_role("listitem").first
    row.get_by_text("Andrew").wait_for()
    page.get_by_role("button", name="Undo", exact=True).first.click()
    page.get_by_text("Taken back.").wait_for()
    assert panel.person.person["name"] == "Andy"
    page.get_by_text("taken back", exact=True).wait_for()
    page.get_by_role("button", name="Do it again").click()
    until(page, lambda: panel.person.person["name"] == "Andrew")
    assert violations(page) == []
    panel.journal.language = "ru"
    page.get_by_text("Что было сделано").wait_for()


PARTS = ("cards", "person", "review", "journal")


@pytest.mark.parametrize("name", PARTS)
def test_every_part_fits_a_phone_speaks_russian_and_has_nothing_that_axe_calls_serious(
    halves: Library, show: Callable[..., Page], name: str
) -> None:
    panel = PeoplePanel(halves)
    assert panel.journal is not None
    assert panel.review is not None
    photo = next(one for one in halves.photo_page("ok", limit=200).photos if len(one.faces) > 1)
    halves.people.move([face.face_id for face in photo.faces[:2]], "Angie")
    panel.open_person(halves.people["Angie"].person_id)
    press(panel.person, kind="name", name="ali naimi")
    panel.gallery.selected = [panel.gallery.tiles[0]["key"]]
    press(panel.person, kind="find", text="")
    panel.cards.refresh()
    panel.cards.selected = [one["id"] for one in panel.cards.people[:3]]
    panel.cards.merge(panel.cards.selected)
    panel.review.refresh()
    panel.journal.opened = True
    part = {"cards": panel.cards, "person": panel.person, "review": panel.review, "journal": panel.journal}[name]
    for theme, width in (("light", 1024), ("dark", 375)):
        page = show(part, theme=theme, width=width, touch=width < 500)
        page.locator(f".fk[data-fk-theme={theme}]").wait_for()
        assert violations(page) == []
        assert overflow(page) <= 0
    part.language = "ru"
    until(page, lambda: page.locator(".fk").get_attribute("lang") == "ru")
    assert overflow(page) <= 0
    assert not re.search(r"people(cards|person|review|journal)\.", page.content())
    assert not re.search(r"\b(Undo|Yes|Select|Merge|Hidden people|Move to)\b", page.locator(".fk").inner_text())
