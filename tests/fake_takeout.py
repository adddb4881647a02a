"""An export of Google Photos, as Google Takeout makes it: zip files with albums and sidecars."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Self

    from fake_service import FakePhoto

    from facekit.sources.item import Token

STAMP = "takeout-20240101T120000Z"


def sidecar(title: str, taken: int = 1_600_596_727, **more: Any) -> bytes:
    """What Google writes beside a photo."""
    said = {
        "title": title,
        "description": "",
        "creationTime": {"timestamp": "1600598769", "formatted": "Sep 20, 2020, 10:46:09 AM UTC"},
        "photoTakenTime": {"timestamp": str(taken), "formatted": "Sep 20, 2020, 10:12:07 AM UTC"},
        "geoData": {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0, "latitudeSpan": 0.0, "longitudeSpan": 0.0},
        "people": [{"name": "Дочь"}],
        "url": "https://photos.google.com/photo/AF1QipOyLtYKtmMPyLhse9O8lOcWmb6LND5",
    }
    return json.dumps(said | more, ensure_ascii=False, indent=2).encode()


def part(folder: Path, number: int, files: Mapping[str, bytes], product: str = "Google Photos") -> Path:
    """One zip file of an export, with files by their paths below Google Photos' folder."""
    path = folder / f"{STAMP}-{number:03d}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"Takeout/{product}/{name}", data)
    return path


class FakeTakeout:
    """An export in two parts: the sidecars of the photos in one lie in the other."""

    kind = "takeout"

    def __init__(self, folder: Path, photos: Iterable[FakePhoto] = ()) -> None:
        self.folder = folder
        self.photos = {self._keyed(photo).key: self._keyed(photo) for photo in photos}

    def settings(self) -> dict[str, str]:
        return {"path": str(self.folder)}

    def token(self) -> Token | None:
        return None

    def variables(self) -> dict[str, str]:
        return {}

    def add(self, photo: FakePhoto) -> None:
        photo = self._keyed(photo)
        self.photos[photo.key] = photo
        self._write()

    def remove(self, key: str) -> None:
        del self.photos[key]
        self._write()

    def change(self, key: str, data: bytes) -> None:
        self.photos[key] = replace(self.photos[key], data=data)
        self._write()

    def __enter__(self) -> Self:
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.folder.glob("*.zip"):
            path.unlink()

    @staticmethod
    def _keyed(photo: FakePhoto) -> FakePhoto:
        album = photo.album or "Photos from 2019"
        return replace(photo, album=album, key=f"{album}/{photo.name}")

    def _write(self) -> None:
        parts: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
        for number, photo in enumerate(self.photos.values()):
            parts[number % 2][photo.key] = photo.data
            parts[1 - number % 2][f"{photo.key}.supplemental-metadata.json"] = sidecar(photo.name)
        for number, files in enumerate(parts, start=1):
            part(self.folder, number, files)
