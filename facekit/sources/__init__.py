"""Where photos come from. A source lists what it has and reads what it is asked for; it never changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from facekit.sources.local import LocalSource

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from facekit.images.files import Limits
    from facekit.types.photos import FoundFile

__all__ = ["LocalSource", "Source", "scan"]


class Source(Protocol):
    """Any place that photos come from."""

    @property
    def name(self) -> str:
        """What kind of place it is, for example ``local``; it stands in every `FoundFile` and in the catalog."""

    @property
    def root(self) -> str:
        """Which place of this kind, for people."""

    @property
    def problems(self) -> Sequence[tuple[str, str]]:
        """What the last `scan` could not look into: path for people, reason."""

    @property
    def left_out_by_kind(self) -> Mapping[str, int]:
        """How much the last `scan` left out for a reason of its own, by what it is."""

    def scan(self) -> Iterator[FoundFile]:
        """List the photos, in an order that is the same every time, without reading them."""

    def holds(self, path: bytes) -> bool:
        """Whether a path, as `FoundFile` has it, belongs to this place, be there a photo now or not."""

    def left_out(self, path: bytes) -> str | None:
        """What a path is, or lies in, that the last `scan` left out for a reason of its own; None for all others."""

    def gone(self, path: bytes) -> bool:
        """Whether there is certainly no file at a path now, be it of this place or of another of its kind."""

    def read(self, file: FoundFile, limits: Limits) -> bytes:
        """Read a photo's bytes. Raises `PhotoError` with status ``too_large`` or ``io_error``."""


def scan(root: str | bytes | os.PathLike[Any], *, follow_links: bool = False) -> list[FoundFile]:
    """List the photos in a local folder and in the folders in it; see `LocalSource`.

    Parameters
    ----------
    root : str, bytes or PathLike
        A folder, or one file; ``~`` is the home folder.
    follow_links : bool, optional
        Whether to go through symbolic links; each folder is still visited once at most.

    Returns
    -------
    list of FoundFile
        Sorted by path, compared byte by byte. A folder that can't be read is skipped with a warning in the log.

    Raises
    ------
    FacekitError
        If there is no such file or folder.

    Examples
    --------
    >>> files = fk.scan(demo.folder)
    >>> len(files)
    26
    >>> sum(file.size for file in files) > 2**20
    True
    """
    return list(LocalSource(root, follow_links=follow_links).scan())
