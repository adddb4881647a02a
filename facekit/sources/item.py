"""What a connected place, such as a cloud disk, lists: items, a page at a time; and what talks to one: a connector."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from threading import Event
    from typing import BinaryIO

Cursor: TypeAlias = "Mapping[str, Any]"
"""Where a listing goes on: JSON that a connector makes and reads. It holds no token and no signed address."""


@dataclass(frozen=True, slots=True)
class SourceItem:
    """A photo at a connected place; nothing of it has been read yet.

    Parameters
    ----------
    key : str
        What names it at the place for good, whatever it is called: VK ``owner_photo``, Dropbox ``id:...``.
    version : str
        Changes when its bytes do: a hash, a revision, a time. Where nothing changes at the place, always the same.
    name : str
        The file's name for people, with an ending.
    album : str
        The folder or album, with ``/`` between folders; empty for none. A title's own slashes are no folders.
    size : int, optional
        Bytes.
    content : str, optional
        A hash of the bytes, as ``sha256:...``, ``md5:...`` or ``dropbox:...``: equal ones are the same photo.
    link : str, optional
        The https page that shows it to whoever may see it there. No address that works without signing in, unless the
        place itself is public.
    modified, taken_at : datetime, optional
        ``modified`` with a zone; ``taken_at`` as the camera's clock had it, without one.
    latitude, longitude : float, optional
        Degrees, WGS 84.
    """

    key: str
    version: str
    name: str
    album: str = ""
    size: int | None = None
    content: str | None = None
    link: str | None = None
    modified: datetime | None = None
    taken_at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items of a listing, and where it goes on.

    Parameters
    ----------
    items : tuple of SourceItem
        Photos only. One that comes twice counts once.
    cursor : mapping
        Given to `Connector.pages`, it lists what comes after this page; that of the last one, what has changed since,
        or everything again where a place can't tell.
    last : bool
        Whether the listing is at its end.
    gone : tuple of str
        Keys of what the place says is deleted. A key that ends in ``/`` means all keys that begin so.
    whole : bool
        Of the last page: whether the listing has shown all that there is, so that what it did not show may be gone.
    begins : bool
        Whether the listing begins with this page: it may begin anew, where a place says that a cursor is of no use.
    left_out : mapping of str to int
        What is there and no photo, counted by what it is: ``{"video": 3}``.
    """

    items: tuple[SourceItem, ...]
    cursor: Cursor
    last: bool
    gone: tuple[str, ...] = ()
    whole: bool = True
    begins: bool = False
    left_out: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A step of `Connector.check`: what was tried, whether it works, and what came of it, in words."""

    step: str
    works: bool
    found: str

    @property
    def words(self) -> str:
        """It as a line."""
        return f"{'ok   ' if self.works else 'FAILS'} {self.step}: {self.found}"


class Checks(tuple[Check, ...]):
    """All steps of a check, as lines, and as a table in a notebook."""

    __slots__ = ()

    @property
    def works(self) -> bool:
        """Whether all of them do."""
        return all(one.works for one in self)

    def __repr__(self) -> str:
        return "\n".join(one.words for one in self)

    def _repr_html_(self) -> str:
        rows = ((("✗", "✓")[one.works], one.step, one.found) for one in self)
        cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Something that only the user can do: type what a picture shows, or open a page.

    ``text`` says what to do, ``link`` is the page to open, ``image`` the address of a picture, which may
    be a ``data:`` one. ``answer`` says whether
    words are wanted back; where not, whoever asks sees by itself when it is done.
    """

    text: str
    link: str | None = None
    image: str | None = None
    answer: bool = False


Ask: TypeAlias = "Callable[[Prompt], str]"
"""Shows a prompt to the user; returns the answer, empty where none is wanted. Raises SourceError where nobody is."""


@dataclass(frozen=True, slots=True)
class Token:
    """What lets facekit into a place. Its text never shows it.

    ``expires_at`` is in seconds since 1970; ``more`` is what a service wants besides, such as VK's ``device_id``.
    """

    access: str
    refresh: str | None = None
    expires_at: float | None = None
    more: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return "Token(...)"


