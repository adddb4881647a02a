"""Requests to a service, as far as they can be made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from facekit.errors import FacekitError
from facekit.library.remote import RemoteLibrary
from facekit.library.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NO_TEXT = os.fsdecode(b"/photos/\xff")  # what Python makes of the name of a file that is no UTF-8
STATUS = {"accounts": False}
SERVICE = {"version": "1", "detector": "d", "embedder": "e", "embedder_version": "1", "search_similarity": 0.5}
PERSON = {"person_id": "ab" * 16, "name": "Anna", "faces": 1, "photos": 1, "cover": None, "hidden": False}
ANSWERS = {"auth/status": STATUS, "service": SERVICE, "people/resolve": PERSON | {"settled": True}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the service was asked for."""
    requests: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1/")
        requests.append(path)
        return httpx2.Response(200, json=ANSWERS.get(path, {}))

    def connect(session: Session) -> None:
        session._client = httpx2.Client(base_url=session.url, transport=httpx2.MockTransport(answer))
        session._process = os.getpid()

    monkeypatch.setattr(Session, "_connect", connect)
    return requests


@pytest.fixture
def library(asked: list[str]) -> Iterator[RemoteLibrary]:
    with RemoteLibrary("http://service") as library:
        asked.clear()
        yield library


VERBS: dict[str, Callable[[RemoteLibrary], Any]] = {
    "search": lambda lib: lib.search(b"a picture", folder=NO_TEXT),
    "photo_page": lambda lib: lib.photo_page(folder=NO_TEXT),
    "photos": lambda lib: lib.photos(person=NO_TEXT),
    "remove": lambda lib: lib.remove([NO_TEXT]),
    "relocate": lambda lib: lib.relocate("/photos", NO_TEXT),
    "backup": lambda lib: lib.backup(NO_TEXT),
    "ingest": lambda lib: lib.ingest("/photos", NO_TEXT, progress=False),
    "get": lambda lib: lib.people.get(NO_TEXT),
    "set_search_similarity": lambda lib: lib.set_search_similarity(0.5, embedder=NO_TEXT),
    "page": lambda lib: lib.people.page(text=NO_TEXT),
    "read_xmp": lambda lib: lib.people.read_xmp(NO_TEXT),
}


# A name that is no text is nobody's, here as in a folder, and needs no service to say so.
NOBODY = dict.fromkeys(("photos", "get"), "There is no person") | {"page": "holds characters that can't be written"}


@pytest.mark.parametrize("name", VERBS)
def test_what_is_no_text_is_refused_in_words(library: RemoteLibrary, asked: list[str], name: str) -> None:
    with pytest.raises(FacekitError, match=NOBODY.get(name, "can't be named to a service: it is no text")) as raised:
        VERBS[name](library)
    assert "\\udcff" in raised.value.message
    assert set(asked) <= {"people/resolve"}  # nothing was begun


def test_a_password_that_is_no_text_is_not_repeated(library: RemoteLibrary) -> None:
    with pytest.raises(FacekitError, match="it is no text") as raised:
        library.sign_in("ada", "secret\udcff")
    assert "secret" not in str(raised.value)
