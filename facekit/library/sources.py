"""The connected places of a library, and the verbs on them, wherever the library is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from facekit.text.keywords import KeywordsChecked
from facekit.views import view

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from threading import Event

    from facekit.ingest.progress import Progress
    from facekit.sources.item import Ask, Checks
    from facekit.types.sources import ConnectedPlace, ConnectedPlaces, Leftovers, SyncReport


class Sources(KeywordsChecked, ABC):
    """Places that a library's photos come from besides folders: ``lib.sources``.

    A place is connected once, with a name, and synced as often as one likes: what is there already is not fetched
    again. Nothing is ever written there. Hosts that are contacted are listed in the README, and no other is.

    Examples
    --------
    >>> lib.sources.list()
    0 connected places
    """

    @abstractmethod
    def list(self) -> ConnectedPlaces:
        """All connected places, by name."""

    @abstractmethod
    def get(self, name: str) -> ConnectedPlace:
        """One of them. Raises RefusedError where none is called so."""

    @abstractmethod
    def add(
        self,
        place: str,
        *,
        name: str | None = None,
        settings: Mapping[str, str] | None = None,
        token: str | None = None,
        keep_originals: bool | None = None,
        ask: Ask | None = None,
        stop: Event | None = None,
    ) -> ConnectedPlace:
        """Connect a place. Nothing is fetched before `sync`.

        Parameters
        ----------
        place : str
            An address, such as ``https://disk.yandex.ru/d/...``, or a kind of place: ``vk``, ``yandex-disk``,
            ``dropbox``, ``google-photos``, ``takeout``, ``storage``.
        name : str, optional
            What it is called in the library: two letters or more, with digits, ``-`` and ``_``. By default its kind.
        settings : mapping of str to str, optional
            What of it is wanted, see ``facekit sources kinds``: an album, say.
        token : str, optional
            What lets facekit in. It is kept encrypted, on this machine, and nowhere else. Without one, where the place
            wants one, a page to sign in is opened.
        keep_originals : bool, optional
            Keep the photos' files on this machine for good. By default only where they can't be fetched again.
        ask : callable, optional
            Shows the user what to do, see `facekit.sources.item.Prompt`; by default in the terminal or notebook.
        stop : threading.Event, optional
            Set it from another thread to give up signing in.

        Raises
        ------
        RefusedError
            If there is no such kind, the settings can't be right, or the name is taken.
        SignInError
            If it wants a token, and there is none.
        """

    @abstractmethod
    def sync(
        self,
        *names: str,
        since: date | str | None = None,
        album: str | None = None,
        dry_run: bool = False,
        most_bytes: int | None = None,
        progress: Progress = True,
        stop: Event | None = None,
        ask: Ask | None = None,
    ) -> SyncReport:
        """Bring in what is new at connected places, and note what is gone; run it again to go on after a stop.

        A place that can't be read any further ends its own sync only: what is done is kept, its ``problem`` says why.

        Parameters
        ----------
        *names : str
            Which; by default all that are not paused, and do not wait for a time to go on.
        since : date or ISO string, optional
            Only photos taken from this day on (put there, where nobody knows when they were taken).
        album : str, optional
            Only this album or folder, with those below it.
        dry_run : bool
            List only; the report says what would come.
        most_bytes : int, optional
            The most to be fetched from each place in this run.
        progress : bool or callable
            See `Library.ingest`.
        stop : threading.Event, optional
            Set it from another thread to stop.
        ask : callable, optional
            See `add`.

        Raises
        ------
        RefusedError
            If no place is called so, or it is paused.
        LibraryBusyError
            If another change of the library is going on.
        """

    @abstractmethod
    def pause(self, name: str, paused: bool = True) -> ConnectedPlace:  # noqa: FBT001, FBT002 - the one thing to say
        """Leave a place out of syncs that name none, or no longer. Raises RefusedError where none is called so."""

    @abstractmethod
    def remove(self, name: str, *, photos: Leftovers = "keep") -> int:
        """Connect a place no more: its token is revoked where the service can, and forgotten.

        Parameters
        ----------
        name : str
            The place.
        photos : {"keep", "forget"}
            Whether the library keeps its photos, or forgets them with their faces. Nothing happens at the place.

        Returns
        -------
        int
            How many photos were forgotten.
        """

    @abstractmethod
    def reconnect(
        self, name: str, *, token: str | None = None, ask: Ask | None = None, stop: Event | None = None
    ) -> ConnectedPlace:
        """Give a place another token, or sign in anew; see `add`. Raises RefusedError and SignInError."""

    @abstractmethod
    def sign_ins(self) -> frozenset[str]:
        """The kinds of places whose page to sign in can be opened: an application's id is there."""

    @abstractmethod
    def check(self, name: str) -> Checks:
        """Walk through every step of a sync, with one photo, changing nothing; the steps say whether they work."""

    def show(self) -> Any:  # noqa: ANN401 - a widget; ipywidgets has no types
        """The places as a widget for a notebook: connect, sync, disconnect."""
        return view("SourcesForm", self)

    def __repr__(self) -> str:
        return repr(self.list())

    def _repr_html_(self) -> str:
        return self.list()._repr_html_()