Access: TypeAlias = "Callable[[str | None], str | None]"
"""The access token to use now, None where none is kept. Called with one that the service refused, it renews it first.

It raises SignInError where that can't be renewed. `facekit.sources.signing_in.tokens` has the real one.
"""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a connector is given to work with.

    ``stop`` ends every wait by `KeyboardInterrupt`; what a connector opens, it gives to ``opened`` to be closed.
    """

    access: Access
    ask: Ask
    stop: Event
    opened: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of place that photos come from. Each connector's module has one, called ``KIND``.

    Parameters
    ----------
    name : str
        As in ``facekit sources add NAME``, with hyphens: ``yandex-disk``.
    words : str
        For people: ``Yandex Disk``.
    hosts : tuple of str
        The hosts that are contacted: ``api.vk.com``, ``*.userapi.com`` for all below one. Empty: the user names it.
    connect : callable
        Makes a connector from settings, which are texts, and tools. Raises RefusedError for settings that are wrong.
    settings_of : callable
        The settings that an address, or a path, of such a place means; None for any other text.
    settings : mapping of str to str
        What can be set: names (with hyphens), each with a sentence.
    sign_in : SignIn, optional
        How to get a token by OAuth; None where there is nothing to sign in to.
    needs_token : bool
        Whether nothing works without a token.
    keep_originals : bool
        Whether the photos can't be fetched again later, so that they have to be kept.
    secret_of : callable, optional
        The password that an address holds, which is kept as the token is; `settings_of` leaves it out.
    is_page : callable, optional
        Whether an address is a page of this service: one that `settings_of` can't read is no web server's folder.
    addresses : str
        Which addresses can be read, as a remedy for others of its pages.
    wants_token : callable, optional
        Whether such settings need a token, of a kind that works without one otherwise.
    """

    name: str
    words: str
    hosts: tuple[str, ...]
    connect: Callable[[Mapping[str, str], Tools], Connector]
    settings_of: Callable[[str], dict[str, str] | None]
    settings: Mapping[str, str]
    sign_in: SignIn | None = None
    needs_token: bool = False
    keep_originals: bool = False
    secret_of: Callable[[str], str | None] | None = None
    is_page: Callable[[str], bool] | None = None
    addresses: str = ""
    wants_token: Callable[[Mapping[str, str]], bool] | None = None

    def needs_token_for(self, settings: Mapping[str, str]) -> bool:
        """Whether nothing of what these settings mean works without a token."""
        return self.needs_token or (self.wants_token is not None and self.wants_token(settings))


@dataclass(frozen=True, slots=True)
class SignIn:
    """How a service lets facekit in: OAuth 2 with a code and PKCE (S256).

    ``authorize`` and ``token`` are addresses, ``revoke`` one where there is one; ``client`` and ``secret`` are the
    environment's variables that hold the application's id and, where the service wants one of desktop applications, its
    secret; ``more`` are parameters of the first address. ``keeps`` are parameters of the redirect that belong to the
    token, such as VK's ``device_id``, and are sent with each request for one. ``address`` is the environment's variable
    whose value, where there is one, stands in place of the addresses' scheme, host and port. ``redirect`` is an address
    of one's own machine that the user registers with the service, where that takes no port of facekit's choice.
    """

    authorize: str
    token: str
    scopes: tuple[str, ...]
    client: str
    secret: str | None = None
    revoke: str | None = None
    more: Mapping[str, str] | None = None
    keeps: tuple[str, ...] = ()
    address: str | None = None
    redirect: str | None = None


class Connector(Protocol):
    """Talks to one connected place. Only reads, but for `revoke`.

    All its methods raise `facekit.errors.SourceError` where the place can't be read any further for now, whatever was
    tried (with ``resume_at`` where it is known when it can), and `facekit.errors.SignInError`, which is one, where it
    wants another token.
    """

    @property
    def whose(self) -> str:
        """Which place of its kind this is, for people: an album's link, whose disk. No request is made."""

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """List the photos from the beginning, or from where a cursor says. At least one page comes."""

    def gone(self, keys: Sequence[str]) -> set[str]:
        """Of items that a whole listing did not show, those that the place says are not there (and not: can't say)."""

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write an item's bytes, in pieces.

        Raises
        ------
        PhotoError
            ``too_large`` for one of more than ``limit`` bytes, which ends its transfer; ``missing`` for one that is
            gone; ``io_error`` for one that can't be had although the others can.
        """

    def check(self) -> Iterator[Check]:
        """Go through every step that a sync takes, one item of it, changing nothing; say of each whether it works."""

    def revoke(self) -> bool:
        """Have the service forget the token; False where it can't."""


def as_text(text: str) -> str:
    """A text of a service without what no database holds: halves of characters, and zeros.

    Examples
    --------
    >>> from facekit.sources.item import as_text
    >>> as_text("a" + chr(0) + chr(0xD83D))
    'a?'
    """
    return text.replace("\0", "").encode(errors="replace").decode()


def as_part(title: str) -> str:
    """A title as one part of a path: its slashes are others that look the same, and it is never empty or dots.

    Examples
    --------
    >>> from facekit.sources.item import as_part
    >>> "/" in as_part("Лето 2019/20"), as_part(" "), as_part("..")
    (False, '_', '_')
    """
    part = title.replace("/", "∕").replace("\\", "∖").replace("\0", "").strip()  # noqa: RUF001 - on purpose
    return part if part.strip(".") else "_"
