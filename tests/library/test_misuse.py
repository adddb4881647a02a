"""Probes of every kind, and what is misused: each works, or says what is meant."""

from __future__ import annotations

import base64
import inspect
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from ready import facekit
from service import remote, served

import facekit as fk
from facekit.cli.terminal import in_shell_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from family import Family

    from facekit.library.base import Library

JUNK = [None, "", 0, -1, 3.5, "/dev/null/nope", b"\xff", "a" * 5000, [], {}, object(), "\0", [1], "\udcff"]


@contextmanager
def opened(family: Family, folder: Path, home: str) -> Iterator[Library]:
    """A copy of the library, in its folder or behind a service."""
    with family.opened(folder, grouped=True) as library:
        if home == "local":
            library.people.name(library.people[0], "Anna")
            yield library
            return
    with remote(folder) as library:
        library.people.name(library.people[0], "Anna")
        yield library


@pytest.mark.parametrize("home", ["local", "remote"])
def test_whatever_holds_a_picture_is_a_probe(
    family: Family, tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = family.photos / "lagos1.jpg"
    raw = path.read_bytes()
    monkeypatch.setenv("HOME", str(family.photos))
    with opened(family, tmp_path / "L", home) as library, path.open("rb") as file:
        best = library.search(path)[0]
        assert best.photo == str(path)
        uri = "data:image/jpeg;base64," + base64.b64encode(raw).decode()
        upload = {"name": "lagos1.jpg", "type": "image/jpeg", "content": memoryview(raw)}
        probes = ["~/lagos1.jpg", memoryview(raw), bytearray(raw), io.BytesIO(raw), file, file, uri, (upload,)]
        for probe in [*probes, Image.open(path), fk.read_image(path)]:
            hits = library.search(probe)
            assert (hits[0].photo, round(hits[0].similarity, 2)) == (best.photo, round(best.similarity, 2))
            assert library.faces_in(probe[0] if isinstance(probe, tuple) else probe)


@pytest.mark.parametrize("home", ["local", "remote"])
def test_who_is_in_the_library_is_a_probe(family: Family, tmp_path: Path, home: str) -> None:
    with opened(family, tmp_path / "L", home) as library:
        hit = library.search(family.photos / "lagos1.jpg")[0]
        face = next(one for one in library.photo(hit.photo_id).faces if one.face_id == hit.face_id)
        for probe in (hit, face, hit.face_id):
            hits = library.search(probe)
            assert hits[0].face_id == hit.face_id
            assert hits[0].similarity == pytest.approx(1, abs=1e-3)
            assert hits.probes[0].path == hit.photo
        anna = library.people["Anna"]
        ids, vectors = library.embeddings()
        frame = library.people.to_frame()
        hers = [ids.index(key) for key in frame.loc[frame["person_id"] == anna.person_id, "face_id"] if key in ids]
        found = library.search(anna, min_similarity=-1)
        mean = vectors[hers].mean(axis=0)
        truth = {key: float(value) for key, value in zip(ids, vectors @ mean / np.linalg.norm(mean), strict=True)}
        assert {one.photo_id for one in found[: anna.photos]} == {
            one.photo_id for one in library.photo_page(person=anna).photos
        }
        for one in found:
            assert one.similarity == pytest.approx(truth[one.face_id], abs=1e-3)
        mixed = library.search([anna, family.photos / "lagos2.jpg", hit.face_id], face=[None, 0, None])  # type: ignore[list-item]
        assert [one.path for one in mixed.probes] == ["Anna", str(family.photos / "lagos2.jpg"), hit.photo]
        with pytest.raises(fk.UnknownIdError):
            library.search("0" * 32)


@pytest.mark.parametrize("home", ["local", "remote"])
def test_what_no_search_can_mean_says_what_is_meant(family: Family, tmp_path: Path, home: str) -> None:
    probe = family.photos / "lagos1.jpg"
    asked: list[tuple[dict[str, Any], str]] = [
        ({"min_similarity": 2}, "-1 to 1"),
        ({"min_similarity": float("nan")}, "-1 to 1"),
        ({"top_k": 0}, "at least 1"),
        ({"after": "yesterday"}, "2019-12-31"),
        ({"after": 7}, "2019-12-31"),
        ({"after": "2020-01-01", "before": "2019-01-01"}, "Exchange"),
        ({"folder": "/nope"}, "folders"),
        ({"person": 7}, "can't be named by int"),
    ]
    with opened(family, tmp_path / "L", home) as library:
        for options, words in asked:
            with pytest.raises(fk.FacekitError, match=words):
                library.search(probe, **options)
        with pytest.raises(fk.FacekitError, match="folders"):
            library.photo_page(folder="/nope")
        with pytest.raises(TypeError, match="Did you mean 'min_similarity'"):
            library.search(probe, min_similarty=0.5)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="Did you mean 'person'"):
            library.photos(persn="Anna")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="Did you mean 'hidden'"):
            library.people.page(hiden=True)  # type: ignore[call-arg]
        assert library.search(probe, folder=family.photos)
        assert "top_k" in inspect.signature(library.search).parameters


