"""What somebody may read and write on the service's machine, over every route that takes a path or writes a file."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from service import served, sign_in

from facekit.server.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from family import Family
    from fastapi.testclient import TestClient

PATH_LIKE = re.compile(r"path|folder|file|dir|root|place|location|dest|target|output", re.IGNORECASE)
# The content of an upload; and an address, where only an admin gives a path, which is decided: `test_sources_service`.
NO_PATH = {"file", "place"}


@pytest.fixture
def library_folder(family: Family, tmp_path: Path) -> Path:
    """A closed library of people who have names; their photos are in the family's folder."""
    with family.opened(tmp_path / "faces", grouped=True) as library:
        for number, person in enumerate(library.people):
            library.people.name(person, f"Person {number}")
    return tmp_path / "faces"


@pytest.fixture
def elsewhere(library_folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    """A service with accounts, whose photos all lie outside its only root."""
    root = tmp_path / "root"
    root.mkdir()
    with served(library_folder, [root], accounts=True) as client:
        yield client


def fields(document: dict[str, Any], schema: dict[str, Any], seen: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all that a body may hold."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from fields(document, document["components"]["schemas"][name], (*seen, name))
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from fields(document, inner, seen)
    for inner in [*schema.get("anyOf", []), *schema.get("allOf", []), schema.get("items", {})]:
        yield from fields(document, inner, seen) if inner else ()


def path_places(document: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Every method, route, part and name of what may be a path in a request."""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found += [(method, path, one["in"], one["name"]) for one in operation.get("parameters", [])]
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                found += [(method, path, kind, name) for name in fields(document, body["schema"])]
    return [one for one in found if PATH_LIKE.search(one[3]) and one[3] not in NO_PATH]


def test_every_route_that_takes_a_path_has_it_decided(
    elsewhere: TestClient, monkeypatch: pytest.MonkeyPatch, astronaut: Path
) -> None:
    document = elsewhere.get("/api/v1/openapi.json").json()
    asked: list[Any] = []
    decide = Paths.decide

    def noting(self: Paths, given: Any, identity: Any, use: Any) -> Any:
        asked.append(given)
        return decide(self, given, identity, use)

    monkeypatch.setattr(Paths, "decide", noting)
    places = path_places(document)
    assert {path for _, path, _, _ in places} == {
        "/api/v1/photos",
        "/api/v1/photos/remove",
        "/api/v1/search/upload",
        "/api/v1/upload/local",
        "/api/v1/people/xmp/write",
        "/api/v1/people/xmp/read",
        "/api/v1/library/backup",
    }
    for role in ("ed", "vi", "ada"):
        headers = sign_in(elsewhere, role)
        for number, (method, path, part, name) in enumerate(places):
            value = f"/etc/{number}"
            options: dict[str, Any] = {"params": {name: value}} if part == "query" else {"json": {name: value}}
            if part == "multipart/form-data":
                options = {"data": {name: value}, "files": {"file": astronaut.read_bytes()}}
            asked.clear()
            answer = elsewhere.request(method.upper(), path, headers=headers, **options)
            assert asked == [value] or answer.status_code == 403, (role, method, path, name, answer.text)
            if role == "ada" or (role == "ed" and path != "/api/v1/library/backup"):
                assert asked == [value], (role, method, path, name, answer.text)


def everything(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("role", ["ed", "ada"])
def test_no_route_writes_outside_the_roots(elsewhere: TestClient, family: Family, role: str) -> None:
    """Every route that changes something is called, with what it asks for, and nothing beside the photos changes."""
    library = elsewhere.app.state.service.library
    headers = sign_in(elsewhere, role)
    photos = family.photos
    before = everything(photos)
    person = library.people.page().people[0].person_id
    face = library.faces()["face_id"].iloc[0]
    sample = {"faces": [face], "folder": str(photos), "path": str(photos), "others": [person], "other": person}
    sample |= {"allowed": True, "value": None, "name": "x", "scopes": ["read"], "role": "viewer"}
    tried = []
    document = elsewhere.get("/api/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            # At the end, these would leave nothing to write of.
            if method == "get" or "auth" in path or path.endswith(("/remove", "/reembed", "/runs", "/split", "/merge")):
                continue
            place = re.sub(r"\{(\w+)\}", lambda one: person if one.group(1) == "person_id" else "0" * 32, path)
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            names = set(fields(document, content["schema"])) if content else set()
            for some in (names, names - {"folder", "path"}):
                body = {name: sample[name] for name in some if name in sample}
                answer = elsewhere.request(method.upper(), place, headers=headers, json=body if content else None)
                tried.append((method, path, answer.status_code))
                assert everything(photos) == before, tried[-1]
    assert ("post", "/api/v1/people/xmp/write", 403) in tried
    assert ("post", "/api/v1/people/xmp/write", 200) in tried  # of all photos, those are written that may be: none


def test_names_are_written_beside_the_photos_below_a_root_only(
    library_folder: Path, family: Family, tmp_path: Path
) -> None:
    photos = family.photos
    inside, outside = photos / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    try:
        _, outer = sorted(photos.glob("*.jpg"))[:2]
        shutil.copy(outer, inside / "mine.jpg")
        (outside / "link.jpg").symlink_to(inside / "mine.jpg")  # a sidecar lies beside the link
        with served(library_folder, [inside], accounts=True) as client:
            library = client.app.state.service.library
            library.ingest(inside, outside, progress=False)
            headers = sign_in(client, "ed")
            report = client.post("/api/v1/people/xmp/write", json={}, headers=headers)
            assert report.status_code == 200
            assert "may not have files written" in report.text
            for refused in (outside, outside / "link.jpg", photos, outer):
                body = {"folder": str(refused)}
                client.post("/api/v1/people/xmp/write", json=body, headers=headers)
        assert [path.name for path in inside.rglob("*.xmp")] == ["mine.jpg.xmp"]
        assert not list(outside.rglob("*.xmp"))
        assert {path.parent for path in photos.rglob("*.xmp")} == {inside}
    finally:
        shutil.rmtree(inside)
