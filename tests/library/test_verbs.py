"""The verbs on a library and its people stand in four homes: the abstract class, the folder, the client, the routes.

Their names and parameters are compared here, and their defaults. What the client asks for is recorded from calls that
give each parameter, so that one that it takes and does not send is found as well as one that no route takes.
"""

from __future__ import annotations

import inspect
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest

from facekit.library.base import Library
from facekit.library.local import LocalLibrary
from facekit.library.local_sources import LocalSources
from facekit.library.remote import RemoteLibrary
from facekit.library.remote_people import RemotePeople
from facekit.library.remote_sources import RemoteSources
from facekit.library.session import Session
from facekit.library.sources import Sources
from facekit.people.base import People
from facekit.people.local import LocalPeople
from facekit.server.app import create_app
from facekit.types.people import Person

HOMES: dict[type, tuple[type, type]] = {
    Library: (LocalLibrary, RemoteLibrary),
    People: (LocalPeople, RemotePeople),
    Sources: (LocalSources, RemoteSources),
}

# -- what differs, and why -----------------------------------------------------------------------------------------

NO_ROUTE = {
    "Library.close": "lets go of it here; what a service owns stays open there",
    "Library.closed": "is about this process",
    "Library.place": "is where it was opened",
    "Library.people": "leads to the verbs of `People`",
    "Library.sources": "leads to the verbs of `Sources`",
    "Library.show": "makes a widget, which runs where it is shown",
    "People.show": "the same",
    "Sources.show": "the same",
    "People.links": "are made where the photos are: through a service it says so",
}

ONE_HOME_ONLY = {
    "LocalLibrary.check_where": "`facekit.open` asks it of a library that is open already",
    "LocalLibrary.settings": "what the service and measurements tell of the models",
    "LocalLibrary.detector": "models run where the photos are",
    "LocalLibrary.embedder": "the same",
    "LocalLibrary.holds": "the service asks before it moves photos",
    "LocalLibrary.people_as": "the service says who it is that asks",
    "LocalLibrary.export_all": "GET /export with all_columns, from which the client makes its tables",
    "LocalLibrary.roots": "the service's metrics and the doctor",
    "LocalLibrary.index_lag": "the same",
    "LocalLibrary.connected": "the service shows what lies there, which is no folder of its machine",
    "LocalLibrary.face": "the service asks whether there is one",
    "LocalLibrary.file": "GET /photos/ID/file",
    "LocalLibrary.storage": "what workers and moves take batches and tables from",
    "LocalLibrary.on_this_machine": "the service asks where a mount's photos lie here",
    "LocalSources.checked": "the service asks before somebody signs in",
    "LocalSources.at": "an ingest asks whether a root is a place",
    "LocalSources.opened": "the same",
    "LocalSources.not_paused": "the service asks before it makes a job",
    "LocalPeople.change": "PATCH /people/ID: name, hide and cover in one step",
    "RemoteLibrary.identity": "a library in a folder has no accounts",
    "RemoteLibrary.sign_in": "the same",
    "RemoteLibrary.sign_out": "the same",
    "RemoteLibrary.running_ingest": "here an ingest ends with the call",
    "RemoteLibrary.follow_ingest": "the same",
}

OTHER_SIGNATURE = {
    "LocalPeople.write_xmp": ("writable", "the service says where whoever asks may write"),
    "RemoteLibrary.people": ("return", "the class itself"),
    "LocalLibrary.sources": ("return", "the same"),
    "LocalSources.add": ("token", "the service has signed in, and gives all of it"),
    "LocalSources.reconnect": ("token", "the same"),
    "RemoteLibrary.sources": ("return", "the same"),
    "RemotePeople.links": ("return", "it never returns"),
}

