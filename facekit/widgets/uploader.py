"""Pictures of the person to search for: chosen in the browser, with the faces that are in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import traitlets

from facekit.errors import FacekitError, PhotoError
from facekit.images.decode import read_image, thumbnail
from facekit.widgets.base import Widget, handler, problem_of, script, style

if TYPE_CHECKING:
    from facekit.library.base import Library
    from facekit.types.photos import ProbeFace

_MOST = 8  # pictures of one person: more of them change the template little
_LARGEST = 8 * 2**20  # bytes: Jupyter's websocket takes messages of up to 10 MiB
_PREVIEW_SIDE = 640  # pixels: sharp on a card of 320 CSS pixels


@dataclass(slots=True)
class _Picture:
    """A picture that came, and what was found in it; ``problem`` says why it can't be used."""

    id: str
    name: str
    data: bytes
    faces: tuple[ProbeFace, ...] = ()
    chosen: int = 0
    preview: bytes = b""
    problem: dict[str, Any] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """What the browser is told."""
        faces = [{"box": face.box, "usable": face.quality.usable, "reason": face.quality.reason} for face in self.faces]
        return {"id": self.id, "name": self.name, "faces": faces, "chosen": self.chosen, "problem": self.problem}


class Uploader(Widget):
    """A place to drop, paste, pick or take pictures of a person, and to say which face is meant.

    Parameters
    ----------
    library : Library
        Its models look for the faces.

    Attributes
    ----------
    probes : list of dict
        The pictures that came, with their faces; written by the widget.
    version : int
        Grows whenever `pictures` changes: observe it.

    Examples
    --------
    >>> from facekit.widgets import Uploader
    >>> uploader = Uploader(lib)
    >>> for picture, face in uploader.pictures:  # none, until somebody drops one there
    ...     hits = lib.search(picture, face=face)
    """

    _esm = script("uploader")
    _css = style("uploader")

    probes = traitlets.List(traitlets.Dict()).tag(sync=True)
    previews = traitlets.List(traitlets.Bytes(), help="The pictures of `probes`, upright JPEGs.").tag(sync=True)
    version = traitlets.Int(0).tag(sync=True)
    most = traitlets.Int(_MOST, read_only=True).tag(sync=True)
    largest = traitlets.Int(_LARGEST, read_only=True).tag(sync=True)

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library
        self._pictures: list[_Picture] = []
        self.on_msg(self._told)

    @property
    def pictures(self) -> list[tuple[bytes, int]]:
        """The pictures that show a face: a file's bytes, and which face is meant, counted as `Library.search` does."""
        return [(picture.data, picture.chosen) for picture in self._pictures if picture.faces]

    def clear(self) -> None:
        """Forget all pictures."""
        self._pictures = []
        self._publish()

    @handler
    def _told(self, _widget: object, content: dict[str, Any], buffers: list[memoryview]) -> None:
        kind, key = content.get("kind"), str(content.get("id"))
        if kind == "picture":
            self._add(_Picture(key, str(content.get("name"))[:255], bytes(buffers[0])))
        elif kind == "choose":
            for picture in self._pictures:
                if picture.id == key and content.get("face") in range(len(picture.faces)):
                    picture.chosen = int(content["face"])
            self._publish()
        elif kind == "remove":
            self._pictures = [picture for picture in self._pictures if picture.id != key]
            self._publish()

    def _add(self, picture: _Picture) -> None:
        if len(self._pictures) >= _MOST or len(picture.data) > _LARGEST:  # the browser has said so before
            message = f"{picture.name} is one picture too many, or too large."
            raise FacekitError(message, f"At most {_MOST} pictures of at most {_LARGEST:,} bytes can be searched for.")
        try:
            picture.faces = self._library.faces_in(picture.data)
            picture.preview = thumbnail(read_image(picture.data, max_side=_PREVIEW_SIDE), _PREVIEW_SIDE)
            if not picture.faces:
                picture.problem = {"key": "error.no_face", "values": {}}
        except PhotoError as error:
            picture.problem = problem_of(error, "")
        except Exception as error:
            picture.problem = problem_of(error, "")
            raise
        finally:
            self._pictures.append(picture)
            self._publish()

    def _publish(self) -> None:
        with self.hold_sync():
            self.previews = [picture.preview for picture in self._pictures]
            self.probes = [picture.state() for picture in self._pictures]
            self.version += 1