@pytest.mark.parametrize("home", ["local", "remote"])
def test_who_is_given_in_the_wrong_form_is_told_the_right_one(family: Family, tmp_path: Path, home: str) -> None:
    with opened(family, tmp_path / "L", home) as library:
        for probe in ("Anna", [family.photos / "lagos1.jpg", "Anna"]):
            with pytest.raises(fk.PhotoError, match=r'A person is called so: search for lib\.people\["Anna"\]'):
                library.search(probe)
        with pytest.raises(fk.PhotoError) as nobody:
            library.search("Nobody.jpg")
        assert "people" not in str(nobody.value)
        hits = library.search(library.people["Anna"])
        for several in (hits, [hits]):
            with pytest.raises(fk.FacekitError, match=r"hits\[0\]"):
                library.search(several)  # type: ignore[arg-type]
        assert library.search(hits[:2])


@pytest.mark.parametrize("home", ["local", "remote"])
@pytest.mark.parametrize("progress", [3, "yes", 0.5])
def test_progress_that_is_none_is_refused_before_anything_is_done(
    family: Family, tmp_path: Path, home: str, progress: Any
) -> None:
    with opened(family, tmp_path / "L", home) as library:
        before = library.stats()["last_run"]
        for verb in (
            lambda: library.ingest(family.photos, progress=progress),
            lambda: library.reembed(progress=progress),
        ):
            with pytest.raises(fk.FacekitError, match=r"progress=.*True, False nor a function"):
                verb()
        assert library.stats()["last_run"] == before


def test_both_ways_to_say_it_are_one_in_a_shell() -> None:
    said = {
        'A person is called so: search for lib.people["Anna"].': (
            "A person is called so: give the id of a face of theirs, which `facekit export people -o FILE` lists."
        ),
        "lib.reembed() or: facekit reembed": "facekit reembed",
        'To change them: lib.reembed(detector="a", embedder="b") or: facekit reembed --detector a': (
            "To change them: facekit reembed --detector a"
        ),
        "Elsewhere now: lib.relocate(old, new) or facekit relocate OLD NEW.": (
            "Elsewhere now: facekit relocate OLD NEW."
        ),
    }
    assert {python: in_shell_words(python) for python in said} == said


@pytest.mark.parametrize("home", ["local", "remote"])
def test_people_by_position_and_by_name(family: Family, tmp_path: Path, home: str) -> None:
    with opened(family, tmp_path / "L", home) as library:
        everybody = list(library.people)
        assert library.people[0] == everybody[0]
        assert library.people[-1] == everybody[-1]
        assert "Anna" in library.people
        assert library.people["Anna"] in library.people
        assert "Nobody" not in library.people
        assert 7 not in library.people
        for wrong in (99, "Nobody", None, 1.5):
            with pytest.raises(fk.FacekitError):
                library.people[wrong]  # type: ignore[index]


def test_plain_functions_take_paths(family: Family, tmp_path: Path) -> None:
    one, two = family.photos / "lagos1.jpg", family.photos / "lagos2.jpg"
    assert len(fk.detect(one)) == len(fk.detect(str(one))) == 1
    assert [len(found) for found in fk.detect([one, fk.read_image(two)])] == [1, 1]
    assert fk.similarity(fk.embed(one)[0], fk.embed(str(two))[0]) > 0.4
    with pytest.raises(fk.EmbeddingError, match=r"fk\.embed"):
        fk.similarity(str(one), str(two))
    with pytest.raises(fk.FacekitError, match="is a file, and a library is a folder"):
        fk.open(one)
    for wrong in ("", "\0", tmp_path / ("n" * 300), one / "below"):
        with pytest.raises(fk.FacekitError):
            fk.open(wrong)


def test_a_shell_is_told_in_its_own_words(demo_folder: Path, ordinary_photos: Path) -> None:
    probe = ordinary_photos / "img20.jpg"
    for arguments, words in [
        (("search", probe, "--person", "Nobody"), "`facekit people` lists"),
        (("search", probe, "--folder", "/nope"), "holds no photo in /nope"),
        (("name", "Nobody", "Ann"), "`facekit people` lists"),
        (("ingest", ordinary_photos, "--detail", "5"), "number of pixels from"),
        (("export", "faces", "-o", "/proc/nothing.csv"), "can't be written"),
    ]:
        done = facekit("-L", demo_folder, *arguments)
        said = [line for line in done.stderr.splitlines() if line.startswith("facekit:")]
        assert done.returncode == 1
        assert len(said) == 1
        assert words in said[0]
        assert "lib." not in said[0]
        assert "Traceback" not in done.stderr


