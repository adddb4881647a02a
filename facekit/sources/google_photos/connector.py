"""Photos that somebody picks in Google Photos: since 31 March 2025 its API shows an application no others.

The Picker API, https://developers.google.com/photos/picker: a session is opened, its owner picks photos on a page of
Google's, and they can be listed and fetched for as long as the session lives. Addresses of bytes work for 60 minutes.
"""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from facekit.errors import PhotoError, SourceError
from facekit.images.formats import SNIFF_BYTES, sniff
from facekit.sources.google_photos.answers import (
    ExpiredError,
    NoSessionError,
    NotPickedError,
    WrongPageError,
    item_of,
    judged,
    judged_list,
    judged_opening,
    judged_photo,
    judged_session,
    seconds_of,
)
from facekit.sources.item import Check, ItemPage, Prompt, SignIn, SourceItem, SourceKind
from facekit.sources.kinds import is_at
from facekit.sources.network.http import Http, endpoint
from facekit.sources.network.rate import pause
from facekit.types.photos import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from facekit.sources.item import Connector, Cursor, Tools

_API, _REVOKE = "https://photospicker.googleapis.com", "https://oauth2.googleapis.com/revoke"
_PHOTOS = "*.googleusercontent.com"
_HOSTS = ("photospicker.googleapis.com", "oauth2.googleapis.com", _PHOTOS)
_PER_SECOND = 5.0  # ours: Google names no number, and says 429 where it was too much
_PAGE = 100  # the most that pageSize may be
_POLL, _LONGEST_POLL = 5.0, 60.0  # seconds; ours, where Google says nothing, or too much
_PATIENCE = 1800.0  # seconds that somebody may pick, where Google says nothing; ours
_FRESH = 55 * 60.0  # seconds: an address works for 60 minutes
_FAILURES_IN_A_ROW = 3  # new addresses that don't work either: it is not the photo; ours
_CHECKED_BYTES = 200 * 10**6  # the largest photo that `check` fetches; ours
_NEW = {"n", "new", "н", "новые", "другие"}


