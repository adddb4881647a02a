"""Where the pictures of VK's photos are: addresses that expire. They are kept in memory only, and asked for anew."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import dropwhile, islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from facekit.errors import PhotoError
from facekit.sources.vk.calls import Refusal
from facekit.sources.vk.photos import biggest, key_of, keyed, photos_in
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.item import SourceItem
    from facekit.sources.vk.calls import VkApi
    from facekit.sources.vk.listing import Listing

_KEPT = 20_000  # ours: addresses, of some 300 bytes each
_BATCH = 500  # photos.getById takes no more ids
_NEIGHBOURS = 100  # ours: where one address has expired, those of the photos listed after it have as well
_TRAILER = 1024  # bytes after the end of a JPEG that some programs leave: ours
_HALVINGS = 40  # ours: calls for finding out which of many photos can be asked about


@dataclass(frozen=True, slots=True)
class _Picture:
    address: str
    access_key: str = ""

    @classmethod
    def of(cls, photo: Mapping[str, Any]) -> _Picture | None:
        address, access = biggest(photo), photo.get("access_key")
        return cls(address, access if isinstance(access, str) else "") if address else None


class Pictures:
    """The addresses of photos' biggest pictures. Threads may share it."""

    def __init__(self, api: VkApi, listing: Listing) -> None:
        self._api = api
        self._listing = listing
        self._kept: OrderedDict[str, _Picture] = OrderedDict()
        self._wanted: dict[str, None] = {}
        self._lock = Lock()
        self._asking = Lock()

    def keep(self, photo: Mapping[str, Any]) -> bool:
        """Remember where a photo's picture is; whether it has one."""
        key, picture = key_of(photo), _Picture.of(photo)
        if key is None or picture is None:
            return False
        with self._lock:
            self._kept[key] = picture
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return True

    def address_of(self, item: SourceItem) -> tuple[str, bool]:
        """Where a photo's picture is, and whether VK was asked for it just now."""
        with self._lock:
            picture = self._kept.get(item.key)
        return (self.new_address_of(item), True) if picture is None else (picture.address, False)

    def new_address_of(self, item: SourceItem) -> str:
        """Ask VK where a photo's picture is now; one call asks for all photos that threads wait for, and some more.

        Raises
        ------
        PhotoError
            ``missing`` where there is no such photo any more, ``io_error`` where VK does not show it.
        """
        with self._lock:
            self._wanted[item.key] = None
        with self._asking:
            with self._lock:
                answered = item.key not in self._wanted
                batch = [] if answered else self._batch(item.key)
            if not answered:
                self._ask(batch)
            with self._lock:
                picture = self._kept.get(item.key)
        return picture.address if picture else self._in_album(item)

    def _batch(self, key: str) -> list[str]:
        after = dropwhile(lambda kept: kept != key, self._kept)
        return list(dict.fromkeys([key, *self._wanted, *islice(after, _NEIGHBOURS)]))[:_BATCH]

    def _ask(self, batch: Sequence[str]) -> None:
        """Keep what VK says to a batch, and forget what it says nothing to."""
        found = self._by_id(batch)
        if isinstance(found, Refusal) and len(batch) > 1:  # for one of them, perhaps
            batch = batch[:1]
            found = self._by_id(batch)
        with self._lock:
            for key in batch:
                self._wanted.pop(key, None)
                picture = None if isinstance(found, Refusal) or key not in found else _Picture.of(found[key])
                if picture is not None:
                    self._kept[key] = picture
                else:
                    self._kept.pop(key, None)

    def _by_id(self, keys: Iterable[str]) -> dict[str, Mapping[str, Any]] | Refusal:
        with self._lock:
            known = {key: self._kept[key].access_key for key in keys if key in self._kept}
        named = ",".join(f"{key}_{known[key]}" if known.get(key) else key for key in keys)
        reply = self._api.reply("photos.getById", photos=named)
        return reply if isinstance(reply, Refusal) else keyed(photos_in(reply))

    def _in_album(self, item: SourceItem) -> str:
        """Look for a photo in its album, which may be open where VK says nothing to the photo's id alone."""
        owner, _, number = item.key.partition("_")
        refused: Refusal | None = None
        if owner == str(self._listing.owner()):
            for album in self._listing.named(item.album):  # not those of others that show somebody
                reply = self._api.reply("photos.get", owner_id=owner, album_id=album.id, photo_ids=number)
                if isinstance(reply, Refusal):
                    refused = reply
                elif photo := keyed(photos_in(reply)).get(item.key):
                    self.keep(photo)
                    if address := biggest(photo):
                        return address
        if refused:
            raise PhotoError(Status.IO_ERROR, f"{item.name} can't be fetched: {refused.error().message}")
        raise PhotoError(Status.MISSING, f"{item.name} is not at VK any more.")

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Of these, those that VK says nothing to when it is asked for them by their ids.

        Where it refuses to answer for many at once, it is asked for fewer; of those that it refuses alone, and of what
        is left after some calls, nothing is said.
        """
        gone: set[str] = set()
        batches = [list(keys[start : start + _BATCH]) for start in range(0, len(keys), _BATCH)]
        left = _HALVINGS
        while batches:
            batch = batches.pop()
            found = self._by_id(batch)
            if not isinstance(found, Refusal):
                gone.update(key for key in batch if key not in found)
            elif len(batch) > 1 and left > 0:
                left -= 1
                middle = len(batch) // 2
                batches += [batch[:middle], batch[middle:]]
        return gone


class Ends:
    """A file for writing that knows how what is written in one go begins and ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._first = self._last = b""

    def write(self, data: bytes) -> int:
        """Write on."""
        self._first = (self._first + data[:2])[:2]
        self._last = (self._last + data[-_TRAILER:])[-_TRAILER:]
        return self._file.write(data)

    def tell(self) -> int:
        """Where it stands."""
        return self._file.tell()

    def seek(self, position: int) -> int:
        """Go somewhere."""
        return self._file.seek(position)

    def truncate(self) -> int:
        """Begin anew from where it stands."""
        self._first = self._last = b""
        return self._file.truncate()

    @property
    def cut_jpeg(self) -> bool:
        """Whether it is a JPEG without its end (ITU-T T.81: SOI is FF D8, EOI is FF D9)."""
        return self._first == b"\xff\xd8" and b"\xff\xd9" not in self._last
