"""People over HTTP: the same verbs as in a folder, for those who may, and no path for those who may not see it."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from service import remote, served, sign_in, wait_for

import facekit as fk
from facekit.errors import NameTakenError
from facekit.people.local import LocalPeople
from facekit.server.job import Clustering, JobState
from facekit.server.jobs import Jobs
from facekit.server.stores import open_store
from facekit.types.people import XmpReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi.testclient import TestClient
    from places import Places

    from facekit.demo.photos import DemoPhotos
    from facekit.people.base import People

PEOPLE = "/api/v1/people"
TOGETHER = ["album page.png", "both, mirrored.webp", "both.jpg"]  # the photos that show Eileen and Grace
RUNS = "/api/v1/clusters/runs"


@pytest.fixture(scope="module")
def clustered(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed library of the demo's photos, in which Eileen and Grace are named."""
    folder = shutil.copytree(demo_folder, tmp_path_factory.mktemp("people") / "faces")
    with fk.open(folder) as library:
        library.people.cluster()
        both = photo_called(library, "both.jpg")
        for face in both.faces:
            box_on_the_left = face.box[0] < 0.5
            library.people.name(face.person_id, "Eileen" if box_on_the_left else "Grace")
    return folder


@pytest.fixture
def folder(clustered: Path, places: Places, tmp_path: Path) -> Path:
    return places.copy(clustered, tmp_path / "faces")


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with served(folder) as client:
        yield client


@pytest.fixture
def guarded(folder: Path) -> Iterator[TestClient]:
    with served(folder, accounts=True) as client:
        yield client


def photo_called(library: fk.Library, name: str) -> fk.Photo:
    return next(photo for photo in library.photo_page(limit=200).photos if photo.path.endswith(name))


def faces_of(people: People, who: str) -> list[str]:
    return [member.face.face_id for member in people.faces(who, limit=200).members]


def test_a_service_and_a_folder_say_the_same_of_people(folder: Path, demo_photos: DemoPhotos, tmp_path: Path) -> None:
    def seen(library: fk.Library) -> dict[str, object]:
        people = library.people
        names = {"person": "Eileen", "together_with": ["Grace"]}
        return {
            "page": people.page(),
            "some": people.page(named=True, text="gra", limit=1),
            "hidden": people.page(hidden=True),
            "by name": people.get("eileen"),
            "by the beginning of an id": people.get(people.get("Grace").person_id[:6]),
            "again": people.get(people.get("Grace")),
            "faces": people.faces("Eileen", offset=2, limit=5),
            "journal": people.journal(),
            "runs": people.runs(),
            "review": people.review(),
            "conflicts": people.conflicts(),
            "duplicates": people.duplicates(),
            "quality": people.quality("Grace"),
            "compared": people.compare(people.runs()[0]),
            "words": repr(people),
            "all": list(people),
            "page of photos": library.photo_page(person="Grace", limit=3),
            "hits": list(library.search(demo_photos.probe, person="Grace")),
            "csv": library.export("people", tmp_path / "people.csv").read_bytes(),
            "people": people.to_frame(),
            "constraints": people.constraints(),
            "photos": library.photos(person="Eileen"),
            "together": library.photos("ok", **names),
            "in a year": library.photos(person=people.get("Eileen"), year=2019, source="local"),
        }

    with fk.open(folder) as local:
        expected = seen(local)
    assert len(expected["together"]) == len(expected["page of photos"].photos) == 3
    assert 0 < len(expected["photos"]) < 26
    with remote(folder) as library:
        found = seen(library)
    for name, value in expected.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(found[name], value, check_dtype=False, obj=name)
        elif name == "hits":
            assert [replace(hit, similarity=0) for hit in found[name]] == [replace(hit, similarity=0) for hit in value]
        else:
            assert found[name] == value, name