class GooglePhotos:
    """Lets somebody pick photos, and fetches them.

    What was picked before is not taken away by picking again. A session is deleted once all its photos were fetched;
    one that was not goes on, unless whoever is there would rather pick anew.
    """

    whose = "what was picked in Google Photos"

    def __init__(self, tools: Tools) -> None:
        to = endpoint("FACEKIT_GOOGLE_PHOTOS_API", _API)
        self._revoke_at = f"{to.base}/revoke" if to.trusted else _REVOKE
        self._tools = tools
        self._http = Http(
            "Google Photos",
            to,
            hosts=_HOSTS,
            per_second=_PER_SECOND,
            judge=judged,
            tools=tools,
            signed_hosts=(_PHOTOS,),
        )
        self._lock = Lock()
        self._session: str | None = None
        self._addresses: dict[str, tuple[str, float]] = {}  # by key: where the bytes are, and since when
        self._wanted: set[str] = set()  # keys of the session that were not fetched yet
        self._failures = 0

    def pages(self, cursor: Cursor | None) -> Iterator[ItemPage]:
        """Have photos picked, and list them; what was picked and not fetched before comes again."""
        state: Cursor = cursor or {}
        session, begins = state.get("session"), bool(state.get("listed"))
        if session and begins and not self._goes_on(session):
            session = None
        for _ in range(2):
            if session is None:
                session, begins = self._opened(), False
                yield ItemPage((), {"session": session}, last=False, whole=False, begins=True)
            try:
                self._wait_for(session)
                self._session, self._addresses, self._wanted = session, {}, set()
                for items, left_out, last in self._listing(session):
                    self._wanted.update(item.key for item in items)
                    then = {"session": session, "listed": True} if last else {"session": session}
                    yield ItemPage(items, then, last=last, whole=False, begins=begins, left_out=left_out)
                    begins = False
            except NoSessionError:
                session = None
            else:
                return
        raise NoSessionError

    def gone(self, keys: Sequence[str]) -> set[str]:  # noqa: ARG002 - as every connector has it
        """None: nobody can say, for only what is picked is seen."""
        return set()

    def fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        """Write a photo's bytes; see `facekit.sources.item.Connector`."""
        try:
            self._fetch(item, target, limit)
        except PhotoError:
            self._done_with(item)  # nothing but picking it again helps
            raise
        self._done_with(item)

    def _fetch(self, item: SourceItem, target: BinaryIO, limit: int) -> None:
        refused = None
        for _ in range(2):
            address = self._address(item, refused)
            if address is None:
                break
            try:
                # "=d": the bytes as they were put there, with all that the camera wrote but the place.
                self._http.download(f"{address}=d", target, limit, name=item.name, signed=True, judge=judged_photo)
            except ExpiredError:
                refused = address
            else:
                self._failures = 0
                return
        if refused:
            self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            message = "Google Photos gives none of the photos that were picked."
            raise SourceError(message, "Sync it again, and pick them again.")
        raise PhotoError(Status.IO_ERROR, f"Google Photos does not give {item.name} any more: pick it again.")

    def _address(self, item: SourceItem, refused: str | None) -> str | None:
        """Where a photo's bytes are, and not where they were refused; None where they can't be had."""
        with self._lock:
            found, since = self._addresses.get(item.key, (None, 0.0))
            if found and (found == refused or monotonic() - since > _FRESH) and self._session:
                try:
                    for _ in self._listing(self._session):
                        pass  # it keeps the addresses
                except NoSessionError:
                    self._session, self._addresses = None, {}
                found, _ = self._addresses.get(item.key, (None, 0.0))
        return found if found and found != refused else None

    def _done_with(self, item: SourceItem) -> None:
        """Delete the session, once nothing of it is wanted any more."""
        with self._lock:
            last = self._wanted == {item.key}
            self._wanted.discard(item.key)
            session = self._session if last else None
            if last:
                self._session = None
        if session:
            self._delete(session)

    def check(self) -> Iterator[Check]:
        """Have one photo picked, and fetch it into memory; the session is deleted."""
        step = "sign in"
        session = None
        try:
            if self._tools.access(None) is None:
                yield Check(step, works=False, found="There is no token: facekit sources reconnect NAME")
                return
            yield Check(step, works=True, found="There is a token.")
            step = "open a session"
            session = self._opened(most=1)
            yield Check(step, works=True, found="Google Photos lets somebody pick.")
            step = "pick and list"
            self._wait_for(session)
            items, others, _ = next(self._listing(session))
            yield Check(step, works=True, found=f"{len(items)} photos, {others.total()} others.")
            if items:
                step = "fetch"
                target = BytesIO()
                self.fetch(items[0], target, _CHECKED_BYTES)
                kind = sniff(target.getvalue()[:SNIFF_BYTES]) or "no picture"
                yield Check(step, works=True, found=f"{items[0].name}: {target.tell():,} bytes, {kind}.")
        except (SourceError, PhotoError) as error:
            yield Check(step, works=False, found=str(error))
        finally:
            if session:
                self._delete(session)

    def revoke(self) -> bool:
        """Have Google forget the token, and all that facekit was ever let into with this application."""
        token = self._tools.access(None)
        if token is None:
            return False
        try:
            self._http.ask("POST", self._revoke_at, form={"token": token}, signed=False)
        except (SourceError, PhotoError):
            return False
        return True

    # -- sessions --------------------------------------------------------------------------------------------------

    def _said(self, method: str, address: str, **how: Any) -> dict[str, Any]:  # noqa: ANN401 - as `Http.ask`
        try:
            answer = self._http.ask(method, address, **how)
        except PhotoError as error:
            raise SourceError(error.reason) from None
        if not isinstance(answer, dict):
            message = "Google Photos answers something else than it says in its documentation."
            raise SourceError(message, "Try again later.")
        return answer

    def _opened(self, most: int | None = None) -> str:
        """A new session, in which somebody may pick."""
        asked = {"pickingConfig": {"maxItemCount": str(most)}} if most else {}
        session = self._said("POST", "/v1/sessions", json=asked, judge=judged_opening).get("id")
        if not session:
            message = "Google Photos opens no session."
            raise SourceError(message, "Try again later.")
        return str(session)

    def _seen(self, session: str) -> dict[str, Any]:
        """What is known of a session. Raises NoSessionError."""
        return self._said("GET", f"/v1/sessions/{quote(session, safe='')}", judge=judged_session)

    def _delete(self, session: str) -> None:
        """Delete a session; where that can't be, it ends by itself."""
        try:
            self._http.ask("DELETE", f"/v1/sessions/{quote(session, safe='')}")
        except (SourceError, PhotoError):
            return

    def _goes_on(self, session: str) -> bool:
        """Whether photos of a session that was listed before are still to be had, and wanted."""
        try:
            if not self._seen(session).get("mediaItemsSet"):
                return False
        except NoSessionError:
            return False
        text = (
            "Not all was fetched that was picked in Google Photos last time. "
            'Press Enter to go on with it, or type "new" to pick other photos.'
        )
        try:
            wants_new = self._tools.ask(Prompt(text, answer=True)).strip().lower() in _NEW
        except SourceError:  # nobody is there: what was picked still is
            return True
        if wants_new:
            self._delete(session)
        return not wants_new

    def _wait_for(self, session: str) -> None:
        """Wait until somebody has picked. Raises NoSessionError, SourceError and KeyboardInterrupt."""
        asked, until = False, monotonic() + 7 * 86400
        while not (seen := self._seen(session)).get("mediaItemsSet"):
            how = seen.get("pollingConfig")
            how = how if isinstance(how, dict) else {}
            until = min(until, monotonic() + seconds_of(how.get("timeoutIn"), _PATIENCE))
            left = until - monotonic()
            if left <= 0:
                self._delete(session)
                message = "Nobody picked photos in Google Photos in time."
                raise SourceError(message, "Sync it again, and pick some.")
            if not asked:
                self._ask_to_pick(session, str(seen.get("pickerUri") or ""))
                asked = True
            pause(min(seconds_of(how.get("pollInterval"), _POLL), _LONGEST_POLL, left), self._tools.stop)

    def _ask_to_pick(self, session: str, page: str) -> None:
        text = "Open this page and pick the photos that facekit is to look at. They come once you press Done there."
        try:
            self._tools.ask(Prompt(text, link=f"{page.rstrip('/')}/autoclose"))
        except SourceError:
            self._delete(session)
            raise

    # -- what was picked -------------------------------------------------------------------------------------------

    def _listing(self, session: str) -> Iterator[tuple[tuple[SourceItem, ...], Counter[str], bool]]:
        """The pages of a session: items, what else was picked, whether that is all.

        It always begins at the first one: there are twenty at most, and their tokens don't live long. Raises
        NoSessionError.
        """
        token, seen, tries = None, set[str](), 0
        while True:
            asked = {"sessionId": session, "pageSize": _PAGE, "pageToken": token}
            try:
                answer = self._said("GET", "/v1/mediaItems", params=asked, judge=judged_list)
            except (WrongPageError, NotPickedError) as error:
                tries += 1
                if tries == _FAILURES_IN_A_ROW:
                    message = "Google Photos does not list what was picked."
                    raise SourceError(message, "Sync it again.") from None
                token, seen = None, set()
                pause(_POLL if isinstance(error, NotPickedError) else 0, self._tools.stop)
                continue
            token = str(answer.get("nextPageToken") or "") or None
            if token in seen:
                message = "Google Photos answers no list that goes on."
                raise SourceError(message, "Try again later.")
            seen.add(token or "")
            yield *self._read(answer.get("mediaItems")), not token
            if not token:
                return

    def _read(self, picked: object) -> tuple[tuple[SourceItem, ...], Counter[str]]:
        """Items of a page, and what else is there; where their bytes are is kept in memory only."""
        items: list[SourceItem] = []
        left_out: Counter[str] = Counter()
        for one in picked if isinstance(picked, list) else ():
            if not isinstance(one, dict) or not one.get("id") or not isinstance(one.get("mediaFile"), dict):
                continue
            item = item_of(one)
            if isinstance(item, str):
                left_out[item] += 1
                continue
            items.append(item)
            self._addresses[item.key] = str(one["mediaFile"].get("baseUrl") or ""), monotonic()
        return tuple(items), left_out


def connect(settings: Mapping[str, str], tools: Tools) -> Connector:  # noqa: ARG001 - as every kind has it
    """What talks to Google Photos."""
    return GooglePhotos(tools)


KIND = SourceKind(
    name="google-photos",
    words="Google Photos",
    hosts=_HOSTS,
    connect=connect,
    settings_of=lambda _: None,
    settings={},
    sign_in=SignIn(
        authorize="https://accounts.google.com/o/oauth2/v2/auth",
        token="https://oauth2.googleapis.com/token",  # noqa: S106 - an address
        scopes=("https://www.googleapis.com/auth/photospicker.mediaitems.readonly",),
        client="FACEKIT_GOOGLE_CLIENT_ID",
        secret="FACEKIT_GOOGLE_CLIENT_SECRET",  # noqa: S106 - a variable's name
        revoke=_REVOKE,
        more={"access_type": "offline", "prompt": "consent"},
        address="FACEKIT_GOOGLE_PHOTOS_API",
    ),
    needs_token=True,
    keep_originals=True,
    is_page=lambda text: is_at(text, "photos.google.com", "photos.app.goo.gl"),
    addresses="Google shows albums to no program: pick photos (facekit sources add google-photos), or use Takeout.",
)