STAYS_HERE = {
    "Library.ingest": {"progress": "is shown here", "limits": "a service has its own", "stop": "cancels the job"},
    "Library.reembed": {"progress": "is shown here", "stop": "cancels the job"},
    "Library.export": {"path": "is written here"},
    "People.cluster": {"stop": "cancels the job"},
    "Sources.add": {"ask": "is shown here", "stop": "ends the wait here"},
    "Sources.sync": {"progress": "is shown here", "stop": "cancels the job", "ask": "is shown here"},
    "Sources.reconnect": {"ask": "is shown here", "stop": "ends the wait here"},
}

SENT_AS = {
    "Library.ingest": {"roots": {"path"}},  # a job each
    "Library.remove": {"path": {"path", "photo_ids"}},
    "Library.search": {"probe": {"file", "face_id", "person_id"}},
    "Library.faces_in": {"picture": {"file"}},
    "Sources.sync": {"names": {"name"}},  # a job each
    "People.faces": {"who": {"person_id"}},
    "People.name": {"who": {"person_id"}},
    "People.merge": {"who": {"person_id"}},
    "People.split": {"who": {"person_id"}},
    "People.move": {"who": {"person_id"}},
    "People.not_this_person": {"who": {"person_id"}},
    "People.different": {"who": {"person_id"}},
    "People.hide": {"who": {"person_id"}},
    "People.cover": {"who": {"person_id"}, "face_id": {"cover"}},
    "People.accept": {"run": {"run_id"}},
    "People.discard": {"run": {"run_id"}},
    "People.compare": {"first": {"run_id"}, "second": {"with"}},
    "People.quality": {"who": {"person_id"}},
}

SENT_BESIDES = {  # what no parameter stands for
    "Library.photos": {"table", "format", "all_columns"},
    "Library.faces": {"table", "format", "all_columns"},
    "Library.embeddings": {"table", "format"},
    "Library.export": {"format"},
    "People.to_frame": {"table", "format", "all_columns"},
}

OTHER_DEFAULT = {
    "People.hide": "a change of a person leaves what is not given as it is",
}

# -- the four homes ------------------------------------------------------------------------------------------------


def public(kind: type) -> dict[str, Any]:
    """What somebody can ask of a class, by name."""
    return {name: value for name, value in inspect.getmembers_static(kind) if not name.startswith("_")}


def function_of(member: Any) -> Any:
    return member.fget if isinstance(member, property) else member


def is_verb(member: Any) -> bool:
    return isinstance(member, property) or inspect.isfunction(member)


VERBS = [
    (base, name) for base in HOMES for name, value in public(base).items() if is_verb(value)
]  # properties are verbs that take nothing
NAMES = [f"{base.__name__}.{name}" for base, name in VERBS]


def parameters(kind: type, name: str) -> dict[str, tuple[Any, ...]]:
    """The parameters of a verb, each with its kind, default and annotation; "return" has what is returned."""
    signature = inspect.signature(function_of(public(kind)[name]))
    taken = {one.name: (one.kind, one.default, one.annotation) for one in signature.parameters.values()}
    return taken | {"return": (signature.return_annotation,)}


@pytest.mark.parametrize(("base", "name"), VERBS, ids=NAMES)
def test_a_verb_is_the_same_in_the_folder_and_in_the_client(base: type, name: str) -> None:
    promised = parameters(base, name)
    for home in HOMES[base]:
        given = parameters(home, name)
        but = OTHER_SIGNATURE.get(f"{home.__name__}.{name}", ("", ""))[0]
        assert type(public(home)[name]) is type(public(base)[name]), home
        assert [one for one in given if one != but] == [one for one in promised if one != but], home
        differing = {one for one, what in given.items() if promised.get(one) != what}
        assert differing == ({but} if but else set()), home


@pytest.mark.parametrize(("base", "name"), VERBS, ids=NAMES)
def test_a_verb_has_a_home_of_its_own_wherever_the_library_is(base: type, name: str) -> None:
    for home in HOMES[base]:
        own = public(home)[name] is not public(base)[name]
        assert own is (name in base.__abstractmethods__), home


def test_what_one_home_has_alone_is_meant_to_be_so() -> None:
    alone = {
        f"{home.__name__}.{name}"
        for base, homes in HOMES.items()
        for home in homes
        for name, value in public(home).items()
        if is_verb(value) and name not in public(base)
    }
    assert alone == set(ONE_HOME_ONLY)


