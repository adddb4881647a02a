"""``library.toml``: what a library is made of, which models it is bound to, and the threshold set for it."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loguru import logger

from facekit.arguments import checked_similarity
from facekit.errors import FacekitError, LibraryError, ModelMismatchError, OtherVectorsError
from facekit.models.registry import default_models, model_for, model_info
from facekit.sources.left_out import checked
from facekit.sources.mounts import Mounts
from facekit.system.disk_space import remedy_for
from facekit.system.permissions import make_private_folder, private_opener

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT = 1
FILE = "library.toml"

_BY_NAME = "asked for by name"
REEMBEDDED = "the library was re-embedded with them"


@dataclass(frozen=True, slots=True)
class Threshold:
    """The similarity that somebody set for a library's searches, and the embedder whose similarities it means."""

    search_similarity: float
    embedder: str
    embedder_version: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The models that made a library, with the versions of facekit's own steps around them, and why these models."""

    detector: str
    detector_version: str
    embedder: str
    embedder_version: str
    dimension: int
    reason: str = ""
    threshold: Threshold | None = None
    created: datetime | None = None
    exclude: tuple[str, ...] = ()
    mounts: dict[str, str] = field(default_factory=dict)  # folders by name, see facekit.sources.mounts.Mounts
    catalog: bool = False  # whether there was a catalog: one that is missing then is lost, and not new

    @property
    def models(self) -> dict[str, Any]:
        """What the library is bound to: names, versions, and the length of a vector."""
        return {name: getattr(self, name) for name in _FIELDS}

    @property
    def words(self) -> str:
        """The models with their versions: those before and after a change may differ in nothing else."""
        return f"{self.detector} {self.detector_version} + {self.embedder_words}"

    @property
    def embedder_words(self) -> str:
        """The embedder with its version, whose similarities thresholds mean: ``sface 1``."""
        return f"{self.embedder} {self.embedder_version}"

    def with_models(self, models: dict[str, Any], reason: str) -> Settings:
        """The same library with other models; a threshold is kept, and counts while its embedder is in use."""
        return replace(self, **models, reason=reason)

    @property
    def own_similarity(self) -> float | None:
        """What was set for this embedder, or None."""
        own = self.threshold
        if own is not None and (own.embedder, own.embedder_version) == (self.embedder, self.embedder_version):
            return own.search_similarity
        return None

    @property
    def search_similarity(self) -> float:
        """What a search takes by default: what was set for this embedder, or else the model's own."""
        own = self.own_similarity
        return model_info(self.embedder).search_similarity if own is None else own

    def with_search_similarity(self, value: float | None, embedder: str | None = None) -> Settings:
        """The same with another similarity to search from; None takes the model's own again.

        Raises
        ------
        FacekitError
            If it is not from -1 to 1.
        OtherVectorsError
            If it was measured with another embedder than this library's.
        """
        if embedder not in {None, self.embedder_words}:
            message = f"This similarity means {embedder}, and the library's embedder is {self.embedder_words}."
            raise OtherVectorsError(message, "Calibrate again: similarities of two embedders don't compare.")
        if value is None:
            return replace(self, threshold=None)
        return replace(self, threshold=Threshold(checked_similarity(value), self.embedder, self.embedder_version))