def test_every_correction_works_through_a_service_and_is_taken_back(folder: Path) -> None:
    with remote(folder) as library:
        people = library.people
        eileen, grace = people["Eileen"], people["Grace"]
        before, start = people.to_frame(), people.journal(1)[0].number

        assert people.name(eileen, "Eileen Collins").name == "Eileen Collins"
        with pytest.raises(NameTakenError) as taken:
            people.name("Grace", "eileen collins")
        assert taken.value.person_id == eileen.person_id
        assert people.hide("Grace").hidden
        assert [one.person_id for one in people.page(hidden=True).people] == [grace.person_id]
        assert not people.hide("Grace", hidden=False).hidden
        last = faces_of(people, "Grace")[-1]
        assert people.cover("Grace", last).cover == last
        assert people.cover("Grace", None).cover == grace.cover

        twin = people.split(eileen, faces_of(people, eileen)[:2], "Twin")
        assert (twin.name, twin.faces) == ("Twin", 2)
        assert people.move(faces_of(people, eileen)[0], "Twin").faces == 3
        people.different("Twin", eileen)
        stranger = people.new(faces_of(people, "Twin")[0])
        assert (stranger.name, stranger.faces) == (None, 1)
        people.not_this_person(faces_of(people, stranger))
        assert len(faces_of(people, "Twin")) == 2
        people.not_this_person(faces_of(people, "Twin")[:1], "Grace")
        both = photo_called(library, "both.jpg")
        people.allow_twice(both.photo_id)
        assert set(people.constraints()["kind"]) == {"is", "is_not", "different", "allowed_twice"}
        people.allow_twice(both.photo_id, allowed=False)
        assert "allowed_twice" not in set(people.constraints()["kind"])
        people.assign()
        merged = people.merge(eileen, "Twin", grace)
        assert merged.person_id == eileen.person_id
        assert merged.faces >= eileen.faces + grace.faces - 1

        done = [entry for entry in people.journal(limit=200) if entry.number > start]
        assert {entry.user for entry in done} == {"local"}
        for entry in done:
            assert people.undo(entry.number).verb == "undo"
        pd.testing.assert_frame_equal(people.to_frame(), before)
        assert (people["Eileen"], people["Grace"]) == (eileen, grace)
        again = people.undo()
        assert people.undo(again.number).verb == "undo"


def test_what_can_t_be_done_is_said_as_in_a_folder(folder: Path, tmp_path: Path) -> None:
    with remote(folder) as library:
        people = library.people
        for who in ("nobody", "0" * 32, "", "a" * 300):
            with pytest.raises(fk.FacekitError):
                people.get(who)
        with pytest.raises(fk.UnknownIdError):
            people.faces("0" * 32)
        with pytest.raises(fk.UnknownIdError):
            library.photos(person="nobody")
        with pytest.raises(fk.UnknownIdError):
            library.photo_page(person="nobody")
        with pytest.raises(fk.FacekitError, match="all"):
            people.split("Grace", faces_of(people, "Grace"))
        with pytest.raises(fk.UnknownIdError):
            people.move("0" * 32, "Grace")
        with pytest.raises(fk.UnknownIdError):
            people.undo(10_000)
        with pytest.raises(fk.UnknownIdError):
            people.accept("0" * 32)
        with pytest.raises(fk.FacekitError, match="through a service"):
            people.links(tmp_path)
        with pytest.raises(fk.FacekitError):
            people.cluster("kmeans")
        assert len(people.runs()) == 1


