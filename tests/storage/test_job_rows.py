"""Which texts name a removed photo, and which another one whose path only begins or ends alike."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facekit.storage.job_rows import Names
from facekit.text.names import one_line

NAME = "/p/a.jpg"


@pytest.mark.parametrize(
    "text",
    [
        NAME,
        f"{NAME}: the picture is damaged.",
        f"{NAME} can't be opened.",
        f"See {NAME}.",
        f"It is {NAME}. Look at it.",
        f"'{NAME}', and others",
        f"[Errno 2] No such file: '{NAME}'",
        f"({NAME})",
        f"/p/a.jpgg and then {NAME}",
    ],
)
def test_a_sentence_about_a_removed_photo_goes(text: str) -> None:
    assert Names([NAME]).without({"words": text, "all": [text, "fine"]}) == {"words": None, "all": ["fine"]}


@pytest.mark.parametrize(
    "text", ["/p/a.jpg.png is damaged", "/p/a.jpg-1 x", "/q/p/a.jpg: x", "../p/a.jpg x", "/p/aa.jpg", "a.jpg", "/p/a.j"]
)
def test_a_sentence_about_another_photo_stays(text: str) -> None:
    assert Names([NAME]).without([text]) == [text]


def test_below_a_folder_that_is_removed_nothing_stays() -> None:
    names = Names(["/p/a/"])
    for path in ("/p/a", "/p/a/1.jpg", "/p/a/deep/2.jpg"):
        assert names.path(path) is None
        assert names.without([{"path": path, "reason": "x"}, f"{path}: x"]) == []
    assert names.path("/p/ab") == "/p/ab"
    assert names.path("/p") == "/p"
    assert Names(["/"]).path("/p") is None


def test_what_an_item_is_about_is_not_taken_for_a_shorter_name() -> None:
    item = {"path": "/p/a b.jpg", "reason": "/p/a b.jpg: cut short"}
    assert Names(["/p/a"]).without({"failed": [item]}) == {"failed": [item]}
    assert Names(["/p/a b.jpg"]).without({"failed": [item]}) == {"failed": []}
    assert Names(["/p/a/1.jpg"]).without("/p/a/1.jpg is gone", own="/p/a") is None


PART = st.text(st.sampled_from("ab .-(1)é\n"), min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
PATH = st.lists(PART, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@example("/(/1", "/1")
@given(PATH, PATH)
def test_an_item_goes_just_where_its_path_is_removed_or_lies_below(path: str, removed: str) -> None:
    item = {"path": path, "reason": f"{one_line(path)}: the picture is damaged"}
    below = path == removed or path.startswith(removed + "/")
    left = Names([removed]).without([item])
    assert (left == []) == below
