"""The web app: one widget that is a whole page, for people who have never seen a notebook."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets
from ipywidgets import Layout, VBox

from facekit.errors import FacekitError
from facekit.storage.logs import log_only_into
from facekit.widgets.appbar import AppBar
from facekit.widgets.base import EXPIRED, Widget, handler
from facekit.widgets.panels import LibraryPanel
from facekit.widgets.sessions import TokenStore
from facekit.widgets.signin import SignIn

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

    from facekit.library.base import Library

ADDRESS = "FACEKIT_SERVICE"
"""The environment variable that says where the service is."""

LOG = "FACEKIT_APP_LOG"
"""The environment variable that says where an app's kernel logs."""

_READERS = ("search", "gallery", "people")
_WRITERS = (*_READERS, "ingest", "sources")
_PAGES = {"viewer": _READERS, "editor": _WRITERS, "admin": _WRITERS}


class SearchApp(VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Search, gallery, people and ingest as one page; signs people in where the service has accounts.

    Parameters
    ----------
    library : Library, optional
        A service's library, or one that is open in this process; without one the bar alone.

    Attributes
    ----------
    bar : AppBar
        Title, pages, language, theme, and who is signed in.
    signin : SignIn or None
        The form for name and password; None where there are no accounts.
    panel : LibraryPanel or None
        The pages; None as long as nobody is signed in.
    """

    children: tuple[DOMWidget, ...]

    def __init__(self, library: Library | None = None) -> None:
        self.library: Any = None  # only a service has accounts
        self.bar = AppBar()
        self.signin: SignIn | None = None
        self.panel: LibraryPanel | None = None
        super().__init__(children=(self.bar,), layout=Layout(grid_gap="8px"))
        self._watch(self.bar)
        if library is not None:
            _begin(self.bar, self, library)

    @classmethod
    def of_service(cls) -> SearchApp:
        """The app of the service whose address is in the environment's ``FACEKIT_SERVICE``.

        The service is asked when somebody sees the page: Voila runs the notebook before its visitor comes.
        """
        from facekit.library.remote import RemoteLibrary

        if log := os.environ.get(LOG):
            log_only_into(Path(log))
        address = os.environ.get(ADDRESS)
        if not address:
            message = f"The environment's {ADDRESS} does not say where the service is."
            raise FacekitError(message, "Start the app with: facekit --library FOLDER serve --app")
        app = cls()

        def open_service() -> None:
            if app.library is None:
                _begin(app.bar, app, RemoteLibrary(address))

        app.bar.on_shown(open_service)
        return app

    def enter(self) -> None:
        """Show the pages."""
        names: tuple[str, ...] = _WRITERS
        if self.signin:
            identity = self.library.identity
            names = _PAGES[identity.role]
            self.bar.user, self.bar.role = identity.name, identity.role
            self.signin.layout.display = "none"
        self.panel = LibraryPanel(self.library, names, self.bar)
        self.panel.on_part(self._watch)
        self.children = (*self.children, self.panel)

    def leave(self, notice: str = "") -> None:
        """Back to the form for name and password; ``notice`` is the key of a text that says why."""
        if self.panel is None or self.signin is None:
            return
        panel, self.panel = self.panel, None
        self.children = (self.bar, self.signin)
        with self.bar.hold_sync():
            self.bar.names, self.bar.chosen, self.bar.user, self.bar.role = [], "", "", ""
            self.bar.problem = {}
        self.signin.layout.display = None
        self.signin.forget(notice)
        panel.discard()

    def sign_out(self) -> None:
        """End the session, as the bar's button does."""
        try:
            self.library.sign_out()
        finally:  # whatever the service says of it, nothing more is shown here
            self.leave()

    def _watch(self, part: Widget) -> None:
        """Where a part finds that the session has ended, name and password are asked for again."""
        part.observe(self._problem, "problem")

    def _problem(self, change: traitlets.Bunch) -> None:
        if change.new.get("key") == EXPIRED:
            self.leave(EXPIRED)


@handler
def _begin(bar: AppBar, app: SearchApp, library: Any) -> None:  # noqa: ANN401 - only a service's has accounts
    app.library = library
    session = getattr(library, "session", None)
    if session is None or not session.accounts:
        app.enter()
        return
    app.signin = SignIn(session, TokenStore.of_app())
    app.signin.on_signed_in(app.enter)
    session.on_refresh = app.signin.keep  # a session goes on with new tokens: a reload has to find the newest
    traitlets.link((bar, "language"), (app.signin, "language"))
    bar.on_sign_out(app.sign_out)
    app.children = (bar, app.signin)
