"""Connected places that photos come from: connect, sync, and what came of it."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any

import traitlets
from loguru import logger

from facekit.errors import FacekitError, LibraryBusyError, SignInError, SourceError
from facekit.sources.kinds import kind_named, kind_of_address, kinds
from facekit.widgets.base import Widget, handler, in_background, script, style

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from facekit.library.sources import Sources
    from facekit.sources.item import Prompt, SourceKind
    from facekit.types.sources import ConnectedPlace, PlaceSync

_BYTES_EVERY = 1.0  # seconds between two questions of how many bytes have come
_EVERY = 0.2  # seconds between two looks at the progress: more of them nobody sees
_FAILURES = 200  # more of them nobody reads
_ANSWER_SECONDS = 600.0  # for an answer, as in a service


class SourcesForm(Widget):
    """Shows the connected places, connects others, and syncs them.

    A sync goes on in a thread, whoever looks at it; one at a time.

    Parameters
    ----------
    sources : Sources
        A library's: ``lib.sources``.

    Attributes
    ----------
    places : list of dict
        The connected places: what `facekit.ConnectedPlace` says, with ``words`` of their kind; moments are milliseconds
        since 1970.
    kinds : list of dict
        What can be connected: ``name``, ``words``, ``settings`` (names with a sentence each), ``needs_token``,
        ``token`` ("none" where nothing is signed in to), and ``sign_in``, whether a page to do so can be opened.
    address : dict
        Of the address that was typed last: ``text``, and the ``kind`` that it is of, "" for none.
    connected : int
        How often a place was connected: the form is empty then.
    syncing : dict
        The sync that goes on: ``name``, ``done`` and ``total`` photos, ``bytes`` that were fetched, ``stopping``, and a
        ``question`` that only the user can answer; empty while none does.
    done : dict
        What the last sync of this form has come to, see `facekit.types.sources.PlaceSync`; empty before the first.
    signing : dict
        The sign-in that goes on: ``name`` of the place ("" of one to come), ``words`` of its kind, ``stopping``, and a
        ``question`` with the page to open; empty while none does.
    steps : dict
        What a check found: ``name`` of the place, and ``steps`` that were tried, with ``works`` and what was ``found``.
    """

    _esm = script("sourcesform")
    _css = style("sourcesform")

    places: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    kinds: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    address = traitlets.Dict().tag(sync=True)
    connected = traitlets.Int(0).tag(sync=True)
    syncing = traitlets.Dict().tag(sync=True)
    done = traitlets.Dict().tag(sync=True)
    signing = traitlets.Dict().tag(sync=True)
    steps = traitlets.Dict().tag(sync=True)

    def __init__(self, sources: Sources, **traits: Any) -> None:  # noqa: ANN401 - whatever a trait takes
        super().__init__(**traits)
        self._sources = sources
        self._callbacks: list[Callable[[], None]] = []
        self._stop, self._answers = Event(), Queue[str](1)
        self._leave, self._said = Event(), Queue[str](1)  # of a sign-in
        self._thread: Thread | None = None
        self._told = self._asked = 0.0
        pages = self._sources.sign_ins()
        self.kinds = [_kind(kind, sign_in=kind.name in pages) for kind in kinds().values()]
        self.on_msg(self._message)
        self.look()

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call this when a sync has ended, however it ended, and when photos were forgotten."""
        self._callbacks.append(callback)

    @handler
    def look(self) -> None:
        """Read the places again."""
        self.places = [_place(one) for one in self._sources.list()]

    def sync(self, name: str) -> None:
        """Bring a place in; does not wait for the end.

        Raises
        ------
        LibraryBusyError
            If a sync is going on.
        """
        if self.syncing:
            message = "Photos are being added already."
            raise LibraryBusyError(message, "Wait until that is done, or cancel it.")
        self._stop, self._answers, self._told = Event(), Queue(1), 0.0
        with self.hold_sync():
            self.syncing, self.done = {"name": name, "done": 0, "total": 0, "stopping": False, "question": None}, {}
        self._thread = in_background(lambda: self._work(name), self._tell, "sync")

    def cancel(self) -> None:
        """Stop the sync; what is done is kept."""
        self._say(stopping=True)
        self._stop.set()

    def wait(self) -> None:
        """Wait for the end of the sync."""
        if self._thread:
            self._thread.join()

    # -- what a person asks for ------------------------------------------------------------------------------------

    @handler
    def _message(self, _widget: Widget, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        acts: dict[str, Callable[[], object]] = {
            "look": self.look,
            "address": lambda: self._recognise(str(content["text"])),
            "connect": lambda: self._connect(content),
            "sync": lambda: self.sync(name),
            "cancel": self.cancel,
            "answer": lambda: self._answer(str(content["answer"])),
            "sign_in": lambda: self._sign_in_again(name),
            "cancel_sign_in": self.cancel_sign_in,
            "pause": lambda: self._sources.pause(name, bool(content["paused"])),
            "reconnect": lambda: self._sources.reconnect(name, token=str(content["token"])),
            "check": lambda: self._check(name),
            "remove": lambda: self._sources.remove(name, photos="forget" if content.get("forget") else "keep"),
        }
        kind, name = str(content.get("kind")), str(content.get("name", ""))
        if kind in acts:
            acts[kind]()
        if kind in {"pause", "reconnect", "remove"}:
            self.look()
        if kind == "remove":
            self._tell()

    def _check(self, name: str) -> None:
        self.steps = {"name": name, "steps": []}
        self.steps = {"name": name, "steps": [_step(one) for one in self._sources.check(name)]}

    def _recognise(self, text: str) -> None:
        try:
            found = kind_of_address(text.strip()) if text.strip() else None
        except FacekitError:  # it is of a kind, and can't be right: said when it is connected
            found = None
        self.address = {"text": text, "kind": found[0].name if found else ""}

    def _connect(self, content: dict[str, Any]) -> None:
        text = str(content["place"]).strip()
        settings = {str(key): str(value) for key, value in (content.get("settings") or {}).items() if value}
        name = str(content.get("as") or "").strip() or None
        if content.get("sign_in"):
            found = kind_of_address(text)
            kind = found[0] if found else kind_named(text)
            self._enter("", kind.words, lambda: self._add_and_sign_in(kind, text, name, settings))
            return
        token = str(content.get("token") or "").strip() or None
        self._connected(self._sources.add(text, name=name, settings=settings, token=token, ask=_nobody).name)

    def _connected(self, name: str) -> None:
        self.connected += 1
        self.look()
        if not self.syncing:
            self.sync(name)

    # -- signing in: it takes as long as its user does, so that it goes on in a thread -----------------------------

    def cancel_sign_in(self) -> None:
        """Give up signing in."""
        if self.signing:
            self.signing = {**self.signing, "stopping": True}
        self._leave.set()

    def _enter(self, name: str, words: str, work: Callable[[], str]) -> None:
        if self.signing:
            message = "Somebody is signing in already."
            raise LibraryBusyError(message, "Finish that, or cancel it.")
        self._leave, self._said = Event(), Queue(1)
        self.signing = {"name": name, "words": words, "stopping": False, "question": None}
        self._entering = in_background(lambda: self._entered(work), lambda: None, "sign-in")

    @handler
    def _entered(self, work: Callable[[], str]) -> None:
        try:
            name = work()
        except (FacekitError, KeyboardInterrupt):
            if self._leave.is_set():  # as its user wished
                return
            raise
        finally:
            self.signing = {}
            self.look()
        self._connected(name)

    def _add_and_sign_in(self, kind: SourceKind, text: str, name: str | None, settings: dict[str, str]) -> str:
        place = self._sources.add(text, name=name, settings=settings, ask=self._show, stop=self._leave)
        if not kind.needs_token:  # it is there without one
            place = self._sources.reconnect(place.name, ask=self._show, stop=self._leave)
        return place.name

    def _sign_in_again(self, name: str) -> None:
        kind = kind_named(self._sources.get(name).kind)
        self._enter(name, kind.words, lambda: self._sources.reconnect(name, ask=self._show, stop=self._leave).name)

    def _show(self, prompt: Prompt) -> str:
        """Show the page to sign in; wait for what its user copies there, if that is wanted."""
        if self.signing:
            self.signing = {**self.signing, "question": _question(prompt)}
        return _answered(prompt, self._said, self._leave) if prompt.answer else ""

    # -- the sync --------------------------------------------------------------------------------------------------

    @handler
    def _work(self, name: str) -> None:
        try:
            report = self._sources.sync(name, progress=self._advance, stop=self._stop, ask=self._ask)
            self.done = _done(report.places[0]) if report.places else {}
        finally:
            self.syncing = {}
            self.look()

    def _advance(self, done: int, total: int) -> None:
        now = monotonic()
        if done < total and now - self._told < _EVERY:
            return
        self._told = now
        self._say(done=done, total=total, bytes=self._fetched(now))

    def _fetched(self, now: float) -> int:
        """How many bytes the sync has fetched, asked for now and then."""
        before: int = self.syncing.get("bytes", 0)
        if now - self._asked < _BYTES_EVERY:
            return before
        self._asked = now
        with suppress(FacekitError):  # it is shown when it is known again
            return self._sources.get(self.syncing["name"]).fetching or before
        return before

    def _say(self, **values: Any) -> None:  # noqa: ANN401 - as the trait has them
        if self.syncing:
            self.syncing = {**self.syncing, **values}

    def _ask(self, prompt: Prompt) -> str:
        """Show what only the user can do; wait for the answer, if one is wanted."""
        self._say(question=_question(prompt))
        if not prompt.answer:
            return ""
        try:
            return _answered(prompt, self._answers, self._stop)
        finally:
            self._say(question=None)

    def _answer(self, answer: str) -> None:
        question = self.signing.get("question")
        waiting = self._said if question and question["answer"] else self._answers
        if waiting is self._answers:
            self._say(question=None)
        try:
            waiting.put_nowait(answer)
        except Full:  # it was answered a moment ago
            return

    def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - one who listens must not silence the others
                logger.exception("After a sync: {}", error)


def _question(prompt: Prompt) -> dict[str, Any]:
    return {"text": prompt.text, "link": prompt.link, "image": prompt.image, "answer": prompt.answer}


def _answered(prompt: Prompt, answers: Queue[str], stop: Event) -> str:
    """What the user answers. Raises SourceError where nobody does, KeyboardInterrupt where they stop it."""
    end = monotonic() + _ANSWER_SECONDS
    while monotonic() < end:
        if stop.is_set():
            raise KeyboardInterrupt
        try:
            return answers.get(timeout=_EVERY)
        except Empty:
            continue
    message = f"Nobody answered: {prompt.text}"
    raise SourceError(message, "Try it again, and answer then.")


def _nobody(prompt: Prompt) -> str:
    """Whoever connects a place without a token does not mean to sign in: the page has a button for that."""
    raise SignInError(prompt.text, "Sign in, or give a token.")


def _kind(kind: SourceKind, *, sign_in: bool) -> dict[str, Any]:
    takes = kind.needs_token or kind.sign_in is not None or kind.secret_of is not None
    return {
        "name": kind.name,
        "words": kind.words,
        "settings": dict(kind.settings),
        "needs_token": kind.needs_token,
        "token": "needed" if kind.needs_token else "optional" if takes else "none",
        "sign_in": sign_in,
    }


def _place(place: ConnectedPlace) -> dict[str, Any]:
    try:
        words = kind_named(place.kind).words
    except FacekitError:  # of a newer facekit
        words = place.kind
    return {
        "name": place.name,
        "kind": place.kind,
        "words": words,
        "place": place.place,
        "state": str(place.state),
        "problem": place.problem,
        "remedy": place.remedy,
        "resume_at": place.resume_at and place.resume_at.timestamp() * 1000,
        "synced_at": place.synced_at and place.synced_at.timestamp() * 1000,
        "photos": place.photos,
        "bytes": place.bytes,
        "keep_originals": place.keep_originals,
    }


def _done(one: PlaceSync) -> dict[str, Any]:
    numbers = ("name", "found", "ingested", "duplicates", "missing", "faces", "fetched", "bytes")
    words = ("stopped", "problem", "remedy")
    said = {name: getattr(one, name) for name in numbers + words}
    return said | {"failed": list(one.failed[:_FAILURES]), "failures": len(one.failed)}


def _step(one: Any) -> dict[str, Any]:  # noqa: ANN401 - facekit.sources.item.Check, here and from a service
    return {"step": one.step, "works": one.works, "found": one.found}
