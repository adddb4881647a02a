"""What verbs may be asked with: one rule each, and the same words from a folder's library and from the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service import remote

import facekit as fk
from facekit.arguments import PAGE, SIMILARITY, checked_page, checked_position, checked_similarity, is_id
from facekit.errors import NoFaceError, RefusedError, UnknownIdError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFUSED: dict[str, Callable[[fk.Library], Any]] = {
    "a page of too many people": lambda library: library.people.page(limit=201),
    "a page of nobody": lambda library: library.people.page(limit=0),
    "people from before the first on": lambda library: library.people.page(offset=-1),
    "a page of too many photos": lambda library: library.photo_page(limit=201),
    "photos from before the first on": lambda library: library.photo_page(offset=-1),
    "a page of photos of an odd status": lambda library: library.photo_page("odd"),
    "photos of an odd status": lambda library: library.photos("odd"),
    "a page of too many faces": lambda library: library.face_page(limit=10**6),
    "faces from before the first on": lambda library: library.face_page(offset=-1),
    "an odd similarity": lambda library: library.set_search_similarity(2),
    "no top_k": lambda library: library.search(np.zeros((8, 8, 3), np.uint8), top_k=0),
    "a search from an odd similarity on": lambda library: library.search(
        np.zeros((8, 8, 3), np.uint8), min_similarity=-2
    ),
    "no folder": lambda library: library.ingest(),
    "a folder with an odd pattern": lambda library: library.ingest("/photos", exclude=["["]),
    "an odd distance": lambda library: library.people.cluster(eps=2.5),
    "no faces of a person": lambda library: library.people.cluster(min_faces=0),
    "an odd method": lambda library: library.people.cluster("odd"),
    "a number of people for a method that takes none": lambda library: library.people.cluster(people=2),
    "half a face of a person": lambda library: library.people.cluster(min_faces=1.5),
    "faces of a person that are no number": lambda library: library.people.cluster(min_faces=float("nan")),
    "half a person": lambda library: library.people.cluster("kmeans", people=1.5),
    "an odd table": lambda library: library.export("../stats", "odd.csv"),
    "no entries of the journal": lambda library: library.people.journal(0),
    "too many entries of the journal": lambda library: library.people.journal(10_001),
    "half a question": lambda library: library.people.review(1.5),
    "a number of questions as text": lambda library: library.people.review("5"),
    "fewer pairs of people than none": lambda library: library.people.duplicates(-1),
    "photos of an odd year": lambda library: library.photos(year="x"),
    "photos of a year as text": lambda library: library.photos(year="2024"),
    "photos of a year before all": lambda library: library.photos(year=0),
    "people with a long text in their name": lambda library: library.people.page(text="n" * 300),
    "people with half a character in their name": lambda library: library.people.page(text="n\ud800"),
    "a name with half a character": lambda library: library.people.new(["0" * 32], "n\ud800"),
    "a long name": lambda library: library.people.new(["0" * 32], "n" * 300),
    "a name that can't be written": lambda library: library.people.new(["0" * 32], "n\x00"),
}


UNKNOWN: dict[str, Callable[[fk.Library], Any]] = (
    {
        f"{what} {key!r}": lambda library, ask=ask, key=key: ask(library, key)
        for key in ("0" * 32, "odd", "", "../stats", "Ö" * 32, "\udcff")
        for what, ask in {
            "a photo": lambda library, key: library.photo(key),
            "a picture": lambda library, key: library.picture(key),
            "a photo that may show a face twice": lambda library, key: library.people.allow_twice(key),
            "a face of somebody new": lambda library, key: library.people.new(key),
            "a face that is not somebody's": lambda library, key: library.people.not_this_person([key]),
            "a run": lambda library, key: library.people.accept(key),
            "a run to throw away": lambda library, key: library.people.discard(key),
            "runs to compare": lambda library, key: library.people.compare(key),
        }.items()
    }
    | {
        f"{what} called {name[:2]!r}": lambda library, ask=ask, name=name: ask(library, name)
        for name in ("n" * 300, "\ud800")
        for what, ask in {
            "a person": lambda library, name: library.people.get(name),
            "photos of a person": lambda library, name: library.photos(person=name),
            "a page of a person": lambda library, name: library.photo_page(person=name),
            "faces of a person": lambda library, name: library.people.faces(name),
            "a new name of a person": lambda library, name: library.people.name(name, "Ann"),
            "a search for a person": lambda library, name: library.search(np.zeros((8, 8, 3), np.uint8), person=name),
        }.items()
    }
    | {
        f"an entry {number!r} to undo": lambda library, number=number: library.people.undo(number)
        for number in ("5", "x", 1.5, 0, -1, True, 10**6, 2**40)
    }
    | {
        "a picture of a face": lambda library: library.face_thumbnail("0" * 32),
        "a search for nobody": lambda library: library.search(np.zeros((8, 8, 3), np.uint8), person=""),
        "no faces of somebody new": lambda library: library.people.new([]),
        "no faces that are not somebody's": lambda library: library.people.not_this_person([]),
    }
)


def test_a_folder_and_a_service_refuse_the_same_in_the_same_words(tmp_path: Path) -> None:
    def said(library: fk.Library) -> dict[str, str]:
        words = {}
        for asked, kind in ((REFUSED, RefusedError), (UNKNOWN, UnknownIdError)):
            for name, ask in asked.items():
                with pytest.raises(kind) as refused:
                    ask(library)
                words[name] = str(refused.value)
        return words

    with fk.open(tmp_path / "library") as library:
        here = said(library)
    with remote(tmp_path / "library") as library:
        there = said(library)
    assert there == here
    assert here["a page of too many people"] == "A page of 201 was asked for. Ask for 1 to 200."
    assert here["photos from before the first on"].endswith("Positions are counted from 0.")


@pytest.mark.parametrize("value", [None, "1", 1.5, 0, 201, -1, float("nan"), [1]])
def test_what_is_no_size_of_a_page_is_refused(value: Any) -> None:
    with pytest.raises(RefusedError, match="Ask for 1 to 200"):
        checked_page(value)
    if value not in (0, 201):
        with pytest.raises(RefusedError, match="counted from 0"):
            checked_position(value)


@given(st.floats() | st.integers() | st.floats(width=32).map(np.float32))
def test_a_similarity_is_a_number_from_minus_one_to_one(value: Any) -> None:
    if -1 <= value <= 1:
        assert checked_similarity(value) == float(value)
        assert SIMILARITY.holds(value)
    else:
        with pytest.raises(RefusedError):
            checked_similarity(value)


@pytest.mark.parametrize("value", ["0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 32 + "\n", "", None, b"0" * 32, 7])
def test_what_is_no_id_is_none(value: Any) -> None:
    assert not is_id(value)
    assert is_id("0123456789abcdef" * 2)
    assert (PAGE.least, PAGE.most) == (1, 200)  # as the documentation has it


def test_numbers_out_of_a_table_are_numbers(tmp_path: Path) -> None:
    one, some = np.int64(0), np.int64(5)
    with fk.open(tmp_path / "library") as library:
        assert (library.people.journal(some), library.people.review(some)) == ((), ())
        assert library.photos(year=np.int64(2024)).empty
        assert library.photo_page(offset=one, limit=some).total == 0
        assert library.people.page(offset=one, limit=some).total == 0
        with pytest.raises(NoFaceError):
            library.search(np.zeros((64, 64, 3), np.uint8), top_k=some)
    with remote(tmp_path / "library") as library:
        assert (library.people.journal(some), library.people.review(some)) == ((), ())
        assert (library.people.journal(1000), library.people.duplicates(1000)) == ((), ())
        assert library.photos(year=np.int64(2024)).empty
        assert library.photo_page(offset=one, limit=some).total == 0
        with pytest.raises(NoFaceError):
            library.search(np.zeros((64, 64, 3), np.uint8), top_k=some)