# -- what the client asks for --------------------------------------------------------------------------------------

ID = "ab" * 16
PERSON = {"person_id": ID, "name": "Anna", "faces": 1, "photos": 1, "cover": None, "hidden": False, "settled": True}
SERVICE = {"version": "1", "detector": "d", "embedder": "e", "embedder_version": "1", "search_similarity": 0.5}
ANSWERS = {
    "/api/v1/auth/status": {"accounts": False},
    "/api/v1/service": SERVICE,
    "/api/v1/people/resolve": PERSON,
}
SAMPLES: dict[str, Any] = {
    "Library.export": {
        "table": "photos",
        "path": Path(tempfile.gettempdir(), "facekit-test.csv"),
        "include_poor": True,
        "source": "local",
        "album": "Summer",
    },
    "accept": False,
    "after": "2019-01-01",
    "album": "Summer",
    "allowed": False,
    "ask": None,
    "before": "2020-01-01",
    "copy": True,
    "detail": "fine",
    "detector": "yunet",
    "embedder": "sface",
    "dry_run": True,
    "eps": 0.5,
    "exclude": ["*.png"],
    "face": [0, 0, 0],
    "face_id": ID,
    "faces": [ID],
    "first": ID,
    "folder": "/photos",
    "hidden": True,
    "include_poor": True,
    "keep_originals": True,
    "limit": 5,
    "limits": None,
    "method": "average",
    "min_faces": 3,
    "min_similarity": 0.25,
    "most_bytes": 9,
    "name": "Anna",
    "names": ["vk"],
    "named": True,
    "new": "/new",
    "number": 7,
    "offset": 2,
    "old": "/old",
    "other": "Bo",
    "others": ["Bo"],
    "path": ["/photos/one.jpg", ID],
    "paused": False,
    "people": 4,
    "person": "Anna",
    "photo_id": ID,
    "photos": "forget",
    "picture": b"a picture",
    "place": "vk",
    "probe": [b"a picture", "cd" * 16, Person(**PERSON)],
    "progress": False,
    "roots": ["/photos"],
    "run": ID,
    "second": ID,
    "settings": {"album": "1"},
    "since": "2019-01-01",
    "skip_unreadable": True,
    "source": "local",
    "status": "ok",
    "stop": None,
    "text": "Ann",
    "together_with": ["Bo"],
    "token": "t",
    "top_k": 9,
    "value": 0.5,
    "who": "Anna",
    "year": 2019,
}
SAMPLES["People.cluster"] = SAMPLES | {"method": "kmeans", "eps": None}  # which alone takes a number of people


class Heard(Exception):  # noqa: N818 - nothing went wrong
    """A request was sent, and there is nobody to answer it."""


@dataclass(frozen=True)
class Request:
    """What was asked for, with the names of what was sent: in the query, in the body, as files."""

    method: str
    path: str
    sent: frozenset[str]


@dataclass(frozen=True)
class Route:
    """A route as the app's document has it: the fields that it takes, each with its default."""

    operation: str
    defaults: dict[str, Any]
    places: dict[str, str]


NO_DEFAULT = object()


@cache
def routes() -> tuple[tuple[re.Pattern[str], str, Route], ...]:
    """All routes of the app, those without a place for an id first."""
    document = create_app(None, None).openapi()  # type: ignore[arg-type] - nothing is asked of the service
    schemas = document["components"]["schemas"]
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            defaults = {}
            for one in operation.get("parameters", ()):
                defaults[one["name"]] = one["schema"].get("default", NO_DEFAULT)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                shape = content["schema"]
                shape = schemas[shape["$ref"].rsplit("/", 1)[1]] if "$ref" in shape else shape
                for name, what in shape["properties"].items():
                    defaults[name] = what.get("default", NO_DEFAULT)
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))
            found.append((pattern, method.upper(), Route(f"{method.upper()} {path}", defaults, {})))
    return tuple(sorted(found, key=lambda route: route[0].groups))


