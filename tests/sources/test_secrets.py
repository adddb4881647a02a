"""A token is in no file, no log, no export, no backup, no job and no error: all of them are searched for it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

from fake_service import jpeg
from fake_vk import FakeVk, error, vk_photos
from fastapi.testclient import TestClient
from service import HERE, OWNER_KEY
from typer.testing import CliRunner

import facekit as fk
from facekit.cli.main import app
from facekit.server.access import Access
from facekit.server.accounts import Accounts
from facekit.server.app import create_app
from facekit.server.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TOKEN = "vk1.a.Zx81-secret~token/of+somebody=="


def forms(token: str) -> list[bytes]:
    """What would give it away: as it is, its halves, in base64, in an address, in JSON."""
    half = len(token) // 2
    texts = [token, token[:half], token[half:], quote(token, safe=""), json.dumps(token)]
    texts += [b64encode(token.encode()[cut:])[4:-4].decode() for cut in range(3)]
    texts += [urlsafe_b64encode(token.encode()[cut:])[4:-4].decode() for cut in range(3)]
    return [text.encode() for text in texts]


def leaks(*places: Path, said: str = "") -> list[str]:
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    found = [str(path) for path in files for form in forms(TOKEN) if form in path.read_bytes()]
    return found + [form.decode() for form in forms(TOKEN) if form in said.encode()]


def test_a_token_stands_nowhere_but_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, backup, exports = (tmp_path / name for name in ("library", "backup", "exports"))
    exports.mkdir()
    said = []
    with FakeVk(vk_photos(2)) as fake:
        fake.tokens[TOKEN] = "service"
        for name, value in fake.variables().items():
            monkeypatch.setenv(name, value)
        with fk.open(folder) as library:
            said.append(repr(library.sources.add("vk", settings=fake.settings(), token=TOKEN)))
            said.append(repr(library.sources.sync(progress=False)))
            assert library.stats()["files"] == 2
            fake.add(vk_photos(1, first=7)[0])
            fake.fail(error(5, more=TOKEN), times=50)  # a service that says it back
            said.append(repr(library.sources.sync(progress=False)))
            said += [repr(library.sources.list()), repr(library.sources.check("vk")), repr(library.doctor())]
            for table in ("photos", "faces"):
                library.export(table, exports / f"{table}.csv")
            library.backup(backup)
            fake.heal()
            service = Service(library)
            with TestClient(create_app(service, Access(Accounts(service.store), OWNER_KEY)), HERE) as client:
                job = client.post("/api/v1/sources/vk/sync", json={}).json()["job_id"]
                while not (now := client.get(f"/api/v1/jobs/{job}").json())["finished_at"]:
                    pass
                said += [json.dumps(now), client.get("/api/v1/sources").text, client.get("/metrics").text]
        done = CliRunner().invoke(app, ["--library", str(folder), "sources", "list", "--json"])
        said += [done.output, *map(repr, capfd.readouterr())]
        assert leaks(folder, backup, exports, said="\n".join(said)) == []
        assert list(folder.rglob("tokens.json"))  # there it is, sealed
        assert not list(backup.rglob("tokens.json"))
        with fk.open(folder) as library:
            library.sources.remove("vk", photos="forget")
        assert not list(folder.rglob("tokens.json"))


def test_what_is_searched_for_would_be_found(tmp_path: Path) -> None:
    for number, form in enumerate(forms(TOKEN)):
        (tmp_path / f"{number}").write_bytes(jpeg(1) + form)
    assert len(leaks(tmp_path)) >= len(forms(TOKEN))