def test_a_clustering_is_a_job_and_a_proposal_changes_nothing(folder: Path) -> None:
    with remote(folder) as library:
        people = library.people
        before, (first,) = people.to_frame(), people.runs()
        run = people.cluster("dbscan", eps=0.3, min_faces=3, accept=False)
        assert (run.method, run.state, run.parameters["eps"]) == ("dbscan", "proposed", 0.3)
        pd.testing.assert_frame_equal(people.to_frame(), before)
        assert people.compare(run, first).first == run.run_id
        assert people.accept(run.run_id[:6]).state == "accepted"
        other = people.cluster(accept=False)
        people.discard(other)
        states = {one.run_id: one.state for one in people.runs()}
        assert states == {first.run_id: "accepted", run.run_id: "accepted", other.run_id: "discarded"}
        assert [people["Eileen"].name, people["Grace"].name] == ["Eileen", "Grace"]
        job = library.session.job(library.session.get("jobs")[0]["job_id"])
        assert (job["kind"], job["state"], job["user"]) == ("cluster", "done", "local")
        assert list(job["report"]) == ["run", "method", "faces", "people", "unassigned", "conflicts", "seconds"]


def test_a_clustering_that_is_cancelled_changes_nothing(folder: Path, lfw: Path) -> None:
    with remote(folder, [lfw]) as library:
        started = library.session.send("POST", "/api/v1/upload/local", json={"path": str(lfw)})
        ingest = started.json()["job_id"]
        stop = Event()
        stop.set()
        with pytest.raises(fk.FacekitError, match="stopped"):
            library.people.cluster(stop=stop)  # it waits for its turn: photos come in
        jobs = {job["job_id"]: job for job in library.session.get("jobs")}
        assert jobs[ingest]["state"] == "running"
        assert [job["state"] for job in jobs.values() if job["kind"] == "cluster"] == ["cancelled"]
        assert len(library.people.runs()) == 1
        library.session.cancel(ingest)


def test_a_clustering_that_a_killed_service_left_is_taken_up_again(folder: Path) -> None:
    with fk.open(folder) as library:
        store = open_store(library.storage.backend)
        before = Jobs(store, library, lambda _: None, lambda _: True)  # never started: the service was killed
        left = before.add(Clustering(method="dbscan"), "ed")
        after = Jobs(store, library, lambda _: None, lambda _: True)
        after.start()
        while not after.get(left.job_id).ended:
            pass
        after.close()
        assert after.get(left.job_id).state is JobState.DONE
        assert "dbscan" in {run.method for run in library.people.runs()}
        assert library.people.journal(1)[0].user == "ed"
        store.close()


def test_who_may_read_sees_people_and_who_may_ingest_changes_them(guarded: TestClient) -> None:
    people = guarded.app.state.service.library.people
    grace = people["Grace"].person_id
    face = faces_of(people, "Grace")[0]
    photo = people.faces("Grace").photos[0].photo_id
    changes = [
        ("PATCH", f"{PEOPLE}/{grace}", {"name": "Amazing Grace"}),
        ("POST", f"{PEOPLE}/{grace}/faces", {"faces": [face]}),
        ("POST", PEOPLE, {"faces": [face]}),
        ("POST", f"{PEOPLE}/{grace}/split", {"faces": [face]}),
        ("POST", f"{PEOPLE}/{grace}/merge", {"others": [people["Eileen"].person_id]}),
        ("POST", f"{PEOPLE}/{grace}/different", {"other": people["Eileen"].person_id}),
        ("POST", f"{PEOPLE}/not-this-person", {"faces": [face]}),
        ("PUT", f"/api/v1/photos/{photo}/allowed-twice", {"allowed": True}),
        ("POST", f"{PEOPLE}/undo", {}),
        ("POST", f"{PEOPLE}/assign", None),
        ("POST", f"{PEOPLE}/xmp/write", {}),
        ("POST", f"{PEOPLE}/xmp/read", {}),
        ("POST", RUNS, {}),
        ("POST", f"{RUNS}/{people.runs()[0].run_id}/accept", None),
        ("POST", f"{RUNS}/{people.runs()[0].run_id}/discard", None),
    ]
    before = people.journal()
    viewer = sign_in(guarded, "vi")
    for method, path, body in changes:
        assert guarded.request(method, path, json=body, headers=viewer).status_code == 403, path
    assert people.journal() == before
    assert guarded.get("/api/v1/export/people", headers=viewer).status_code == 403
    assert guarded.get(f"{PEOPLE}/{grace}", headers=viewer).json()["name"] == "Grace"
    editor = sign_in(guarded, "ed")
    changed = guarded.patch(f"{PEOPLE}/{grace}", json={"name": "Amazing Grace"}, headers=editor)
    assert changed.json()["name"] == "Amazing Grace"
    assert people.journal(1)[0].user == "ed"
    # Each says which entry it is, to be taken back by.
    for verb, asked in (("POST", changes[6]), ("PUT", changes[7]), ("PATCH", (*changes[0][:2], {"hidden": True}))):
        entry = guarded.request(verb, asked[1], json=asked[2], headers=editor).json()["entry"]
        assert entry == people.journal(1)[0].number
    job = guarded.post(RUNS, json={}, headers=editor)
    assert (job.status_code, job.json()["user"]) == (202, "ed")
    assert wait_for(guarded, job.json()["job_id"], editor)["state"] == "done"
    assert guarded.get("/api/v1/export/people?format=json", headers=editor).json()[0]["person"]


