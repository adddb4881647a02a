"""The walk through folders of Yandex Disk, which change between any two answers, and any two processes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from facekit.sources.yandex_disk.listing import Listing
from facekit.sources.yandex_disk.places import Place

names = st.sampled_from("abcdeя🌞")
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts) + ".jpg")
changes = st.lists(st.tuples(st.booleans(), paths), max_size=3)


def answered(files: set[str], folder: str, first: int, page: int) -> dict[str, Any]:
    """What the API says of a part of a folder."""
    above = folder.rstrip("/") + "/"
    inside = sorted({above + path.removeprefix(above).split("/")[0] for path in files if path.startswith(above)})
    items = [{"path": path, "type": "file" if path in files else "dir"} for path in inside[first : first + page]]
    return {"type": "dir", "_embedded": {"items": items, "total": len(inside)}}


@given(
    st.sets(paths, max_size=25),
    st.integers(2, 5),
    st.dictionaries(st.integers(0, 40), changes, max_size=6),
    st.sets(st.integers(0, 40)),
)
def test_what_is_there_all_the_time_is_seen_and_the_walk_ends(
    files: set[str], page: int, changing: dict[int, list[tuple[bool, str]]], killed: set[int]
) -> None:
    place = Place("https://disk.yandex.ru/d/qI_Bmm2e5eSytg")
    listing, visited = Listing.begun(place), dict[str, str]()
    staying, seen, asked = set(files), Counter[str](), 0
    while not listing.done:
        answer = answered(files, listing.folder, listing.first, page)
        seen.update(str(one["path"]) for one in listing.take(answer, visited, Counter()))
        if asked in killed and not listing.done:  # another process goes on
            listing, visited = Listing.at(json.loads(json.dumps(listing.cursor)), place), {}
        for adds, path in changing.get(asked, []):
            (files.add if adds else files.discard)(path)
        staying &= files
        asked += 1
        assert asked < 1000
    assert not listing.whole or staying <= seen.keys()
    if not changing:
        assert listing.whole
        assert seen == Counter(files)