def read_settings(folder: Path) -> Settings | None:
    """The settings of a library, or None where there is no library yet.

    Raises
    ------
    LibraryError
        If the file can't be understood, or a newer facekit wrote it.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{path} can't be read: {error.strerror or error}."
        raise LibraryError(message, "Check its permissions.") from error
    try:
        text = content.decode("utf-8")
        document = tomllib.loads(text)
        if "storage" in document:
            raise _on_servers(folder)
        version, models = int(document["format"]), document["models"]
        settings = Settings(
            **{name: kind(models[name]) for name, kind in _FIELDS.items()},
            reason=str(models.get("reason", "")),
            threshold=_threshold(document.get("thresholds"), path),
            created=created if isinstance(created := document.get("created"), datetime) else None,
            exclude=_exclude(document.get("ingest"), path),
            mounts=_mounts(document, path),
            catalog=document.get("catalog") is True,
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path} is damaged: {_words(error) if content.strip() else 'it is empty'}."
        raise LibraryError(message, "Restore it from a backup, or make a new library from the photos.") from error
    if version > FORMAT:
        message = f"{folder} was made by a newer facekit (format {version}; this one knows {FORMAT})."
        raise LibraryError(message, "Upgrade facekit.")
    return settings


def _on_servers(folder: Path) -> LibraryError:
    message = f"The library {folder} is on servers."
    return LibraryError(message, "Its servers' own programs repair, copy and restore it; facekit doctor looks at it.")


def _threshold(table: Any, path: Path) -> Threshold | None:  # noqa: ANN401 - what TOML gave
    if table is None:
        return None
    try:
        value = checked_similarity(float(table["search_similarity"]))
        return Threshold(value, str(table["embedder"]), str(table["embedder_version"]))
    except (KeyError, TypeError, ValueError, FacekitError) as error:  # no reason not to open the library
        logger.warning("[thresholds] in {} is ignored: {}. Searches take the embedder's own.", path, _words(error))
        return None


def _exclude(table: Any, path: Path) -> tuple[str, ...]:  # noqa: ANN401 - what TOML gave
    try:
        return () if table is None else checked(table["exclude"])
    except (KeyError, TypeError, FacekitError) as error:  # no reason not to open the library
        logger.warning("[ingest] in {} is ignored: {}. Nothing is excluded.", path, _words(error))
        return ()


def read_mounts(folder: Path) -> dict[str, str]:
    """The mounts that a folder's ``library.toml`` names, also where it names servers. Raises LibraryError."""
    path = folder / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # said by whoever reads the rest of it
        return {}
    return _mounts(document, path)


def _mounts(document: dict[str, Any], path: Path) -> dict[str, str]:
    table = document.get("mounts", {})
    example = 'Write there, for example: family = "/mnt/photos"'
    if not (isinstance(table, dict) and all(isinstance(one, str) for one in table.values())):
        message = f"[mounts] in {path} names no folders."
        raise LibraryError(message, example)
    try:
        Mounts(table)
    except FacekitError as error:  # without it, photos would be taken for others than they are
        message = f"[mounts] in {path}: {error.message}"
        raise LibraryError(message, error.remedy or example) from error
    return table


def _words(error: Exception) -> str:
    """What is wrong with a file of settings."""
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]}"
    if isinstance(error, UnicodeDecodeError):
        return "it is no text"
    if isinstance(error, tomllib.TOMLDecodeError):
        return str(error)
    if isinstance(error, FacekitError):
        return error.message.rstrip(".")
    return "a value in it is none that facekit writes"


_FIELDS = {"detector": str, "detector_version": str, "embedder": str, "embedder_version": str, "dimension": int}


def write_settings(folder: Path, settings: Settings) -> None:
    """Write the settings of a library, in one step."""
    lines = ["# A facekit library. The models below made it; only the same models may add to it.", f"format = {FORMAT}"]
    if settings.created is not None:
        lines += [f"created = {settings.created.isoformat()}"]
    if settings.catalog:
        lines += ["catalog = true"]
    lines += ["", "[models]"]
    lines += [f'{name} = "{getattr(settings, name)}"' for name in _FIELDS if name != "dimension"]
    lines += [f"dimension = {settings.dimension}", f"reason = {json.dumps(settings.reason)}", ""]
    if settings.threshold is not None:
        lines += ["[thresholds]", "# What a search takes by default. It counts for the embedder named here only."]
        lines += [f"search_similarity = {settings.threshold.search_similarity!r}"]
        lines += [f'embedder = "{settings.threshold.embedder}"']
        lines += [f'embedder_version = "{settings.threshold.embedder_version}"', ""]
    if settings.exclude:
        lines += ["[ingest]", "# Globs of files and folders that no ingest looks at."]
        lines += [f"exclude = {json.dumps(settings.exclude, ensure_ascii=False)}", ""]
    write_file(folder, [*lines, *mount_lines(settings.mounts)])