def test_a_viewer_sees_no_path_of_the_machine_in_what_is_about_people(
    guarded: TestClient, folder: Path, demo_photos: DemoPhotos
) -> None:
    library = guarded.app.state.service.library
    people = library.people
    both = photo_called(library, "both.jpg")
    for face in both.faces:
        people.move(face.face_id, "Grace")  # twice on one photo: a conflict
    people.cluster(min_faces=3)
    people.allow_twice(both.photo_id)
    people.allow_twice(both.photo_id, allowed=False)
    people.new(faces_of(people, "Eileen")[:3])
    run = people.runs()[-1].run_id
    looks = ["", "/journal", "/conflicts", "/duplicates", "/review", "/constraints", "/resolve?who=Grace"]
    looks += [f"/{people['Grace'].person_id}{what}" for what in ("", "/faces", "/quality")]
    paths = [PEOPLE + look for look in looks] + [RUNS, f"{RUNS}/{run}/compare", "/api/v1/photos?person=Grace"]
    secrets = {str(folder), str(folder.parent), str(demo_photos.folder.parent)}
    answers = {who: [guarded.get(path, headers=sign_in(guarded, who)) for path in paths] for who in ("vi", "ed")}
    for answer in answers["vi"]:
        assert answer.status_code == 200, answer.text
        for secret in secrets:
            assert secret not in answer.text, answer.request.url
    conflict = answers["vi"][2].json()[0]
    assert conflict["photo"].startswith("photos/")
    said = [words for run in answers["vi"][10].json() for words in run["conflicts"]]
    assert any(" on both.jpg. " in words for words in said)
    allowed = [entry["words"] for entry in answers["vi"][1].json() if entry["verb"] == "allow_twice"]
    assert allowed == ["both.jpg may not show a face twice", "both.jpg may show a face twice"]
    assert answers["vi"][8].json()["photos"][0]["path"].startswith("photos/")
    assert answers["ed"][2].json()[0]["photo"] == both.path


def test_a_person_is_changed_in_one_request_and_what_is_left_out_stays(client: TestClient) -> None:
    grace = client.get(f"{PEOPLE}/resolve", params={"who": "grace"}).json()
    face = client.get(f"{PEOPLE}/{grace['person_id']}/faces").json()["members"][-1]["face"]["face_id"]
    url = f"{PEOPLE}/{grace['person_id']}"
    changed = client.patch(url, json={"name": "Grace Hopper", "cover": face, "hidden": True}).json()
    assert (changed["name"], changed["cover"], changed["hidden"]) == ("Grace Hopper", face, True)
    assert client.patch(url, json={}).json() == changed | {"entry": 0}
    again = client.patch(url, json={"name": None}).json()
    assert (again["name"], again["cover"], again["hidden"]) == (None, face, True)
    refused = client.post(f"{url}/split", json={"faces": ["0" * 32]})
    assert refused.status_code in {404, 409}
    assert client.post(f"{PEOPLE}/undo", json={"number": 4000}).status_code == 404
    assert client.get(f"{PEOPLE}/Grace").status_code == 422


