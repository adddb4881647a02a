"""Photos of the demo's library that are at connected places, too, or only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facekit.catalog.records import FileRecord
from facekit.types.photos import FoundFile, PlaceFacts

if TYPE_CHECKING:
    from facekit.library.local import LocalLibrary

RUN = {"run_id": "r", "detector": "yunet", "embedder": "sface"}
SOURCES = {"vk-anna": "vk", "vk-boris": "vk", "dropbox": "dropbox"}


class At(NamedTuple):
    """A photo of the demo at a connected place."""

    photo: str
    source: str
    album: str
    link: str | None = None

    @property
    def path(self) -> str:
        """As it is shown."""
        return f"{self.source}:/{self.album}{'/' if self.album else ''}{self.photo}"


SUMMER = "Лето 2019"
BOTH = At("both.jpg", "vk-anna", SUMMER, "https://vk.com/photo1_2")
SELFIE = At("selfie.webp", "vk-anna", "2020/Море", "https://vk.com/photo1_3")
PORTRAIT = At("portrait.png", "vk-boris", SUMMER, "https://vk.com/photo2_4")
HOPPER = At("hopper.jpg", "dropbox", "Family/Trips 👩‍🚀")
ROCKET = At("rocket.jpg", "dropbox", "", "javascript:alert(1)")
PLACES = (BOTH, SELFIE, PORTRAIT, HOPPER, ROCKET)
ONLY_THERE = (BOTH, SELFIE, ROCKET)
"""Those that no folder has any more."""


def connect(library: LocalLibrary) -> None:
    """Put the photos there, as a sync of these places would."""
    catalog = library.storage.catalog
    for name, kind in SOURCES.items():
        catalog.sources.add(name, kind, {}, keep_originals=False)
    photos = library.photos()
    ids = {one.photo: photos.loc[photos["path"].str.endswith("/" + one.photo), "photo_id"].iloc[0] for one in PLACES}
    for number, one in enumerate(PLACES):
        facts = PlaceFacts("1", one.album, one.link)
        file = FoundFile(one.source, f"key{number}".encode(), one.path, 1000, 10**18, facts)
        library.storage.follow(catalog.save([], [FileRecord(file, ids[one.photo])], **RUN))
    gone = [ids[one.photo] for one in ONLY_THERE]
    for files in catalog.places(gone).values():
        paths = [file.path for file in files if file.source == "local"]
        library.storage.follow(catalog.remove_files("local", paths))
