"""``library.toml``: what a library is made of and which models it is bound to."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from facekit.errors import LibraryError, ModelMismatchError
from facekit.models.registry import model_info

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
FILE = "library.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """The models that made a library, with the versions of facekit's own steps around them."""

    detector: str
    detector_version: str
    embedder: str
    embedder_version: str
    dimension: int


def read_settings(folder: Path) -> Settings | None:
    """The settings of a library, or None where there is no library yet.

    Raises
    ------
    LibraryError
        If the file can't be understood, or a newer facekit wrote it.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        document = tomllib.loads(text)
        version, models = int(document["format"]), document["models"]
        settings = Settings(**{name: kind(models[name]) for name, kind in _FIELDS.items()})
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path} is damaged: {error}."
        raise LibraryError(message, "Restore it from a backup, or make a new library from the photos.") from error
    if version > FORMAT:
        message = f"{folder} was made by a newer facekit (format {version}; this one knows {FORMAT})."
        raise LibraryError(message, "Upgrade facekit.")
    return settings


_FIELDS = {"detector": str, "detector_version": str, "embedder": str, "embedder_version": str, "dimension": int}


def write_settings(folder: Path, settings: Settings) -> None:
    """Write the settings of a library; a library that has some keeps the moment of its making."""
    try:
        created = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))["created"]
    except (FileNotFoundError, KeyError):
        created = datetime.now().astimezone().replace(microsecond=0)
    lines = ["# A facekit library. The models below made it; only the same models may add to it.", f"format = {FORMAT}"]
    lines += [f"created = {created.isoformat()}", "", "[models]"]
    lines += [f'{name} = "{getattr(settings, name)}"' for name in _FIELDS if name != "dimension"]
    lines += [f"dimension = {settings.dimension}", ""]
    part = folder / (FILE + ".part")
    part.write_text("\n".join(lines), encoding="utf-8")
    os.replace(part, folder / FILE)  # noqa: PTH105 - atomic


def settings_of(detector: str, embedder: str) -> Settings:
    """What a library of these models is bound to.

    Raises
    ------
    FacekitError
        If there is no such model.
    """
    found, embeds = model_info(detector), model_info(embedder)
    return Settings(found.name, found.version, embeds.name, embeds.version, embeds.dimension)


def new_settings(folder: Path, detector: str, embedder: str) -> Settings:
    """The settings of a new library, whose folder is made; it must be empty."""
    settings = settings_of(detector, embedder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = sorted({path.name for path in folder.iterdir()} - {"lock", "owner.json", FILE + ".part"})
    except OSError as error:
        message = f"No library can be made in {folder}: {error.strerror}."
        raise LibraryError(message, "Choose a folder that can be written.") from error
    if others:
        message = f"{folder} is not a facekit library, and not empty (it holds {others[0]!r})."
        raise LibraryError(message, "Choose a new folder for the library; photos stay where they are.")
    return settings


def check_models(settings: Settings | None, folder: Path, detector: str | None, embedder: str | None) -> None:
    """Refuse to open a library that other models made than those named."""
    if settings is None:
        return
    named = (("detector", detector, settings.detector), ("embedder", embedder, settings.embedder))
    others = [(kind, asked, made) for kind, asked, made in named if asked not in {None, made}]
    if others:
        asked, made = " + ".join(str(one[1]) for one in others), " + ".join(one[2] for one in others)
        call = ", ".join(f'{kind}="{name}"' for kind, name, _ in others)
        options = " ".join(f"--{kind} {name}" for kind, name, _ in others)
        message = f"The library {folder} was made with {made}, not with {asked}; vectors don't mix."
        change = f"lib.reembed({call}) or: facekit reembed {options}"
        raise ModelMismatchError(message, f"Open it without naming models; to change them: {change}")


def check_versions(settings: Settings) -> None:
    """Refuse to compare new vectors with those that another version of the models made."""
    for made, version in (
        (settings.detector, settings.detector_version),
        (settings.embedder, settings.embedder_version),
    ):
        now = model_info(made).version
        if version != now:
            message = f"The library was made with {made} version {version}; this facekit has {now}; vectors don't mix."
            remedy = "Make its faces anew with lib.reembed() or: facekit reembed"
            raise ModelMismatchError(message, remedy)
