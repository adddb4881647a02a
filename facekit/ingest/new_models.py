"""The models that a library is to be changed to."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from facekit.models.registry import load_detector, load_embedder
from facekit.storage.settings import REEMBEDDED, settings_of

if TYPE_CHECKING:
    from facekit.models.protocols import Detector, Embedder
    from facekit.storage.storage import Storage
    from facekit.types.photos import Detail


class NewModels:
    """Other models for a library, by name, in the version that this facekit has.

    Parameters
    ----------
    storage : Storage
        The library, whose models those not named are.
    detector, embedder : str, optional
        Their names.
    detail : {"normal", "fine"} or int
        How closely the detector looks.

    Attributes
    ----------
    settings : Settings
        Those of the library, with these models.
    before : str
        The models that it has, in words.
    made_for : dict
        Names, versions and all else that makes a difference to the faces: with the same, they are the same.
    where : dict
        The device and the engine that they run on and in.
    again : str
        The call of a run that changes to them, in Python and from a shell.

    Raises
    ------
    FacekitError
        If there is no such model.
    """

    def __init__(self, storage: Storage, detector: str | None, embedder: str | None, detail: Detail = "normal") -> None:
        now = storage.models.refreshed()
        old, self.where = now.settings, now.where
        wanted = settings_of(detector or old.detector, embedder or old.embedder)
        self.settings, self.before = old.with_models(wanted.models, REEMBEDDED), old.words
        self.in_use = wanted.models == old.models and storage.catalog.looked_all_ways
        """Whether the library has them already."""
        self._look: dict[str, Any] = {} if detail == "normal" else {"detail": detail}
        self.made_for = wanted.models | self._look
        named = {"detector": wanted.detector, "embedder": wanted.embedder} | self._look
        call = ", ".join(f"{name}={value!r}" for name, value in named.items()).replace("'", '"')
        options = " ".join(f"--{name} {value}" for name, value in named.items())
        self.again = f"lib.reembed({call}) or facekit reembed {options}"

    @cached_property
    def detector(self) -> Detector:
        """The detector, opened at first use. Raises FacekitError if its weights are not to be had."""
        return load_detector(self.settings.detector, **self.where, **self._look)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, opened at first use. Raises FacekitError if its weights are not to be had."""
        return load_embedder(self.settings.embedder, **self.where)