def mount_lines(mounts: Mapping[str, str]) -> list[str]:
    """What a ``library.toml`` says of mounts."""
    if not mounts:
        return []
    written = ((json.dumps(one, ensure_ascii=False) for one in pair) for pair in mounts.items())
    comment = "# Folders that other machines have elsewhere. FACEKIT_MOUNTS says where this one does."
    return ["[mounts]", comment, *(f"{name} = {root}" for name, root in written), ""]


def write_file(folder: Path, lines: Sequence[str]) -> None:
    """Write a ``library.toml``, in one step. Raises LibraryError."""
    part = folder / (FILE + ".part")
    try:
        with open(part, "w", encoding="utf-8", opener=private_opener) as stream:
            stream.write("\n".join(lines))
        os.replace(part, folder / FILE)  # noqa: PTH105 - atomic
    except OSError as error:
        message = f"{folder / FILE} can't be written: {error.strerror or error}."
        raise LibraryError(message, remedy_for(error)) from error


def settings_document(settings: Settings) -> dict[str, Any]:
    """Settings as JSON; what changes of models bind the library to stands beside it."""
    return {
        "models": settings.models,
        "reason": settings.reason,
        "threshold": asdict(settings.threshold) if settings.threshold else None,
        "created": (settings.created or datetime.now().astimezone()).isoformat(),
        "exclude": list(settings.exclude),
    }


def document_settings(document: dict[str, Any]) -> Settings:
    """Settings from JSON. Raises LibraryError."""
    try:
        return Settings(
            **document["models"],
            reason=document["reason"],
            threshold=Threshold(**said) if (said := document["threshold"]) else None,
            created=datetime.fromisoformat(document["created"]),
            exclude=tuple(document["exclude"]),
            catalog=True,
        )
    except (KeyError, TypeError, ValueError, FacekitError) as error:
        message = "What the catalog says of the library can't be understood."
        raise LibraryError(message, "Upgrade facekit, or restore the catalog from a backup.") from error


def settings_of(detector: str, embedder: str, reason: str = _BY_NAME) -> Settings:
    """What a library of these models is bound to.

    Raises
    ------
    FacekitError
        If there is no such model, or it is for something else.
    """
    found, embeds = model_for(detector, "detection"), model_for(embedder, "embedding")
    return Settings(found.name, found.version, embeds.name, embeds.version, embeds.dimension, reason)


def settings_for_new(detector: str | None, embedder: str | None) -> Settings:
    """The settings of a new library. Models not named are the default ones."""
    usual_detector, usual_embedder, reason = default_models()
    if detector is not None or embedder is not None:
        reason = _BY_NAME
    settings = settings_of(detector or usual_detector, embedder or usual_embedder, reason)
    return replace(settings, created=datetime.now().astimezone().replace(microsecond=0))


def new_settings(folder: Path, detector: str | None, embedder: str | None) -> Settings:
    """The settings of a new library, whose folder is made; it must be empty."""
    settings = settings_for_new(detector, embedder)
    try:
        make_private_folder(folder)
        others = sorted({path.name for path in folder.iterdir()} - {"lock", "owner.json", FILE + ".part"})
    except OSError as error:
        message = f"No library can be made in {folder}: {error.strerror}."
        raise LibraryError(message, "Choose a folder that can be written.") from error
    if others:
        message = f"{folder} is not a facekit library, and not empty (it holds {others[0]!r})."
        raise LibraryError(message, "Choose a new folder for the library; photos stay where they are.")
    return settings


def check_models(settings: Settings | None, place: str | Path, detector: str | None, embedder: str | None) -> None:
    """Refuse to open a library that other models made than those named."""
    if settings is None:
        return
    named = (("detector", detector, settings.detector), ("embedder", embedder, settings.embedder))
    others = [(kind, asked, made) for kind, asked, made in named if asked not in {None, made}]
    if others:
        asked, made = " + ".join(str(one[1]) for one in others), " + ".join(one[2] for one in others)
        call = ", ".join(f'{kind}="{name}"' for kind, name, _ in others)
        options = " ".join(f"--{kind} {name}" for kind, name, _ in others)
        message = f"The library {place} was made with {made}, not with {asked}; vectors don't mix."
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
            raise OtherVectorsError(message, remedy)