def test_a_change_that_is_refused_in_part_is_refused_as_a_whole(client: TestClient) -> None:
    people = client.app.state.service.library.people
    eileen, journal = people["Eileen"], people.journal()
    url, cover = f"{PEOPLE}/{eileen.person_id}", faces_of(people, eileen)[-1]
    of_another = faces_of(people, "Grace")[0]
    for wrong in ({"name": "Eileen Collins", "cover": of_another}, {"name": "grace", "cover": cover, "hidden": True}):
        assert client.patch(url, json=wrong).status_code == 409
        assert (people["Eileen"], people.journal()) == (eileen, journal)
    client.patch(url, json={"hidden": True, "cover": cover, "name": "Eileen Collins"})
    assert people.journal(1)[0].words == "Eileen is called Eileen Collins, has another cover face, is hidden"
    people.undo()
    assert people["Eileen"] == eileen


def test_a_clustering_that_makes_no_sense_is_refused_at_once(client: TestClient) -> None:
    too_many, far_too_many = {"method": "dbscan", "min_faces": 257}, {"method": "hdbscan", "min_faces": 2**31}
    for options in ({"method": "kmeans"}, {"people": 3}, too_many, far_too_many):
        refused = client.post(RUNS, json=options)
        assert refused.status_code == 422, options
        assert refused.json()["detail"]["message"]
    assert client.get("/api/v1/jobs").json() == []


def test_names_are_neither_written_nor_read_while_photos_come_in(client: TestClient) -> None:
    library = client.app.state.service.library
    for verb in ("write", "read"):
        with library._storage.changing("An ingest"):
            busy = client.post(f"{PEOPLE}/xmp/{verb}", json={})
        assert (busy.status_code, busy.json()["detail"]["kind"]) == (409, "busy")


def test_a_client_waits_for_names_as_long_as_it_takes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*_: object, **__: object) -> XmpReport:
        time.sleep(1)
        return XmpReport()

    monkeypatch.setattr(LocalPeople, "write_xmp", slowly)
    monkeypatch.setattr(LocalPeople, "read_xmp", slowly)
    with remote(folder) as library:
        library.session._client.timeout = 0.3
        assert (library.people.write_xmp(), library.people.read_xmp()) == (XmpReport(), XmpReport())


def test_only_photos_can_be_chosen_by_person(client: TestClient) -> None:
    assert client.get("/api/v1/export/faces?person=Grace").status_code == 422
    assert client.get("/api/v1/export/photos?person=nobody").status_code == 404
    rows = client.get("/api/v1/export/photos?person=Grace&together_with=Eileen&format=json").json()
    assert sorted(row["path"].rpartition("/")[2] for row in rows) == TOGETHER


def test_names_travel_to_sidecars_and_back_through_a_service(
    demo_photos: DemoPhotos, places: Places, tmp_path: Path
) -> None:
    album = shutil.copytree(demo_photos.folder, tmp_path / "album")
    with fk.open(places.new(tmp_path / "lib")) as library:
        library.ingest(album, progress=False)
        library.people.cluster()
        library.people.name(library.people.page().people[0], "Eileen")
    with remote(tmp_path / "lib", [album]) as library:
        report = library.people.write_xmp(album)
        assert (report.failed, report.photos > 10) == ((), True)
        assert len(list(album.rglob("*.xmp"))) == report.photos
        library.people.name("Eileen", None)
        assert library.people.read_xmp(album).faces > 10
        assert library.people["Eileen"].faces > 10
        for elsewhere in (tmp_path / "nowhere", tmp_path / "lib"):
            with pytest.raises(fk.FacekitError, match="no photo there"):
                library.people.write_xmp(elsewhere)