def route_of(request: Request | None) -> tuple[Route, frozenset[str]]:
    """The route that answers a request, and the fields that it is sent."""
    assert request is not None, "the client asked for nothing"
    for pattern, method, route in routes():
        if method == request.method and (match := pattern.fullmatch(request.path)):
            return route, request.sent | match.groupdict().keys()
    message = f"there is no {request.method} {request.path}"
    raise AssertionError(message)


class Listener(Session):
    """A connection to nobody, which keeps what it was asked for last."""

    heard: Request | None = None

    def send(self, method: str, path: str, *, anonymous: bool = False, **options: Any) -> httpx2.Response:
        del anonymous
        options.pop("timeout", None)
        sent = {name for part in ("params", "json", "data") for name in options.pop(part, None) or ()}
        for name, (file, *_) in options.pop("files", ()):
            sent.add(name if file is None else "file")
        assert not options
        self.heard = Request(method, path, frozenset(sent))
        if path not in ANSWERS:
            raise Heard
        return httpx2.Response(200, json=ANSWERS[path])


@cache
def asked(base: type, name: str) -> Request | None:
    """What the client asks for when a verb is called with all that it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facekit.library.remote.Session", Listener)
        library = RemoteLibrary("http://nobody")
    library.session.heard = None
    owner: Any = {Library: library, People: library.people, Sources: library.sources}[base]
    if isinstance(public(base)[name], property):
        getattr(owner, name)
        return library.session.heard
    given: list[Any] = []
    named: dict[str, Any] = {}
    for one in inspect.signature(getattr(owner, name)).parameters.values():
        sample = SAMPLES.get(f"{base.__name__}.{name}", SAMPLES)[one.name]
        if one.kind is one.VAR_POSITIONAL:
            given += sample
        elif one.kind is one.KEYWORD_ONLY:
            named[one.name] = sample
        else:
            given.append(sample)
    with suppress(Heard):
        getattr(owner, name)(*given, **named)
    return library.session.heard


SERVED = [(base, name) for base, name in VERBS if f"{base.__name__}.{name}" not in NO_ROUTE]


@pytest.mark.parametrize(("base", "name"), SERVED, ids=lambda one: getattr(one, "__name__", one))
def test_a_verb_has_a_route_with_its_parameters(base: type, name: str) -> None:
    verb = f"{base.__name__}.{name}"
    route, sent = route_of(asked(base, name))
    taken = inspect.signature(function_of(public(base)[name])).parameters
    here = STAYS_HERE.get(verb, {})
    names = {one: SENT_AS.get(verb, {}).get(one, {one}) for one in taken if one != "self" and one not in here}
    expected = set().union(*names.values()) | SENT_BESIDES.get(verb, set())
    assert sent == expected, route.operation
    assert sent <= route.defaults.keys(), route.operation
    for parameter, fields in names.items():
        default = taken[parameter].default
        for field in fields:
            its = route.defaults[field]
            if default is inspect.Parameter.empty or verb in OTHER_DEFAULT:
                continue
            assert (None if its is NO_DEFAULT else its) == default, (route.operation, field)


def test_a_route_of_a_verb_takes_nothing_that_no_verb_sends() -> None:
    sent: dict[str, set[str]] = {}
    taken: dict[str, set[str]] = {}
    for base, name in SERVED:
        route, fields = route_of(asked(base, name))
        sent.setdefault(route.operation, set()).update(fields)
        taken[route.operation] = set(route.defaults)
    assert sent == taken


def test_the_tables_name_nothing_that_is_gone() -> None:
    assert set(NO_ROUTE) | set(STAYS_HERE) | set(SENT_AS) | set(SENT_BESIDES) | set(OTHER_DEFAULT) <= set(NAMES)
    homes = {f"{home.__name__}.{name}" for base, name in VERBS for home in HOMES[base]}
    assert set(OTHER_SIGNATURE) <= homes
