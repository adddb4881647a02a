"""What the service tells of an error: the words of those that are safe to show, and of no other."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from service import served, sign_in, wait_for

import facekit as fk
from facekit import errors
from facekit.errors import FacekitError, LibraryBusyError, ModelMismatchError, RefusedError
from facekit.library.local import LocalLibrary
from facekit.people.local import LocalPeople
from facekit.people.who import NotAPersonError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient

PLACE = "/srv/secret place/faces"
PEOPLE = "/api/v1/people"
PERSON = "0" * 32


class SomethingElseError(FacekitError):
    """An error that nobody has thought about."""


class BusyElsewhereError(LibraryBusyError):
    """One whose words name a path, although those of its base don't."""

    safe_to_show = False


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder, photos = tmp_path_factory.mktemp("library") / "faces", tmp_path_factory.mktemp("photos")
    with served(folder, [photos], accounts=True) as client:
        client.photos = photos
        yield client


def answer_to(client: TestClient, error: Exception, monkeypatch: pytest.MonkeyPatch, who: str = "vi") -> dict:
    """What somebody reads whose request for the people, or for the photos, ends with an error."""

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(LocalPeople, "page", fails)
    monkeypatch.setattr(LocalLibrary, "photo_page", fails)
    headers = sign_in(client, who)
    found = {}
    for path in (PEOPLE, "/api/v1/photos"):
        answer = client.get(path, headers=headers)
        detail = answer.json()["detail"]
        found[path] = (answer.status_code, detail["kind"], detail["message"], detail["remedy"])
        assert PLACE not in answer.text
    return found


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        (FacekitError, 400, ""),
        (SomethingElseError, 400, ""),
        (fk.LibraryError, 400, ""),
        (fk.WeightsError, 400, ""),
        (ModelMismatchError, 409, "models"),
        (BusyElsewhereError, 409, "busy"),
    ],
)
def test_the_words_of_an_error_that_may_name_a_path_are_not_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, kind: type[FacekitError], status: int, name: str
) -> None:
    error = kind(f"{PLACE} can't be read.", f"Look at {PLACE}.")
    unsaid = (status, name, "facekit can't do this.", "The log says more at the reference.")
    assert answer_to(client, error, monkeypatch) == {PEOPLE: unsaid, "/api/v1/photos": unsaid}


@pytest.mark.parametrize(
    ("kind", "status", "elsewhere", "name"),
    [
        (RefusedError, 409, 400, "refused"),
        (NotAPersonError, 409, 400, "refused"),
        (fk.UnknownIdError, 404, 404, ""),
        (fk.NameTakenError, 409, 409, "name_taken"),
        (fk.NoFaceError, 422, 422, "no_face"),
        (fk.LibraryBusyError, 409, 409, "busy"),
        (errors.OtherVectorsError, 409, 409, "models"),
    ],
)
def test_the_words_of_an_error_that_is_safe_to_show_are_told(
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[FacekitError],
    status: int,
    elsewhere: int,
    name: str,
) -> None:
    words = ("There are two of them.", "Take one.")
    found = answer_to(client, kind(*words), monkeypatch)
    assert found == {PEOPLE: (status, name, *words), "/api/v1/photos": (elsewhere, name, *words)}


def test_an_error_says_by_itself_whether_it_may_be_shown() -> None:
    kinds = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)}
    shown = {one.__name__ for one in kinds if one.safe_to_show}
    assert shown == {
        "LibraryBusyError",
        "NameTakenError",
        "NoFaceError",
        "OtherVectorsError",
        "RefusedError",
        "SignInError",
        "SourceError",
        "UnknownIdError",
    }
    assert all(issubclass(one, FacekitError) for one in kinds)


def test_what_is_refused_says_why_over_every_route(client: TestClient, astronaut: Path) -> None:
    headers = sign_in(client, "ed")
    picture = {"file": astronaut.read_bytes()}
    turned = {"after": "2020-01-01", "before": "2019-01-01"}
    answers = {
        "No photo was taken from": client.post("/api/v1/search/upload", files=picture, data=turned, headers=headers),
        "There is nothing to undo": client.post(f"{PEOPLE}/undo", json={}, headers=headers),
        "is no pattern to exclude": client.post(
            "/api/v1/upload/local", json={"path": str(client.photos), "exclude": ["["]}, headers=headers
        ),
        "There is no model 'none'": client.post(
            "/api/v1/library/reembed", json={"embedder": "none"}, headers=sign_in(client, "ada")
        ),
        "This similarity means arcface 1": client.put(
            "/api/v1/search/similarity", json={"value": 0.5, "embedder": "arcface 1"}, headers=headers
        ),
        "the method kmeans takes the number": client.post(
            "/api/v1/clusters/runs", json={"method": "kmeans"}, headers=headers
        ),
        "A name of 256 characters": client.post(
            f"{PEOPLE}", json={"faces": [PERSON], "name": 256 * "n"}, headers=headers
        ),
    }
    for words, answer in answers.items():
        assert words in answer.json()["detail"]["message"]
        assert answer.json()["detail"]["remedy"]


def test_a_job_that_failed_tells_only_the_services_own_user_where_the_library_lies(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = client.app.state.service.library
    place = library.place

    def fails(*_: object, **__: object) -> None:
        message = f"The catalog {place}/catalog.duckdb can't be written."
        raise fk.LibraryError(message, "Look at it.")

    monkeypatch.setattr(LocalLibrary, "ingest", fails)
    headers = sign_in(client, "ed")
    job = client.post("/api/v1/upload/local", json={"path": str(client.photos)}, headers=headers).json()
    ended = wait_for(client, job["job_id"], headers)
    assert ended["problem"] == "The catalog the library/catalog.duckdb can't be written. Look at it."
    url = f"/api/v1/jobs/{job['job_id']}"
    for path in (url, f"{url}/events", "/api/v1/jobs"):
        assert place not in client.get(path, headers=headers).text
    assert place not in client.post(f"{url}/cancel", headers=headers).text
    owner = {"X-API-Key": client.app.state.access.owner_key}
    assert place in client.get(url, headers=owner).json()["problem"]


def test_names_of_photos_whose_disk_is_gone_are_neither_written_nor_read(astronaut: Path, tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    shutil.copy(astronaut, album)
    with fk.open(tmp_path / "faces") as library:
        library.ingest(album, progress=False)
    with served(tmp_path / "faces", [album], accounts=True) as client:
        album.rename(tmp_path / "elsewhere")
        for verb in ("write", "read"):
            answer = client.post(f"{PEOPLE}/xmp/{verb}", json={"folder": str(album)}, headers=sign_in(client, "ed"))
            detail = answer.json()["detail"]
            assert (answer.status_code, detail["kind"]) == (409, "refused")
            assert detail["message"] == "This folder is not there now."