def test_the_service_says_it_in_words(family: Family, tmp_path: Path) -> None:
    family.opened(tmp_path / "L", grouped=True).close()
    with served(tmp_path / "L") as client:
        key = {"X-API-Key": "a key that is new at every start"}
        nobody = client.post("/api/v1/search/upload", headers=key, files={"top_k": (None, "1")})
        assert (nobody.status_code, "lacks file" in nobody.json()["detail"]["message"]) == (422, True)
        nowhere = client.get("/api/v1/photos", headers=key, params={"folder": "/nope"})
        assert (nowhere.status_code, "no photo" in nowhere.json()["detail"]["message"]) == (422, True)


def test_nonsense_never_ends_in_a_raw_error(family: Family, tmp_path: Path) -> None:  # noqa: C901 - a walk
    """Every public verb with every kind of nonsense: it works, or an error says so in at most 500 characters."""
    raw: list[str] = []

    def attempt(name: str, verb: Any, *args: Any, **options: Any) -> None:
        try:
            verb(*args, **options)
        except (fk.FacekitError, TypeError, ValueError) as error:
            if isinstance(error, UnicodeError) or len(str(error)) > 500:
                raw.append(f"{name} {args!r:.40} {options!r:.40}: {type(error).__name__} {error!s:.80}")
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            raw.append(f"{name} {args!r:.40} {options!r:.40}: {type(error).__name__} {error!s:.80}")

    with family.opened(tmp_path / "L", grouped=True) as library:
        for owner, of in ((fk.Library, library), (fk.People, library.people)):
            for name, verb in inspect.getmembers(of, inspect.ismethod):
                left_out = {"close", "show", "reembed", "ingest", "write_xmp", "read_xmp", "cluster"}
                if name.startswith("_") or name in left_out or not hasattr(owner, name):
                    continue
                given = [one for one in inspect.signature(verb).parameters.values() if one.default is one.empty]
                for junk in JUNK:
                    attempt(name, verb, *[junk] * max(1, len(given)))
        for junk in JUNK:
            for option in ("top_k", "min_similarity", "face", "source", "folder", "after", "before", "person"):
                hers = library.faces()["face_id"][0]
                attempt("search", library.search, hers, **{option: junk})
            for option in ("hidden", "named", "text", "offset", "limit"):
                attempt("people.page", library.people.page, **{option: junk})
            for option in ("status", "folder", "person", "offset", "limit"):
                attempt("photo_page", library.photo_page, **{option: junk})
    for junk in JUNK:
        for name in ("align", "detect", "embed", "read_image", "scan", "similarity"):
            verb = getattr(fk, name)
            given = [one for one in inspect.signature(verb).parameters.values() if one.default is one.empty]
            attempt(name, verb, *[junk] * sum(one.kind is not one.VAR_KEYWORD for one in given))
    assert not raw, "\n".join(raw)


def test_no_path_never_means_the_folder_one_is_in(
    family: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty path, as of a variable that is not set, removed all photos below the current folder."""
    with family.opened(tmp_path / "L") as library:
        monkeypatch.chdir(family.photos)
        before = len(library.photos())
        for path in ("", None, 3, [str(family.photos)]):
            given: Any = path
            for verb in (library.remove, library.ingest, fk.scan, fk.open):
                with pytest.raises(fk.FacekitError, match="is no path"):
                    verb([given] if verb == library.remove else given)  # which takes several, too
            for arguments in ((given, family.photos), (family.photos, given)):
                with pytest.raises(fk.FacekitError, match="is no path"):
                    library.relocate(*arguments)
        for nothing in ("", None, 3):
            with pytest.raises(fk.FacekitError, match="is no path"):
                library.remove(nothing)  # type: ignore[arg-type]
        assert len(library.photos()) == before > 0


def test_table_that_is_none_is_refused_before_a_file_is_made(family: Family, tmp_path: Path) -> None:
    with family.opened(tmp_path / "L") as library:
        table: Any = "nope"
        with pytest.raises(fk.FacekitError, match=r"no table 'nope'\. Take one of faces, photos"):
            library.export(table, tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_nothing_is_written_into_the_library_itself(family: Family, tmp_path: Path) -> None:
    with family.opened(tmp_path / "family", grouped=True) as library:
        for write in (
            lambda: library.export("faces", library.folder / "x.csv"),
            lambda: library.people.links(library.folder / "people"),
        ):
            with pytest.raises(fk.FacekitError, match="the library's own folder"):
                write()
        with pytest.raises(fk.FacekitError, match="no number of a face"):
            library.search(next(family.photos.glob("*.jpg")), face="a")
        with pytest.raises(fk.FacekitError, match="no list of patterns"):
            library.ingest(family.photos, exclude=3, progress=False)
