"""People in the whole app: what one corrects there holds, through another clustering and a reload."""

from __future__ import annotations

import re
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("voila")
pytest.importorskip("playwright")

from browser import overflow, until
from playwright.sync_api import Locator, Page, expect
from service import PASSWORD, USERS, process
from test_app import PHONE, choose_pictures, in_both_themes, page_names, press_search, sign_in, tiles, turn_to, visit

import facekit as fk
from facekit.server.accounts import Accounts
from facekit.server.database import ServiceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from facekit.library.base import Library

__all__ = ["visit"]


@pytest.fixture
def app(crowd_folder: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The app without accounts, over a library of five people whom nobody has looked for yet."""
    folder = shutil.copytree(crowd_folder, tmp_path / "faces")
    with process(folder, "--app", "--app-port", "0") as service:
        yield SimpleNamespace(url=service.url, folder=folder)


@pytest.fixture
def closed_app(crowd_folder: Path, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The app with accounts, over a library in which Andy is known."""
    folder = shutil.copytree(crowd_folder, tmp_path / "faces")
    with fk.open(folder) as library:
        library.people.cluster()
        library.people.name(person_id(library, "Andy_Roddick"), "Andy")
    store = ServiceStore(folder)
    for name, role in USERS.items():
        Accounts(store).add(name, PASSWORD, role)
    store.close()
    with process(folder, "--app", "--app-port", "0") as service:
        yield SimpleNamespace(url=service.url, folder=folder)


def person_id(library: Library, name: str) -> str:
    """Who is on most photos that the data set gives this name."""
    photos = [one for one in library.photo_page("ok", limit=200).photos if name in one.path]
    owners = [photo.faces[0].person_id for photo in photos if photo.faces[0].person_id]
    return max(owners, key=owners.count)


def card(page: Page, key: str) -> Locator:
    return page.locator(f'.fk-card[data-id="{key}"]')


def done(page: Page, words: str) -> None:
    """Wait until the page says that this was done."""
    expect(page.locator(".fk-last")).to_have_text(words)


def open_person(page: Page, key: str) -> None:
    card(page, key).get_by_role("button").click()
    expect(page.locator(".fk-peopleperson")).to_be_visible()


def back(page: Page) -> None:
    page.get_by_role("button", name="‹ Everybody").click()
    expect(page.locator(".fk-cards")).to_be_visible()


def select_and_merge(page: Page, *keys: str) -> None:
    for key in keys:
        card(page, key).get_by_role("checkbox").check()
    page.get_by_role("button", name="They are one person: merge").click()


def split_and_merge(page: Page, library: Library, key: str) -> None:
    """Of the person who is shown two faces are split off, and merged again: the way back to the cards."""
    faces = library.people.get(key).faces
    for number in (0, 1):
        tiles(page).nth(number).locator(".fk-mark").click()
    page.get_by_role("button", name="Split off: a new person").click()
    done(page, "2 faces were split off: a new person.")
    expect(tiles(page)).to_have_count(faces - 2)
    back(page)
    expect(page.locator(".fk-card")).to_have_count(6)
    other = next(one.person_id for one in library.people if one.faces == 2)
    select_and_merge(page, key, other)
    done(page, "Andy and the unnamed person were merged.")
    expect(page.locator(".fk-card")).to_have_count(5)


def test_corrections_hold_through_another_clustering_and_a_reload(
    app: SimpleNamespace, lfw: Path, visit: Callable[..., Page]
) -> None:
    page = visit(app)
    turn_to(page, "People")
    page.get_by_text("Nobody is known yet.").wait_for()
    page.get_by_role("button", name="Find people").click()
    done_in = re.compile("^5 people were found")
    expect(page.locator(".fk-last")).to_have_text(done_in)
    expect(page.locator(".fk-card")).to_have_count(5)
    library = fk.open(app.folder)
    ids = {name: person_id(library, name) for name in ("Andy_Roddick", "Angelina_Jolie", "Ali_Naimi", "Alvaro_Uribe")}

    # a name
    open_person(page, ids["Andy_Roddick"])
    page.get_by_label("Name", exact=True).fill("Andy")
    page.keyboard.press("Enter")
    done(page, "The name is Andy now.")
    faces = library.people["Andy"].faces
    split_and_merge(page, library, ids["Andy_Roddick"])
    # two who are not one are merged, and that is taken back
    select_and_merge(page, ids["Ali_Naimi"], ids["Alvaro_Uribe"])
    expect(page.locator(".fk-card")).to_have_count(4)
    page.get_by_role("button", name="Undo", exact=True).click()
    done(page, "Taken back.")
    expect(page.locator(".fk-card")).to_have_count(5)
    # a face that is somebody else's
    open_person(page, ids["Angelina_Jolie"])
    members = library.people.faces(ids["Angelina_Jolie"]).members
    expect(tiles(page)).to_have_count(len(members))
    tiles(page).last.locator(".fk-mark").click()
    page.get_by_role("button", name="Not this person").click()
    expect(tiles(page)).to_have_count(len(members) - 1)
    assert in_both_themes(page) == []
    back(page)

    page.get_by_role("button", name="Find people").click()
    expect(page.locator(".fk-last")).to_have_text(re.compile("people were found|person was found"))
    page.reload()
    page.locator(".fk-appbar").first.wait_for()
    turn_to(page, "People")
    expect(card(page, ids["Andy_Roddick"])).to_contain_text("Andy")
    expect(card(page, ids["Andy_Roddick"])).to_contain_text(f"{faces} faces")
    now = {member.face.face_id for member in library.people.faces(ids["Angelina_Jolie"]).members}
    assert members[-1].face.face_id not in now
    assert now == {member.face.face_id for member in members[:-1]}
    for name in ("Ali_Naimi", "Alvaro_Uribe"):
        assert person_id(library, name) == ids[name]
    assert person_id(library, "Ali_Naimi") != person_id(library, "Alvaro_Uribe")

    # search hits show the name
    turn_to(page, "Search")
    choose_pictures(page, min((lfw / "Andy_Roddick").glob("*.jpg")))
    press_search(page)
    expect(tiles(page).first.locator(".fk-person")).to_have_text("Andy")
    expect(tiles(page).first.locator(".fk-tag")).to_have_text("Andy")


def test_a_viewer_looks_and_an_editor_changes_under_their_own_name(
    closed_app: SimpleNamespace, visit: Callable[..., Page]
) -> None:
    page = visit(closed_app, **PHONE)
    sign_in(page, "vi")
    expect(page.locator(".fk-who")).to_have_text("vi (viewer)")
    assert page_names(page) == ["Search", "Gallery", "People"]
    turn_to(page, "People")
    expect(page.locator(".fk-card")).to_have_count(5)
    assert page.get_by_role("button", name="Find people").count() == 0
    assert page.get_by_role("button", name="Review").is_hidden()
    page.locator(".fk-card", has_text="Andy").get_by_role("button").click()
    expect(page.get_by_role("heading", name="Andy")).to_be_visible()
    expect(tiles(page)).not_to_have_count(0)
    assert page.get_by_role("button", name="Hide this person").count() == 0
    assert overflow(page) <= 0

    page = visit(closed_app)
    sign_in(page, "ed")
    turn_to(page, "People")
    page.locator(".fk-card", has_text="Andy").get_by_role("button").click()
    page.get_by_role("button", name="Hide this person").click()
    done(page, "Andy is hidden.")
    page.get_by_text("What was done").click()
    entry = page.locator(".fk-entries li").first
    expect(entry).to_contain_text("ed")
    entry.get_by_role("button").click()
    done(page, "Taken back.")
    until(page, lambda: page.get_by_role("button", name="Hide this person").is_visible())
